"""The fields that programs may rely on while `schema` stays what it is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from preflight.report.schemas import SCHEMAS, load_schema

PROMISED = Path(__file__).parent / "report" / "schema-1.json"


def fields(schema: Any, path: str = "") -> set[str]:  # noqa: ANN401
    """Each field with its types, as a line: `run.exit_code integer`."""
    found: set[str] = set()
    if not isinstance(schema, dict):
        return found
    for name, value in schema.get("$defs", {}).items():
        found |= fields(value, name)
    for name, value in schema.get("properties", {}).items():
        here = f"{path}.{name}"
        told = value.get("type") or value.get("$ref") or ""
        needed = " required" if name in schema.get("required", ()) else ""
        kinds = "|".join(told) if isinstance(told, list) else told
        found.add(f"{here} {kinds}{needed}".strip())
        found |= fields(value, here)
        if "items" in value:
            found |= fields(value["items"], f"{here}[]")
    return found


def extend() -> None:
    """Add what is new; what is gone stays, so that its test fails."""
    promised = json.loads(PROMISED.read_text("utf-8"))
    made = {
        name: sorted({*promised[name], *fields(load_schema(name))}) for name in SCHEMAS
    }
    PROMISED.write_text(json.dumps(made, indent=1) + "\n", "utf-8")
