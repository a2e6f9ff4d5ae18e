"""The catalogue of translations: extract what is marked, update the .po, compile it.

`make messages` runs it. What people read stands in calls of `say` and `say_n`, in the
docstrings of rules, in JSON files of the catalogue and in the page's template.
"""

from __future__ import annotations

import ast
import inspect
import io
import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

from babel.messages.catalog import Catalog, Message
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po
from jinja2.ext import babel_extract

from preflight.catalog.explanations import load_explanations
from preflight.catalog.relatives import load_relatives
from preflight.catalog.trainers import load_signatures
from preflight.rules import RULES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "preflight"
PO = PACKAGE / "locale" / "zh_CN" / "LC_MESSAGES" / "preflight.po"
MO = PO.with_suffix(".mo")
_KEYWORDS = {"say": 1, "say_n": 2}  # texts that they take
_DAY = datetime(2026, 1, 1, tzinfo=timezone.utc)  # of nothing: git knows the days
# Lines of the head that would change from day to day, or are empty.
_PASSING = (b'"POT-Creation-Date', b'"Report-Msgid', b'"Generated-By')

Text = str | tuple[str, ...]


def marked() -> Iterator[tuple[str, Text]]:
    """Each text that is marked, with the file that it stands in."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if path.name == "language.py":  # it defines them
            continue
        name = path.relative_to(ROOT).as_posix()
        yield from ((name, text) for text in in_code(path.read_text("utf-8")))
    for path in sorted(PACKAGE.rglob("*.html")):
        name = path.relative_to(ROOT).as_posix()
        with path.open("rb") as file:
            found = babel_extract(file, list(_KEYWORDS), (), {"trimmed": "true"})
            for _, _, text, _ in found:  # with a place for each further argument
                yield name, text if isinstance(text, str) else str((text or ("",))[0])
    yield from in_data()


def in_data() -> Iterator[tuple[str, str]]:
    """The manuals of the rules, and what people read of the catalogue's files."""
    for rule in RULES:
        file = Path(inspect.getfile(rule.check)).relative_to(ROOT).as_posix()
        yield from ((file, text) for text in rule.paragraphs)
    data = "preflight/catalog/data"
    for signature in load_signatures():
        texts = (signature.what, signature.advice)
        yield from ((f"{data}/trainers.json", text) for text in texts if text)
    for relative in load_relatives().values():
        yield f"{data}/relatives.json", relative.why
    for explanation in load_explanations():
        texts = (explanation.cause, explanation.remedy)
        yield from (("preflight/catalog/explanations.json", text) for text in texts)


def in_code(source: str) -> Iterator[Text]:
    """The texts of `say("…")` and `say_n("…", "…")`; those of methods are others."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            texts = node.args[: _KEYWORDS.get(node.func.id, 0)]
            if not texts:
                continue
            values = [ast.literal_eval(each) for each in texts]
            yield tuple(values) if len(values) > 1 else values[0]


def template() -> Catalog:
    """All that there is to translate, in the order of the files."""
    made = Catalog(
        project="preflight",
        charset="utf-8",
        fuzzy=False,
        creation_date=_DAY,
        revision_date=_DAY,
    )
    for name, text in sorted(marked(), key=lambda pair: pair[0]):
        made.add(text, locations=[(name, 0)])
    return made


def translations() -> Catalog:
    """The .po as it is in the repository."""
    with PO.open("rb") as file:
        found = read_po(file, locale="zh_CN")
    found.creation_date = _DAY
    return found


def updated() -> Catalog:
    """The .po with what is new, and without what is gone; nothing is guessed."""
    found = translations()
    found.update(template(), no_fuzzy_matching=True, update_creation_date=False)
    found.obsolete.clear()
    return found


def as_po(catalogue: Catalog) -> bytes:
    """The text of a .po; files are named, their lines would change all the time."""
    out = io.BytesIO()
    write_po(out, catalogue, width=88, include_lineno=False, ignore_obsolete=True)
    lines = out.getvalue().splitlines(keepends=True)
    return b"".join(line for line in lines if not line.startswith(_PASSING))


def as_mo(catalogue: Catalog) -> bytes:
    """What `gettext` reads at run time."""
    out = io.BytesIO()
    write_mo(out, catalogue)
    return out.getvalue()


def forms(message: Message) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The text in English, in both numbers if it has them, and in Chinese."""
    ids, texts = message.id, message.string or ()
    return (
        (ids,) if isinstance(ids, str) else tuple(ids),
        (texts,) if isinstance(texts, str) else tuple(texts),
    )


def is_translated(message: Message) -> bool:
    """Whether there is a text for it, in each of its forms."""
    _, texts = forms(message)
    return bool(texts) and all(texts)


def main() -> None:
    """Update the .po and compile it; tell what is left to translate."""
    PO.write_bytes(as_po(updated()))
    found = translations()
    MO.write_bytes(as_mo(found))
    missing = [each.id for each in found if each.id and not is_translated(each)]
    print(f"{len(found)} messages, {len(missing)} not translated")  # noqa: T201
    for text in missing:
        print(json.dumps(text, ensure_ascii=False))  # noqa: T201


if __name__ == "__main__":
    main()
