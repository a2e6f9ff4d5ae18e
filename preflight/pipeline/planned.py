"""What goes up, where to, and what it will be imported as: settled before any byte."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from preflight.destination import Destination
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.model.base_config import base_config
from preflight.model.inspection import Inspection
from preflight.observer import Observer
from preflight.pipeline.checked import Checked
from preflight.pipeline.options import PushOptions
from preflight.studio.jobs import ImportRequest
from preflight.upload.local_file import local_crc
from preflight.upload.plan import Selection, UploadPlan, select_files

_DIGITS = 12  # of the digest; 48 bits tell the versions of one model apart


@dataclass(frozen=True, slots=True)
class Planned:
    """The upload and the import that follows it, not yet begun."""

    plan: UploadPlan
    request: ImportRequest


def planned(options: PushOptions, checked: Checked, observer: Observer) -> Planned:
    """Choose the files, settle the destination, and say what will be imported.

    The files' bytes are read only where the destination holds `{digest}`. Raises
    `UsageError` when base or kind of weights are not known, or a file cannot go up.
    """
    found = checked.found
    if isinstance(found.base, Unavailable):
        raise UsageError(
            found.base.reason,
            hint="name the base with --base-model; `preflight bases` lists them",
        )
    if isinstance(found.weight_type, Unavailable):
        raise UsageError(found.weight_type.reason)
    made = _generated(options, found, observer)
    chosen = select_files(found.walk, found.weight_type, generated=made)
    destination = _settled(options, checked, chosen, observer)
    request = ImportRequest(
        model_name=found.base.code,
        display_name=options.display_name,
        weight_type=found.weight_type,
        bucket=destination.bucket,
        prefix=destination.prefix,
    )
    plan = Planned(chosen.under(destination), request)
    observer.reached(plan)
    return plan


def _generated(
    options: PushOptions, found: Inspection, observer: Observer
) -> dict[str, bytes]:
    """The base's config.json, which no trainer writes beside an adapter."""
    made = base_config(found)
    if isinstance(made, Unavailable) or not options.base_config:
        return {}
    observer.note(f"added {made.name}, from {made.origin}")
    return {made.name: made.content}


def _settled(
    options: PushOptions, checked: Checked, chosen: Selection, observer: Observer
) -> Destination:
    found, template = checked.found, options.destination
    values: dict[str, Callable[[], str]] = {
        "name": partial(tidy_name, found.directory),
        "date": lambda: datetime.now(timezone.utc).strftime("%Y%m%d"),
        "digest": partial(digest, chosen, checked.sums),
    }
    if not isinstance(found.base, Unavailable):
        values["base"] = partial(str, found.base.code)
    destination = template.settle(values)
    if template.placeholders:
        observer.say(f"destination: {destination.url}")
    return destination


def digest(chosen: Selection, sums: Mapping[str, int]) -> str:
    """A short SHA-256 over names, sizes and CRC-64s; `sums` are those known."""
    text = hashlib.sha256()
    for item in sorted(chosen.items, key=lambda item: item.name):
        crc = sums[item.name] if item.name in sums else local_crc(item)
        text.update(f"{item.name}\0{item.size}\0{crc:016x}\n".encode())
    return text.hexdigest()[:_DIGITS]


def tidy_name(directory: Path) -> str:
    """A model directory's name as a part of a key."""
    return re.sub(r"[^\w.-]+", "-", directory.resolve().name).strip(".-") or "model"
