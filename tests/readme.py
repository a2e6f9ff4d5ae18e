"""Write the parts of both READMEs that come from running the program: `make readme`."""

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
from preflight.language import CHINESE, ENGLISH, current_language, localized, speaking
from preflight.report.schemas import load_schema
from preflight.rules import RULES
from preflight.rules._rule import Rule
from preflight.text import folded
from tests.promised import extend
from tests.speed import speed_tables

WIDTH = 100
README = Path(__file__).parent.parent / "README.md"
IN_CHINESE = README.with_suffix(".zh-CN.md")
PAGES = {ENGLISH: README, CHINESE: IN_CHINESE}
# Above and in the tables, where the page is in Chinese.
_WORDS = {
    "code": "代码",
    "severity": "级别",
    "weights": "权重",
    "why": "原因",
    "both": "两者",
    "of": "所属",
    "field": "字段",
    "holds": "内容",
    "the document": "文档",
}


def _word(word: str) -> str:
    return word if current_language() == ENGLISH else _WORDS[word]


def _heading(*words: str) -> list[str]:
    names = " | ".join(_word(each) for each in words)
    return [f"| {names} |", f"|{' --- |' * len(words)}"]


def _summary(rule: Rule) -> str:
    """The first sentence of a rule's manual."""
    if current_language() != ENGLISH:
        return localized(rule.why).split("。")[0]
    first = " ".join(rule.manual.split("\n\n", 1)[0].split())
    return first.split(". ")[0].rstrip(".")


def rules_table() -> str:
    """All rules as a Markdown table, in the order of their codes."""
    rows = _heading("code", "severity", "weights", "why")
    for rule in sorted(RULES, key=lambda found: found.code):
        several = len(rule.applies) > 1
        kinds = _word("both") if several else next(iter(rule.applies)).value
        why = _summary(rule).replace("|", "\\|")
        rows.append(
            f"| {rule.code} | {localized(rule.severity.word)} | {kinds} | {why} |"
        )
    return "\n".join(rows)


def part(text: str, name: str) -> str:
    """What stands between the two marks of `name`."""
    found = re.search(f"<!-- {name} -->\n(.*?)\n<!-- /{name} -->", text, re.DOTALL)
    if found is None:
        raise ValueError(f"the README has no part {name}")
    return found[1]


def replaced(text: str, name: str, content: str) -> str:
    """The text with the part of that name replaced."""
    old, new = (f"<!-- {name} -->\n{c}\n" for c in (part(text, name), content))
    return text.replace(old, new, 1)


def _wrapped(line: str, width: int = WIDTH) -> list[str]:
    """A line as a reader of the page needs it: no wider than the page."""
    if current_language() != ENGLISH:
        return list(folded(line, width))
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
    rows = _heading("of", "field", "holds")
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
        of = _word("the document") if name == "run" else f"`{name}`"
        for field, schema in definitions[name]["properties"].items():
            note = f"; {schema['description']}" if schema.get("description") else ""
            rows.append(f"| {of} | `{field}` | {_kind(schema)}{note} |")
            of = ""
    return "\n".join(rows)


def _environment() -> dict[str, str]:
    """Ours, in the language of the page alone."""
    locale = ("LC_", "LANG", "PREFLIGHT_LANG")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(locale)}
    lang = {"LANG": f"{current_language()}.UTF-8", "NO_COLOR": "1"}
    return {**kept, **lang, "PYTHONPATH": str(README.parent)}


def _screen(directory: Path, *words: str) -> str:
    """What a terminal shows of one command, as a Markdown block."""
    command = [sys.executable, "-m", "preflight", *words]
    done = subprocess.run(
        command,
        cwd=directory,
        env=_environment(),
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
    for language, page in PAGES.items():
        with speaking(language):
            page.write_text(_written(page.read_text("utf-8")), "utf-8")
    extend()


def _written(text: str) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        good, broken = Path(scratch, "qwen3-8b-lora"), Path(scratch, "broken-lora")
        build_adapter(good, base="qwen3-8b", rank=16)
        build_adapter(broken, base="qwen3-8b", rank=16, tiny=True)
        for fault in ("orig-mod", "nan-last"):
            FAULTS[fault].apply(broken)
        push = ("push", "--sandbox", good.name, "--base-model", "qwen3-8b")
        text = replaced(text, "demo", _screen(Path(scratch), *push))
        text = replaced(text, "broken", _screen(Path(scratch), "check", broken.name))
    text = replaced(text, "speed", speed_tables())
    text = replaced(text, "rules", rules_table())
    return replaced(text, "fields", fields_table())


if __name__ == "__main__":
    main()
