"""What lies under a prefix, judged by all rules before it is imported, or after."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.destination import Destination
from preflight.errors import PreflightError, SourceChanged
from preflight.findings import Result, Severity, Unavailable
from preflight.language import say
from preflight.model.base_choice import Request
from preflight.model.base_config import base_config
from preflight.observer import Observer
from preflight.oss.body import BytesBody
from preflight.oss.inspector import BucketInspector
from preflight.pipeline.checked import Checked, check, inspected
from preflight.pipeline.guard import jobs_reading, refuse_if_live
from preflight.pipeline.options import CheckOptions, ImportOptions
from preflight.pipeline.services import Services
from preflight.sources.bucket import BucketPrefix
from preflight.text import shortened
from preflight.upload.compare import Change


def judged_prefix(
    options: ImportOptions, bucket: BucketInspector, observer: Observer
) -> Checked:
    """Check what lies there, values included where they were asked for.

    Raises `SourceChanged` where objects changed meanwhile, and what the client raises.
    """
    prefix, scan = options.destination.prefix, options.scan
    with BucketPrefix(bucket, options.destination, reads_values=scan) as source:
        asked = Request(options.weight_type, options.base_model)
        checked = check(CheckOptions(source, asked, scan, options.policy), observer)
        # After the last read: rules that saw two states of the prefix judged neither.
        if bucket.snapshot(prefix) != source.stored:
            raise SourceChanged(
                say("objects under {url} changed", url=options.destination.url),
                hint=say("let whatever writes there finish, then run this again"),
            )
    return checked


def add_base_config(
    checked: Checked, destination: Destination, services: Services, observer: Observer
) -> None:
    """Put the base's config.json beside an adapter that has none.

    Raises `LivePrefix` where a model was imported from the prefix.
    """
    made = base_config(checked.found)
    if isinstance(made, Unavailable):
        observer.note(say("no config.json was added: {reason}", reason=made.reason))
        return
    key = destination.key(made.name)
    change = Change(key, say("is not there yet"))
    # One more object is a change, too, that an imported model does not survive.
    refuse_if_live(jobs_reading(services.api, destination), [change], destination)
    # What somebody else put there meanwhile is not replaced unseen.
    services.bucket.put(key, lambda: BytesBody(made.content), forbid_overwrite=True)
    observer.note(
        say("added {name}, from {origin}", name=made.name, origin=made.origin)
    )


def rule_causes(
    destination: Destination, bucket: BucketInspector, observer: Observer
) -> list[str]:
    """Why a job may have failed, by the rules; nothing where they cannot be run."""
    try:
        with BucketPrefix(bucket, destination) as source:
            return list(_failed(inspected(CheckOptions(source), observer)))
    # They are a hint at why a job failed; that they fail, too, helps nobody.
    except PreflightError:
        return []


def _failed(checked: Checked) -> Iterator[str]:
    for severity in Severity:
        for outcome in checked.report.select(Result.FAILED):
            if outcome.severity is not severity:
                continue
            first = outcome.problems[0]
            yield say(
                "likely cause by rule {code}: {where}: {message}",
                code=outcome.code,
                where=first.where,
                message=shortened(first.message, 300),
            )
