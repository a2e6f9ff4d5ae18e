"""`import`: a job for what already lies in a bucket."""

from __future__ import annotations

from collections.abc import Mapping

from preflight.arguments import Namespace
from preflight.catalog.bases import load_bases
from preflight.commands.given import read_settings
from preflight.destination import Destination, parse_destination
from preflight.errors import UsageError
from preflight.findings import WeightType
from preflight.oss.inspector import BucketInspector, Stored
from preflight.pipeline import bucket_access
from preflight.pipeline.diagnosis import Evidence, diagnose
from preflight.pipeline.gate import require_importable
from preflight.pipeline.importing import Import, Waiting, run_import, studio_client
from preflight.pipeline.live import newest
from preflight.record import RunRecord
from preflight.settings import Need
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest
from preflight.studio.submit import Contents
from preflight.terminal import Terminal

_ADAPTER = ("adapter_config.json", "adapter_model.safetensors")


def cmd_import(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Submit the import of a prefix and wait for it."""
    destination = parse_destination(args.destination)
    record.directory = destination.url
    record.base_model = _base_code(args.base_model)
    settings = read_settings(args, screen, needs=(Need.OSS, Need.STUDIO))
    settings.require(Need.OSS, Need.STUDIO)
    record.service = settings.base_url.value
    access, region = bucket_access(settings), settings.studio_region
    with (
        BucketInspector(access, destination.bucket) as inspector,
        studio_client(settings) as client,
    ):
        with record.timed("bucket"):
            require_importable(inspector, record, screen, service_region=region)
            stored = inspector.snapshot(destination.prefix)
        record.weight_type = _weight_type(args, destination, stored)
        wanted = _wanted(args, record, destination, stored)
        evidence = Evidence(destination, record.weight_type)

        def why(job: ImportJob) -> list[str]:
            return diagnose(job, evidence, inspector, service_region=region)

        run_import(wanted, ImportApi(client), record, screen, why)


def _wanted(
    args: Namespace,
    record: RunRecord,
    destination: Destination,
    stored: Mapping[str, Stored],
) -> Import:
    request = ImportRequest(
        model_name=record.base_model,
        display_name=args.display_name,
        weight_type=record.weight_type or WeightType.LORA,
        bucket=destination.bucket,
        prefix=destination.prefix,
    )
    waiting = None if args.no_wait else Waiting(args.timeout, args.poll_interval)
    return Import(request, Contents(newest(stored)), waiting, again=args.again)


def _base_code(named: str) -> str:
    """The code that the service knows, of a code or a hub id."""
    wanted = named.strip().lower()
    for code, base in load_bases().items():
        if wanted in (code, base.hub_id.lower()):
            return code
    raise UsageError(
        f"{named!r} is no base model known here",
        hint="`preflight bases` lists them; PREFLIGHT_BASES adds others",
    )


def _weight_type(
    args: Namespace, destination: Destination, stored: Mapping[str, Stored]
) -> WeightType:
    """The kind that was asked for, else the kind that the files show."""
    names = {key.removeprefix(destination.prefix) for key in stored}
    here = {name for name in names if "/" not in name}
    if not here:
        raise UsageError(
            f"nothing lies directly under {destination.url}",
            hint="upload first: preflight push MODEL_DIR " + destination.url,
        )
    if args.weight_type:
        return WeightType(args.weight_type)
    if here & set(_ADAPTER):
        return WeightType.LORA
    if any(name.endswith(".safetensors") for name in here):
        return WeightType.FULL
    raise UsageError(
        f"{destination.url} holds neither an adapter nor safetensors weights",
        hint="name the prefix of the model's own directory",
    )
