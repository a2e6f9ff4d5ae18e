"""The translations: complete, of this source, and everything people read is marked."""

from __future__ import annotations

import ast
import gettext
import io
import re
import string
from collections.abc import Iterator
from pathlib import Path

from tests.cases import case
from tests.messages import (
    MO,
    PACKAGE,
    as_po,
    forms,
    in_code,
    is_translated,
    template,
    translations,
    updated,
)

# These speak to programs and developers alone, or as the services do.
_OTHERS = ("sandbox", "language.py", "__init__.py", "__main__.py")
_PROSE = re.compile(r"[a-z]{2,},? [a-z]{2,}")
# What is typed or compared, not read.
_COMMANDS = ("preflight ", "pip install ", "export ", "curl ", "%", "{desc}", "<")
_COMPARED = frozenset(
    {"startswith", "endswith", "removesuffix", "removeprefix", "partition"}
)
_UNREAD = {
    "catalog/base.py",  # checks of one's own file of base models
    "catalog/regions.py: Model Studio docs",  # sources
    "catalog/uploadable.py: .env* *.env",
    "catalog/uploadable.py: checkpoint checkpoint-*",
    "catalog/uploadable.py: optimizer* scheduler*",
    "commands/__init__.py",  # examples of command lines
    "commands/doctor.py:  may be ",  # a part that is looked for in messages
    "commands/doctor.py: doctor oss:",  # a command
    "record.py: other causes",  # a key of the record
    "failure.py: {} is not installed",  # of the log for developers
    "failure.py: {}, {} processors",
    "integrations/",  # logs of a training, in English as all of its lines
    "http.py: appears to only use HTTP",
    "repair/run.py: before ",  # where a test breaks a run off
    "repair/run.py: after ",
    "report/lines.py: no colon",
    "model/containers.py: the library",  # differences that a test holds
    "model/rendering.py",  # the chats that templates are compared by
    "model/tallies.py",  # number formats, for readers of the source
    "pipeline/planned.py: ; give --base-model",
    "record.py: no stage ends with a",
    "report/__init__.py",  # the forms, for readers of the source
    "report/notebook.py",  # of the API, in English
    "rules/k_full.py: named as in memory",
    "rules/k_full.py: saved from inside",
    "rules/k_modules.py: the path begins with",
    "rules/k_modules.py: pad it so",
    "rules/_rule.py: not a rule code",
    "terminal.py: it is closed",  # `system_errors` knows it
}


def test_every_text_is_translated_and_none_is_left_over() -> None:
    """`make messages` tells what is left to translate, and drops what is gone."""
    found = {message.id for message in translations() if message.id}
    wanted = {message.id for message in template() if message.id}
    assert sorted(map(str, wanted - found)) == [], "run `make messages`"
    assert sorted(map(str, found - wanted)) == [], "run `make messages`"
    missing = [m.id for m in translations() if m.id and not is_translated(m)]
    assert missing == []


def test_no_translation_is_a_guess() -> None:
    assert [
        message.id for message in translations() if message.id and message.fuzzy
    ] == []


def test_the_catalogue_that_is_read_is_compiled_from_the_text() -> None:
    with MO.open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message in translations():
        if not message.id:
            continue
        ids, texts = forms(message)
        told = compiled.gettext(ids[0])
        if len(ids) > 1:
            told = compiled.ngettext(ids[0], ids[1], 2)
        assert told == texts[0], "run `make messages`"
    assert as_po(updated()) == as_po(translations())


def _places(text: str) -> set[str]:
    """The placeholders of a template, with their forms."""
    try:
        fields = list(string.Formatter().parse(text))
    except ValueError:  # braces that stand for themselves
        return set()
    return {f"{n}!{c}:{s}" for _, n, s, c in fields if n is not None}


