"""Write the parts of README.md that come from running the program: `make readme`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from typing import Any

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.report.schemas import load_schema
from preflight.rules import RULES
from preflight.rules._rule import Rule
from tests.promised import extend

WIDTH = 100
README = Path(__file__).parent.parent / "README.md"


def _summary(rule: Rule) -> str:
    """The first sentence of a rule's manual."""
    first = " ".join(rule.manual.split("\n\n", 1)[0].split())
    return first.split(". ")[0].rstrip(".")


def rules_table() -> str:
    """All rules as a Markdown table, in the order of their codes."""
    rows = ["| code | severity | weights | why |", "| --- | --- | --- | --- |"]
    for rule in sorted(RULES, key=lambda found: found.code):
        kinds = "both" if len(rule.applies) > 1 else next(iter(rule.applies)).value
        why = _summary(rule).replace("|", "\\|")
        rows.append(f"| {rule.code} | {rule.severity.value} | {kinds} | {why} |")
    return "\n".join(rows)


def part(text: str, name: str) -> str:
    """What stands between the two marks of `name`."""
    found = re.search(f"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no part {name}")
    return found[1]


def replaced(text: str, name: str, content: str) -> str:
    """The text with the part of that name replaced."""
    old, new = (f"<!-- {name} -->\n{c}\n" for c in (part(text, name), content))
    return text.replace(old, new, 1)


def _wrapped(line: str, width: int = WIDTH) -> list[str]:
    """A line as a reader of the page needs it: no wider than the page."""
    indent = " " * (len(line) - len(line.lstrip()) + 4)
    return textwrap.wrap(
        line,
        width,
        subsequent_indent=indent,
        drop_whitespace=True,
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    ) or [""]


def _kind(schema: dict[str, Any]) -> str:
    """What a field holds, in a few words."""
    if "$ref" in schema:
        return f"`{schema['$ref'].rpartition('/')[2]}`"
    if "enum" in schema:
        return " \\| ".join("null" if v is None else f"`{v}`" for v in schema["enum"])
    if "anyOf" in schema:
        return " \\| ".join(_kind(each) for each in schema["anyOf"])
    if "const" in schema:
        return f"`{schema['const']}`"
    kinds = schema.get("type", "")
    if kinds == "array":
        return f"list of {_kind(schema['items'])}"
    return kinds if isinstance(kinds, str) else " \\| ".join(kinds)


def fields_table() -> str:
    """The fields of the JSON document as a Markdown table, by the schema."""
    definitions = load_schema("document")["$defs"]
    rows = ["| of | field | holds |", "| --- | --- | --- |"]
    for name in (
        "run",
        "outcome",
        "problem",
        "plan",
        "upload",
        "job",
        "retry",
        "error",
    ):
        of = "the document" if name == "run" else f"`{name}`"
        for field, schema in definitions[name]["properties"].items():
            note = f"; {schema['description']}" if schema.get("description") else ""
            rows.append(f"| {of} | `{field}` | {_kind(schema)}{note} |")
            of = ""
    return "\n".join(rows)


def _screen(directory: Path, *words: str) -> str:
    """What a terminal shows of one command, as a Markdown block."""
    command = [sys.executable, "-m", "preflight", *words]
    done = subprocess.run(
        command,
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(README.parent), "NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    lines = done.stdout.rstrip().splitlines()
    shown = "\n".join(part for line in lines for part in _wrapped(line))
    return f"```console\n$ preflight {' '.join(words)}\n{shown}\n```"


def main() -> None:
    """Replace the parts in place."""
    text = README.read_text("utf-8")
    with tempfile.TemporaryDirectory() as scratch:
        good, broken = Path(scratch, "qwen3-8b-lora"), Path(scratch, "broken-lora")
        build_adapter(good, base="qwen3-8b", rank=16)
        build_adapter(broken, base="qwen3-8b", rank=16, tiny=True)
        for fault in ("orig-mod", "nan-last"):
            FAULTS[fault].apply(broken)
        push = ("push", "--sandbox", good.name, "--base-model", "qwen3-8b")
        text = replaced(text, "demo", _screen(Path(scratch), *push))
        text = replaced(text, "broken", _screen(Path(scratch), "check", broken.name))
    text = replaced(text, "rules", rules_table())
    text = replaced(text, "fields", fields_table())
    README.write_text(text, "utf-8")
    extend()


if __name__ == "__main__":
    main()
