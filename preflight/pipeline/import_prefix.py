"""The import of what already lies in a bucket, and the wait for an earlier job."""

from __future__ import annotations

from collections.abc import Mapping

from preflight.catalog.base import BaseModel
from preflight.catalog.base_models import find_base
from preflight.catalog.service import LORA_REQUIRED
from preflight.destination import Destination, parse_destination
from preflight.errors import PreflightError, UsageError
from preflight.findings import WeightType
from preflight.language import say
from preflight.observer import Observer
from preflight.oss.inspector import BucketInspector, Stored
from preflight.pipeline.checked import require_passed
from preflight.pipeline.diagnosis import Evidence, diagnose
from preflight.pipeline.guard import newest, require_importable
from preflight.pipeline.imported import (
    Imported,
    concluded,
    finished,
    submitted,
    watched,
)
from preflight.pipeline.judged_prefix import (
    add_base_config,
    judged_prefix,
    rule_causes,
)
from preflight.pipeline.options import ImportOptions, Waiting
from preflight.pipeline.planned import base_and_kind
from preflight.pipeline.services import (
    PATIENCE,
    bucket_access,
    connected,
    studio_client,
)
from preflight.settings import Need, Settings
from preflight.sources.bucket import WORKERS
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest
from preflight.studio.submit import Contents


def import_prefix(
    options: ImportOptions, settings: Settings, observer: Observer
) -> Imported:
    """Judge what lies under a prefix, submit its import once, and wait for it.

    Raises `UsageError` for an unknown base and an empty prefix, `RulesFailed` before
    there is a job, `ImportFailed`, and what the services raise.
    """
    # A base that does not exist is told before anybody is asked over the network.
    base = _base(options)
    settings.require(Need.OSS, Need.STUDIO)
    destination = options.destination
    with connected(
        settings, destination, observer=observer, connections=WORKERS
    ) as services:
        require_importable(services.bucket, observer, region=services.region)
        stored = services.bucket.snapshot(destination.prefix)
        kind = options.weight_type or _weight_type(destination, stored)
        if options.check:
            checked = judged_prefix(options, services.bucket, observer)
            require_passed(checked)
            base, kind = base_and_kind(checked)
            if options.base_config:
                add_base_config(checked, destination, services, observer)
                # With the new object: a job that is older did not read it.
                stored = services.bucket.snapshot(destination.prefix)
        assert base is not None  # noqa: S101 - `_base` or `base_and_kind` saw to it
        request = ImportRequest(
            model_name=base.code,
            display_name=options.display_name,
            weight_type=kind,
            bucket=destination.bucket,
            prefix=destination.prefix,
        )
        observer.reached(request)
        evidence = Evidence(destination, request.weight_type)

        def why(job: ImportJob) -> list[str]:
            found = diagnose(
                job,
                evidence,
                services.bucket,
                service_region=services.region,
                studio_ahead=services.api.clock_ahead,
            )
            return found + rule_causes(destination, services.bucket, observer)

        contents = Contents(newest(stored), oss_ahead=services.bucket.clock_ahead)
        seen = submitted(
            request,
            contents,
            services.api,
            observer,
            again=options.again,
            patience=PATIENCE,
        )
        seen = finished(seen, options.waiting, services.api, observer)
        return concluded(seen, observer, why)


def _base(options: ImportOptions) -> BaseModel | None:
    """The base that was named; None where the check is to tell."""
    if options.base_model is None:
        if options.check:
            return None
        raise UsageError(
            say("the base model is not named"),
            hint=say("give --base-model, or leave --no-check out"),
        )
    base = find_base(options.base_model)
    if base is None:
        raise UsageError(
            say(
                "{base_model!r} is no base model known here",
                base_model=options.base_model,
            ),
            hint=say("`preflight bases` lists them; PREFLIGHT_BASES adds others"),
        )
    return base


def wait_for(
    job_id: str, waiting: Waiting, settings: Settings, observer: Observer
) -> Imported:
    """Wait for a job that was submitted before; raises as `import_prefix` does."""
    settings.require(Need.STUDIO)
    with studio_client(settings, observer) as client:
        seen = watched(job_id, waiting, ImportApi(client), observer)
    observer.reached(seen)
    ahead = client.clock_ahead
    return concluded(seen, observer, lambda job: _why(settings, job, ahead, observer))


def _why(
    settings: Settings, job: ImportJob, studio_ahead: float | None, observer: Observer
) -> list[str]:
    """What lies in the bucket, if the keys of OSS are there to look with."""
    # To wait takes no key of OSS; without one the service's own words must do.
    try:
        settings.require(Need.OSS)
        place = parse_destination(f"oss://{job.bucket}/{job.prefix}")
        with BucketInspector(bucket_access(settings), place.bucket) as inspector:
            found = diagnose(
                job,
                Evidence(place),
                inspector,
                service_region=settings.studio_region,
                studio_ahead=studio_ahead,
            )
            return found + rule_causes(place, inspector, observer)
    except PreflightError as error:
        return [
            say("the files could not be looked at: {message}", message=error.message)
        ]


def _weight_type(destination: Destination, stored: Mapping[str, Stored]) -> WeightType:
    """The kind that the files show."""
    names = {key.removeprefix(destination.prefix) for key in stored}
    # An import reads nothing that lies deeper.
    here = {name for name in names if "/" not in name}
    if not here:
        raise UsageError(
            say("nothing lies directly under {url}", url=destination.url),
            hint=say(
                "upload first: preflight push MODEL_DIR {url}", url=destination.url
            ),
        )
    if here & set(LORA_REQUIRED):
        return WeightType.LORA
    if any(name.endswith(".safetensors") for name in here):
        return WeightType.FULL
    raise UsageError(
        say(
            "{url} holds neither an adapter nor safetensors weights",
            url=destination.url,
        ),
        hint=say("name the prefix of the model's own directory"),
    )
