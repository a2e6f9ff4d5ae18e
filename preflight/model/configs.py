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
        what = f"holds {constant}, which is not JSON"
        raise NotJson(what, _first_constant(text)) from None
    if too_deep:
        raise NotJson(f"is nested more than {MAX_DEPTH} levels deep")
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
        raise NotJson(f"holds a number too large for any reader, {shown}")
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
        raise NotJson(f"holds half a character, {half}") from None


def _refusal(text: str, error: json.JSONDecodeError) -> NotJson:
    """What is wrong at the place where the parser stopped, in the writer's terms."""
    position, rest = error.pos, text[error.pos : error.pos + 8]
    # Before Python 3.13 the parser stops at the bracket, from then on at the comma.
    comma = len(text[:position].rstrip()) - 1 if rest[:1] in ("}", "]") else position
    if comma >= 0 and _TRAILING_COMMA.match(text, comma):
        return NotJson("has a trailing comma", comma)
    if rest.startswith("'"):
        return NotJson("uses single quotes, where JSON wants double ones", position)
    if word := next((w for w in _PYTHON_WORDS if rest.startswith(w)), None):
        return NotJson(f"holds Python's {word}, which is not JSON", position)
    if rest.startswith(_COMMENTS):
        return NotJson("holds a comment, which JSON does not have", position)
    if text.startswith("\ufeff"):
        return NotJson("begins with a byte order mark (UTF-8 BOM)", 0)
    if error.msg == "Extra data":
        return NotJson("goes on after its end", position)
    if _ends_early(text, error):
        return NotJson("ends early, in the middle of its text", len(text))
    what = (error.msg[:1].lower() + error.msg[1:]).removesuffix(" at")
    return NotJson(f"is not JSON: {what}", position)


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
        return Unavailable(f"{name} holds more than {MAX_VALUES:,} values")
    try:
        value = parse_json(text, objects)
    except NotJson as refusal:
        return Unavailable(f"{name} {refusal.what}{place(text, refusal.position)}")
    if not isinstance(value, dict):
        return Unavailable(f"{name} is {_called(value)}, not an object")
    if objects.contradictions:
        key = objects.contradictions[0]
        return Unavailable(f'{name} gives "{key}" twice, with different values')
    return value


def _called(value: object) -> str:
    """What a JSON value that is no object is called."""
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a string"
    return "null" if value is None else f"just {json.dumps(value)[:24]}"


def place(text: str, position: int | None) -> str:
    """` (line 3, column 9)` for a character offset, nothing for none."""
    if position is None:
        return ""
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return f" (line {line:,}, column {column:,})"


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
        return Unavailable(f"{name} {data.reason}")
    if problem := _not_text(data, json_expected):
        return Unavailable(f"{name}{problem}")
    return data


def _all_bytes(file: OpenFile, limit: int) -> bytes | Unavailable:
    with closing(file):
        if file.size > limit:
            return Unavailable(f"has {file.size:,} bytes; at most {limit:,} are read")
        try:
            data = file.read(0, file.size)
            file.check_unchanged()
        except (Changed, Unreadable) as error:
            return Unavailable(error.without_name)
        return data


def _not_text(data: bytes, json_expected: bool) -> str:
    """Why the bytes cannot be what was asked for, nothing if they may be."""
    if json_expected and not data:
        return " is empty (0 bytes)"
    if data and not data.strip(b"\0"):
        return f" holds nothing but zero bytes ({len(data):,})"
    if data.startswith(_UTF16_MARKS):
        return " is UTF-16 or UTF-32 text; save it as UTF-8"
    if not json_expected:
        kind = recognise(data[:HEAD_BYTES])
        return (
            f": {instead_of(kind, '', len(data))}" if kind is Kind.LFS_POINTER else ""
        )
    if kind := recognise(data[:HEAD_BYTES]):
        return f": {instead_of(kind, 'JSON', len(data))}"
    if data.startswith(codecs.BOM_UTF8):
        return " begins with a byte order mark (UTF-8 BOM); save it without"
    return ""


def _decoded(data: bytes, shown: str) -> str | Unavailable:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{data[error.start]:02x} at offset {error.start:,}"
        return Unavailable(f"{shown} is not UTF-8: {byte} (line {line:,})")
