"""What comes after an import: the deployment, named and never made."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from typing import Any

from preflight.findings import WeightType
from preflight.record import RunRecord
from preflight.studio.submit import How

# Model Studio's user guide, "Model import", read 2026: what makes its answers like
# those of a local vLLM with its defaults.
SAMPLING: dict[str, float | None] = {
    "temperature": 1.0,
    "top_p": 1.0,
    "top_k": None,
    "presence_penalty": 0,
    "repetition_penalty": 1.0,
}
_BILLED = "billing starts when a deployment succeeds; preflight makes none"
_DEFAULT_SERVICE = "https://dashscope-intl.aliyuncs.com/api/v1"


def _body(record: RunRecord, model_name: str, name: str) -> dict[str, Any]:
    # API page "Create deployment": lora is billed by the token; full weights need
    # units of their own, of which `GET /deployments/models` tells kinds and numbers.
    body: dict[str, Any] = {"name": name or model_name, "model_name": model_name}
    if record.weight_type is WeightType.FULL:
        units = {"billing_method": "POST_PAY", "deploy_spec": "MU1", "capacity": 1}
        return {**body, "plan": "mu", **units}
    return {**body, "plan": "lora", "capacity": 1}


def as_value(record: RunRecord) -> dict[str, Any] | None:
    """The deployment call as data; None unless a model was imported."""
    job = record.imported.job if record.imported else None
    if job is None or record.exit_code != 0 or not job.succeeded or not job.model_name:
        return None
    service = "" if record.sandbox else record.service
    return {
        "method": "POST",
        "url": f"{service or _DEFAULT_SERVICE}/deployments",
        "body": _body(record, job.model_name, job.display_name),
        "remark": _BILLED,
        "sampling": SAMPLING,
    }


def _is_old(record: RunRecord) -> bool:
    return record.imported is not None and record.imported.how is How.ALREADY_DONE


def as_lines(record: RunRecord, *, verbose: bool = True) -> Iterator[str]:
    """The same for people; nothing unless a model was imported just now.

    Without `verbose` nothing for a model that an earlier run imported.
    """
    step = as_value(record)
    if step is None or (_is_old(record) and not verbose):
        return
    body = shlex.quote(json.dumps(step["body"]))
    yield (
        "next  deploy it yourself "
        "(preflight never deploys; billing starts when it runs):"
    )
    if record.sandbox:
        yield "  (the sandbox's model is only here; after a real import the call is)"
    yield f"  curl -X POST {shlex.quote(step['url'])} \\"
    yield '    -H "Authorization: Bearer $DASHSCOPE_API_KEY" \\'
    yield "    -H 'Content-Type: application/json' \\"
    yield f"    -d {body}"
    sampling = [
        f"{name} {'none' if value is None else value}"
        for name, value in SAMPLING.items()
    ]
    yield f"  to match vLLM's defaults, call it with {', '.join(sampling[:3])},"
    yield f"  {', '.join(sampling[3:])}"
