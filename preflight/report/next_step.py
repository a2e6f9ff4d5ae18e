"""What comes after an import: the deployment, named and never made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from preflight.language import say
from preflight.record import RunRecord
from preflight.studio.deployment import (
    CALLED,
    DETAILS,
    DeploymentCall,
    deployment_call,
)
from preflight.studio.submit import How
from preflight.text import wrapped

# Model Studio's user guide, "Model import", read 2026: what makes its answers like
# those of a local vLLM with its defaults.
SAMPLING: dict[str, float | None] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": None,
    "presence_penalty": 0,
    "repetition_penalty": 1.0,
}
_WIDTH = 80


def _call(record: RunRecord) -> DeploymentCall | None:
    """The deployment call; None unless a model was imported."""
    job = record.imported.job if record.imported else None
    if job is None or record.exit_code != 0 or not job.succeeded or not job.model_name:
        return None
    return deployment_call(
        job.model_name,
        record.weight_type,
        name=job.display_name,
        service="" if record.sandbox else record.service,
    )


def as_value(record: RunRecord) -> dict[str, Any] | None:
    """The deployment call as data; None unless a model was imported."""
    call = _call(record)
    if call is None:
        return None
    return {
        "method": "POST",
        "url": call.url,
        "body": dict(call.body),
        "remark": call.billing,
        "console": call.console,
        "notes": [CALLED, *DETAILS],
        "sampling": SAMPLING,
    }


def _is_old(record: RunRecord) -> bool:
    return record.imported is not None and record.imported.how is How.ALREADY_DONE


def as_lines(record: RunRecord, *, verbose: bool = True) -> Iterator[str]:
    """The same for people; nothing unless a model was imported just now.

    Without `verbose` nothing for a model that an earlier run imported.
    """
    call = _call(record)
    if call is None or (_is_old(record) and not verbose):
        return
    yield say("next  deploy it yourself (preflight never deploys):")
    if record.sandbox:
        yield say(
            "  (the sandbox's model is only here; after a real import the call is)"
        )
    yield from (f"  {line}" for line in call.curl().splitlines())
    sampling = ", ".join(
        f"{name} {'none' if value is None else value}"
        for name, value in SAMPLING.items()
    )
    for text in (
        call.billing,
        CALLED,
        say("or in the console: {url}", url=call.console),
        say("to match vLLM's defaults: {values}", values=sampling),
    ):
        yield from wrapped(text, _WIDTH, "  ", "    ")