def test_translations_have_the_same_placeholders() -> None:
    for message in translations():
        if not message.id:
            continue
        ids, texts = forms(message)
        wanted = set().union(*map(_places, ids))
        if len(ids) > 1:  # a form for all numbers may name it where "one" does not
            wanted |= {"count!None:", "count!None:,"}
        for text in texts:
            found = _places(text)
            fine = found <= wanted if len(ids) > 1 else found == wanted
            assert fine, (ids, text)
            percents = r"%(?:\(\w+\))?[a-z](?![a-z])"
            marks = sorted(re.findall(percents, text))
            assert marks == sorted(re.findall(percents, ids[-1])), (ids, text)
            # An indent is layout, and stays.
            spaces = len(ids[-1]) - len(ids[-1].lstrip(" "))
            if spaces > 1:
                assert len(text) - len(text.lstrip(" ")) == spaces, text


def test_sentences_are_found_in_code() -> None:
    source = 'x = say("a {b}", b=1); y.say("no"); say_n("one", "{count} of", count=2)'
    assert list(in_code(source)) == ["a {b}", ("one", "{count} of")]


def unmarked(tree: ast.Module) -> Iterator[str]:
    """Texts of several words that no marking function is given."""
    parents = {
        child: node for node in ast.walk(tree) for child in ast.iter_child_nodes(node)
    }
    for node in ast.walk(tree):
        if not isinstance(node, (ast.Constant, ast.JoinedStr)):
            continue
        text = _text(node)
        if _PROSE.search(text) and not _is_excused(node, text, parents):
            yield text


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(
        str(each.value) if isinstance(each, ast.Constant) else "{}"
        for each in node.values
    )


def _is_excused(node: ast.expr, text: str, parents: dict[ast.AST, ast.AST]) -> bool:
    if text.startswith(_COMMANDS):
        return True
    parent = parents[node]
    # Docstrings, and the words that an enum has for programs.
    if isinstance(parent, ast.Expr):
        return True
    if isinstance(parent, ast.Assign) and isinstance(parents[parent], ast.ClassDef):
        return True
    while isinstance(parent, ast.expr):
        if isinstance(parent, (ast.JoinedStr, ast.Compare)):
            return True
        if isinstance(parent, ast.Call) and _is_no_text_of(parent.func):
            return True
        node, parent = parent, parents[parent]
    raised = parent.exc if isinstance(parent, ast.Raise) else None
    internal = ("ValueError", "AttributeError", "AssertionError", "TypeError")
    return isinstance(raised, ast.Call) and ast.unparse(raised.func) in internal


def _is_no_text_of(function: ast.expr) -> bool:
    name = ast.unparse(function)
    if name in ("say", "say_n", "_said", "_Junk") or name.startswith("re."):
        return True
    return name.rpartition(".")[2] in (*_COMPARED, "debug", "setdefault")


def test_everything_that_people_read_is_marked() -> None:
    """Texts of several words stand in `say`; what is excused is named above."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if name.startswith("sandbox/") or name in _OTHERS:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        told = (f"{name}: {text}" for text in unmarked(tree))
        found += [each for each in told if not each.startswith(tuple(_UNREAD))]
    assert found == []


def test_what_is_not_marked_is_found() -> None:
    cases: list[str] = [
        'raise UsageError("no such directory")',
        'raise UsageError(f"no such {kind}, or none")',
        'yield Problem("r", "is not allowed")',
        'told = "it is gone"',
        'def f():\n    return f"{n} files are left"',
        'parser.add_argument("--x", help="what it does")',
        'terminal.say("all is done")',
    ]
    for source in cases:
        with case(source):
            assert list(unmarked(ast.parse(source)))


def test_a_page_s_own_words_are_marked() -> None:
    """Between the tags of the page's template stand values and `say`, no words."""
    page = (PACKAGE / "report/templates/report.html").read_text("utf-8")
    body = page.partition("<body>")[2]
    body = re.sub(r"\{\{.*?\}\}|\{%.*?%\}", " ", body, flags=re.DOTALL)
    texts = re.findall(r">([^<]*)<", body)
    words = [each.strip() for each in texts if _PROSE.search(each)]
    assert words == []


def test_an_old_catalogue_is_noticed(tmp_path: Path) -> None:
    from babel.messages.mofile import write_mo

    found = translations()
    next(iter(m for m in found if isinstance(m.id, str) and m.id)).string = "别的"
    out = io.BytesIO()
    write_mo(out, found)
    (tmp_path / "other.mo").write_bytes(out.getvalue())
    assert out.getvalue() != MO.read_bytes()
