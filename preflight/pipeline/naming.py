"""Where a push goes to: a destination whose placeholders are filled in."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path

from preflight.destination import Destination, expand, parse_destination, placeholders
from preflight.findings import Unavailable
from preflight.model.inspection import Inspection
from preflight.upload.local_file import local_crc
from preflight.upload.plan import UploadPlan

_DIGITS = 12  # of the digest; 48 bits tell the versions of one model apart


def digest(plan: UploadPlan, sums: Mapping[str, int]) -> str:
    """A short SHA-256 over names, sizes and CRC-64s; `sums` are those known."""
    text = hashlib.sha256()
    for item in sorted(plan.items, key=lambda item: item.name):
        crc = sums[item.name] if item.name in sums else local_crc(item)
        text.update(f"{item.name}\0{item.size}\0{crc:016x}\n".encode())
    return text.hexdigest()[:_DIGITS]


def tidy_name(directory: Path) -> str:
    """A model directory's name as a part of a key."""
    return re.sub(r"[^\w.-]+", "-", directory.resolve().name).strip(".-") or "model"


def settled(
    template: Destination, plan: UploadPlan, found: Inspection, sums: Mapping[str, int]
) -> Destination:
    """The destination with its placeholders filled in."""
    used = placeholders(template.url)
    if not used:
        return template
    values = {
        "name": tidy_name(found.directory),
        "date": datetime.now(timezone.utc).strftime("%Y%m%d"),
    }
    if not isinstance(found.base, Unavailable):
        values["base"] = found.base.code
    if "digest" in used:
        values["digest"] = digest(plan, sums)
    return parse_destination(expand(template.url, values))
