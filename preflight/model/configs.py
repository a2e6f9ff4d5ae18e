"""Bounded reading of JSON and text files that anybody may have written.

Nothing here raises for what a file holds or for what the disk answers: what cannot be
had is an `Unavailable` whose reason names the file, the problem and its place.
"""

from __future__ import annotations

import codecs
import gc
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any

from preflight.findings import Unavailable
from preflight.language import glued, known, say
from preflight.model.recognise import HEAD_BYTES, Kind, instead_of, recognise
from preflight.model.source import OpenFile
from preflight.model.steady import Changed, Unreadable
from preflight.text import shortened

JsonObject = Mapping[str, Any]
Pairs = list[tuple[str, Any]]

MAX_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 127  # serde_json, which reads tokenizer.json and safetensors, stops there
MAX_VALUES = 4_000_000  # a tokenizer with 580,000 merges has some two million

_CONTAINERS = (dict, list)  # `dict | list` would be made anew a million times
_LONG_NUMBER = 300  # digits; a double ends at 309
_UTF16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"{\0", b"\0{", b"\0\0")
_TRAILING_COMMA = re.compile(r",\s*[}\]]")
_CONSTANT = re.compile(r'"(?:[^"\\]|\\.)*"|(NaN|-?Infinity)', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_PYTHON_WORDS = ("True", "False", "None")
_COMMENTS = ("//", "/*", "#")


class NotJson(ValueError):
    """Text that a strict JSON reader refuses.

    `what` continues a sentence that begins with the file; `position` is a character
    offset, None where it is spread over the text.
    """

    def __init__(self, what: str, position: int | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.position = position


def count_values(text: str | bytes) -> int:
    """At least as many values as the JSON `text` holds, one more or less; cheap.

    Marks inside strings are counted too.
    """
    if isinstance(text, bytes):
        return sum(text.count(mark) for mark in b",[{")
    return sum(text.count(mark) for mark in ",[{")


@contextmanager
def collector_paused() -> Iterator[None]:
    """Halves the time of making a million containers, none of which is garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def parse_json(text: str, pairs: Callable[[Pairs], object] = dict) -> object:
    """The value of `text`, read as strictly as serde_json reads it.

    `pairs` makes each object, as `object_pairs_hook` does. Raises `NotJson` for NaN,
    numbers beyond a double, lone surrogates and more than `MAX_DEPTH` levels, too.
    """
    try:
        with collector_paused():
            value = json.loads(
                text,
                object_pairs_hook=pairs,
                parse_int=_integer,
                parse_float=_decimal,
                parse_constant=_constant,
            )
        too_deep = _deeper_than(value, MAX_DEPTH)
    except RecursionError:
        too_deep = True
    except json.JSONDecodeError as error:
        raise _refusal(text, error) from None
    except _Constant as constant:
        what = say("holds {constant}, which is not JSON", constant=constant)
        raise NotJson(what, _first_constant(text)) from None
    if too_deep:
        raise NotJson(
            say("is nested more than {max_depth} levels deep", max_depth=MAX_DEPTH)
        )
    _refuse_lone_surrogates(text, value)
    return value


class _Constant(Exception):
    """NaN or an infinity was met; the parser does not tell where."""


def _constant(name: str) -> None:
    raise _Constant(name)


def _first_constant(text: str) -> int | None:
    if len(text) > MAX_BYTES:
        return None  # the search would take seconds
    return next(m.start() for m in _CONSTANT.finditer(text) if m[1])


def _integer(digits: str) -> int | float:
    # As in serde_json: minus zero is a floating-point number.
    if digits == "-0":
        return -0.0
    if len(digits) > _LONG_NUMBER:
        _decimal(digits)  # before int(), whose time grows with the square
    return int(digits)


def _decimal(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        shown = shortened(digits, 24)
        raise NotJson(
            say("holds a number too large for any reader, {shown}", shown=shown)
        )
    return number


def _deeper_than(value: object, limit: int) -> bool:
    level = [value] if isinstance(value, _CONTAINERS) else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for node in level
            for child in (node.values() if isinstance(node, dict) else node)
            if isinstance(child, _CONTAINERS)
        ]
    return bool(level)


def _refuse_lone_surrogates(text: str, value: object) -> None:
    if _SURROGATE.search(text) is None:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise NotJson(say("holds half a character, {half}", half=half)) from None


# What Python's parser says; its text before the release 3.13 and from then on.
_PARSER_SAYS = (
    say("expecting ',' delimiter"),
    say("expecting ':' delimiter"),
    say("expecting property name enclosed in double quotes"),
    say("expecting value"),
    say("illegal trailing comma before end of array"),
    say("illegal trailing comma before end of object"),
    say("invalid \\escape"),
    say("invalid \\uXXXX escape"),
    say("invalid control character"),
    say("unterminated string starting"),
)


def _refusal(text: str, error: json.JSONDecodeError) -> NotJson:
    """What is wrong at the place where the parser stopped, in the writer's terms."""
    position, rest = error.pos, text[error.pos : error.pos + 8]
    # Before Python 3.13 the parser stops at the bracket, from then on at the comma.
    comma = len(text[:position].rstrip()) - 1 if rest[:1] in ("}", "]") else position
    if comma >= 0 and _TRAILING_COMMA.match(text, comma):
        return NotJson(say("has a trailing comma"), comma)
    if rest.startswith("'"):
        return NotJson(
            say("uses single quotes, where JSON wants double ones"), position
        )
    if word := next((w for w in _PYTHON_WORDS if rest.startswith(w)), None):
        return NotJson(
            say("holds Python's {word}, which is not JSON", word=word), position
        )
    if rest.startswith(_COMMENTS):
        return NotJson(say("holds a comment, which JSON does not have"), position)
    if text.startswith("\ufeff"):
        return NotJson(say("begins with a byte order mark (UTF-8 BOM)"), 0)
    if error.msg == "Extra data":
        return NotJson(say("goes on after its end"), position)
    if _ends_early(text, error):
        return NotJson(say("ends early, in the middle of its text"), len(text))
    what = (error.msg[:1].lower() + error.msg[1:]).removesuffix(" at")
    return NotJson(say("is not JSON: {what}", what=known(what)), position)


def _ends_early(text: str, error: json.JSONDecodeError) -> bool:
    rest = text[error.pos :].strip()
    words = ("true", "false", "null", "-")
    unterminated = error.msg.startswith("Unterminated string")
    return unterminated or any(word.startswith(rest) for word in words)


class _Objects:
    """Makes the objects and remembers the contradictions in the outermost, the last."""

    def __init__(self) -> None:
        self.contradictions: list[str] = []

    def __call__(self, pairs: Pairs) -> dict[str, Any]:
        made = dict(pairs)
        if len(made) == len(pairs):
            self.contradictions = []
            return made
        self.contradictions = [
            key
            for key, value in pairs
            if value != made[key] or type(value) is not type(made[key])
        ]
        return made


def read_json_object(
    file: OpenFile | Unavailable, name: str, *, limit: int = MAX_BYTES
) -> JsonObject | Unavailable:
    """The JSON object in a file of at most `limit` bytes, which is closed then.

    `name` is what the reason calls the file. A key given twice with different values
    at the top level is a problem, since readers differ in which they take.
    """
    data = read_bytes(file, name, limit)
    return data if isinstance(data, Unavailable) else json_object(data, name)


def json_object(data: bytes, name: str) -> JsonObject | Unavailable:
    """The JSON object in `data`, or what is wrong with the file called `name`."""
    text = _decoded(data, name)
    if isinstance(text, Unavailable):
        return text
    objects = _Objects()
    if count_values(data) > MAX_VALUES:
        return Unavailable(
            say(
                "{name} holds more than {max_values:,} values",
                name=name,
                max_values=MAX_VALUES,
            )
        )
    try:
        value = parse_json(text, objects)
    except NotJson as refusal:
        told = glued(name, " ", refusal.what)
        return Unavailable(with_place(told, text, refusal.position))
    if not isinstance(value, dict):
        return Unavailable(
            say("{name} is {called}, not an object", name=name, called=_called(value))
        )
    if objects.contradictions:
        key = objects.contradictions[0]
        return Unavailable(
            say('{name} gives "{key}" twice, with different values', name=name, key=key)
        )
    return value


def _called(value: object) -> str:
    """What a JSON value that is no object is called."""
    if isinstance(value, list):
        return say("a list")
    if isinstance(value, str):
        return say("a string")
    if value is None:
        return "null"
    return say("just {value}", value=json.dumps(value)[:24])


def with_place(told: str, text: str, position: int | None) -> str:
    """`told (line 3, column 9)` for a character offset, `told` alone for none."""
    if position is None:
        return told
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return say(
        "{told} (line {line:,}, column {column:,})", told=told, line=line, column=column
    )


def read_text(
    file: OpenFile | Unavailable, name: str, limit: int = MAX_BYTES
) -> str | Unavailable:
    """The exact UTF-8 text of a file of at most `limit` bytes, which is closed then.

    Line ends stay as they are.
    """
    data = _read(file, name, limit, json_expected=False)
    return data if isinstance(data, Unavailable) else _decoded(data, name)


def read_bytes(
    file: OpenFile | Unavailable, name: str, limit: int = MAX_BYTES
) -> bytes | Unavailable:
    """The bytes of a file that should be JSON and may be; the file is closed then."""
    return _read(file, name, limit, json_expected=True)


def _read(
    file: OpenFile | Unavailable, name: str, limit: int, *, json_expected: bool
) -> bytes | Unavailable:
    data = file if isinstance(file, Unavailable) else _all_bytes(file, limit)
    if isinstance(data, Unavailable):
        return Unavailable(glued(name, " ", data.reason))
    if problem := _not_text(data, json_expected):
        return Unavailable(glued(name, problem))
    return data


def _all_bytes(file: OpenFile, limit: int) -> bytes | Unavailable:
    with closing(file):
        if file.size > limit:
            return Unavailable(
                say(
                    "has {size:,} bytes; at most {limit:,} are read",
                    size=file.size,
                    limit=limit,
                )
            )
        try:
            data = file.read(0, file.size)
            file.check_unchanged()
        except (Changed, Unreadable) as error:
            return Unavailable(error.without_name)
        return data


def _not_text(data: bytes, json_expected: bool) -> str:
    """Why the bytes cannot be what was asked for, nothing if they may be."""
    if json_expected and not data:
        return glued(" ", say("is empty (0 bytes)"))
    if data and not data.strip(b"\0"):
        told = say("holds nothing but zero bytes ({count:,})", count=len(data))
        return glued(" ", told)
    if data.startswith(_UTF16_MARKS):
        return glued(" ", say("is UTF-16 or UTF-32 text; save it as UTF-8"))
    if not json_expected:
        kind = recognise(data[:HEAD_BYTES])
        if kind is not Kind.LFS_POINTER:
            return ""
        return glued(": ", instead_of(kind, "", len(data)))
    if kind := recognise(data[:HEAD_BYTES]):
        return glued(": ", instead_of(kind, "JSON", len(data)))
    if data.startswith(codecs.BOM_UTF8):
        told = say("begins with a byte order mark (UTF-8 BOM); save it without")
        return glued(" ", told)
    return ""


def _decoded(data: bytes, shown: str) -> str | Unavailable:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return Unavailable(
            say(
                "{name} is not UTF-8: byte 0x{byte:02x} at offset {offset:,} (line "
                "{line:,})",
                name=shown,
                byte=data[error.start],
                offset=error.start,
                line=line,
            )
        )
