"""The promise to programs as JSON Schema (draft 2020-12), one file each."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

SCHEMAS = ("document", "event")


def load_schema(name: str) -> dict[str, Any]:
    """One of `SCHEMAS`."""
    path = Path(__file__).parent / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found
