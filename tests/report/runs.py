"""Runs made by hand, as the reports are given them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from preflight.catalog.base_models import load_bases
from preflight.destination import parse_destination
from preflight.findings import Outcome, Report, Unavailable, WeightType
from preflight.model.base_claim import BaseClaim
from preflight.model.inspection import Inspection
from preflight.model.location import Location
from preflight.model.source import LocalDirectory
from preflight.pipeline.checked import Checked
from preflight.pipeline.imported import Imported
from preflight.pipeline.options import CheckOptions
from preflight.pipeline.planned import Planned
from preflight.pipeline.uploaded import Uploaded
from preflight.record import RunRecord
from preflight.studio.jobs import ImportJob, ImportRequest
from preflight.studio.submit import How
from preflight.upload.plan import Excluded, UploadItem, UploadPlan
from preflight.upload.transfer import Manifest, UploadedObject

PLACE = "oss://bucket/models/one/"
SIZES = {"adapter_model.safetensors": 1_705_024, "adapter_config.json": 999}
SUMS = {"adapter_model.safetensors": 18_446_744, "adapter_config.json": 1}


def checked(*outcomes: Outcome, kind: WeightType = WeightType.LORA) -> Checked:
    """A check of Qwen3-8B weights; of the inspection only what reports read."""
    no_weights = Unavailable("there are no safetensors weights to read")
    found = SimpleNamespace(
        weight_type=kind,
        base=load_bases()["qwen3-8b"],
        requested=Unavailable("no base model was given with --base-model"),
        claim=BaseClaim("adapter_config.json: base_model_name_or_path"),
        adapter_config={"r": 16, "lora_alpha": 32},
        containers=no_weights,
        tensors=no_weights,
        lora=no_weights,
        location=Location(Path("out/adapter")),
        candidates=(),
        files={},
    )
    options = CheckOptions(LocalDirectory(Path("out/adapter")))
    return Checked(options, cast("Inspection", found), Report(outcomes), due=False)


def run(*outcomes: Outcome, command: str = "check") -> RunRecord:
    return RunRecord(command, "out/adapter", checked=checked(*outcomes))


def plan(*excluded: Excluded) -> UploadPlan:
    destination = parse_destination(PLACE)
    items = tuple(
        UploadItem(destination.key(name), name, size, Path(name))
        for name, size in SIZES.items()
    )
    return UploadPlan(destination, items, excluded)


def planned(*excluded: Excluded) -> Planned:
    request = ImportRequest("qwen3-8b", "", WeightType.LORA, "bucket", "models/one/")
    return Planned(plan(*excluded), request)


def uploaded(sent: int | None = None, *, verified: bool = True) -> Uploaded:
    """An upload of two files; `sent` None means that this run sent all."""
    whole = plan()
    objects = tuple(
        UploadedObject(item.key, item.size, SUMS[item.name]) for item in whole.items
    )
    size = whole.total_bytes if sent is None else sent
    return Uploaded(whole, Manifest(whole.destination, objects), size, verified)


def imported(*causes: str, job: Mapping[str, str] | None = None) -> Imported:
    """A job that succeeded, but for the fields given."""
    made = ImportJob("job-1", status="SUCCESSED", model_name="qwen3-8b-x")
    return Imported(replace(made, **dict(job or {})), How.CREATED, causes)  # type: ignore[arg-type]
