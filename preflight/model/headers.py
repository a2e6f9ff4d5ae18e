"""The safetensors container: its header, read with bounds and judged in bytes.

The format: https://huggingface.co/docs/safetensors/index#format. The library's own
answer is one sentence that changes between releases, so the cause is found here;
`oracle.py` asks the library itself, which has the last word.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from operator import attrgetter
from typing import TypeGuard

from preflight.findings import Unavailable
from preflight.language import say, say_n
from preflight.model.configs import (
    NotJson,
    Pairs,
    collector_paused,
    count_values,
    parse_json,
    with_place,
)
from preflight.model.containers import (
    DIFFERENCES,
    Broken,
    Cause,
    Container,
    Difference,
    Reading,
    Tensor,
    Unread,
)
from preflight.model.dtypes import BITS
from preflight.model.recognise import HEAD_BYTES, instead_of, recognise
from preflight.model.source import OpenFile
from preflight.model.steady import Changed, Unreadable
from preflight.text import shortened

__all__ = [
    "DIFFERENCES",
    "MAX_HEADER_BYTES",
    "SECONDS",
    "VALUES_PER_SECOND",
    "Broken",
    "Cause",
    "Container",
    "Difference",
    "Reading",
    "Tensor",
    "Unread",
    "read_container",
    "whole_header",
]

MAX_HEADER_BYTES = 100_000_000  # MAX_HEADER_SIZE of the safetensors library
SECONDS = 10.0  # of CPU time, in which the header of one file must be read
VALUES_PER_SECOND = 400_000  # on a slow machine; a LoRA half holds nine

_MAX_WORD = 2**64 - 1  # the library counts in unsigned 64-bit integers
_METADATA = "__metadata__"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class _OutOfTime(Exception):
    """The budget is spent; the text says on what."""


class _Problem(Exception):
    """Ends the reading of one container."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


def read_container(file: OpenFile | Unavailable, name: str) -> Reading:
    """The header of one safetensors file, or why it has none; never raises.

    `name` is what the result calls the file, which is closed then. At most the header
    and, of a file that is something else, its first bytes are read. `SECONDS` do for
    400,000 tensors.
    """
    if isinstance(file, Unavailable):
        return Broken(name, Cause.UNREADABLE, file.reason)
    with closing(file), collector_paused():
        try:
            return _container(file, name)
        except _Problem as problem:
            return Broken(name, problem.cause, problem.message)
        except _OutOfTime as spent:
            return Unread(name, str(spent))
        except Changed as error:
            return Broken(name, Cause.CHANGED, error.without_name)
        except Unreadable as error:
            return Broken(name, Cause.UNREADABLE, error.without_name)


def whole_header(head: bytes) -> int:
    """By the first bytes of a file, how many its header takes with its length."""
    length = int.from_bytes(head[:8], "little")
    return 8 + length if length <= MAX_HEADER_BYTES else HEAD_BYTES


def _container(file: OpenFile, name: str) -> Container:
    length = _header_length(file)
    text = _header(file, length)
    file.check_unchanged()
    data_start = 8 + length
    entries = _entries(text)
    metadata = _metadata(entries)
    tensors = [_tensor(key, entry, data_start) for key, entry in entries.items()]
    tensors.sort(key=attrgetter("start", "end"))
    end = _check_layout(tensors, data_start)
    _check_length(end, file.size)
    return Container(name, file.size, data_start, tuple(tensors), metadata)


def _header_length(file: OpenFile) -> int:
    """What the first eight bytes say, if it is possible in this file."""
    if file.size < 8:
        what = say("an empty file") if file.size == 0 else _bytes(file.size)
        message = say("{what}; even a header without tensors takes 10 bytes", what=what)
        raise _Problem(Cause.TOO_SMALL, message)
    length = int.from_bytes(file.read(0, 8), "little")
    if length == 0 or length > min(MAX_HEADER_BYTES, file.size - 8):
        head = file.read(0, min(HEAD_BYTES, file.size))
        raise _not_a_container(head, length, file.size)
    return length


def _header(file: OpenFile, length: int) -> str:
    data = file.read(8, length)
    if not data.strip(b"\0"):
        message = say(
            "all {length:,} bytes of the header are zero: it was never written",
            length=length,
        )
        raise _Problem(Cause.ALL_ZERO, message)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        message = say(
            "the header is not UTF-8: byte 0x{byte:02x} at file offset {offset:,}",
            byte=data[error.start],
            offset=error.start + 8,
        )
        raise _Problem(Cause.NOT_UTF8, message) from None


def _not_a_container(head: bytes, length: int, size: int) -> _Problem:
    """The problem of a file whose first eight bytes give no possible length."""
    if kind := recognise(head):
        message = instead_of(kind, say("a safetensors file"), size)
        return _Problem(Cause[kind.name], message)
    if length == 0 and not head.strip(b"\0"):
        message = say(
            "the first {count:,} of {size:,} bytes are zero: never written",
            count=len(head),
            size=size,
        )
        return _Problem(Cause.ALL_ZERO, message)
    if length == 0:
        return _Problem(
            Cause.BAD_JSON, say("the header should be JSON and is 0 bytes long")
        )
    text: str | None = None
    if all(32 <= byte < 127 for byte in head[:8]):
        text = head[:8].decode("ascii")
    if length > MAX_HEADER_BYTES:
        cause = Cause.OVER_LIMIT
        message = say(
            "the first 8 bytes give a header of {length:,} bytes, at most {most:,} are "
            "allowed",
            length=length,
            most=MAX_HEADER_BYTES,
        )
    else:
        cause = Cause.BEYOND_FILE
        message = say(
            "the first 8 bytes give a header of {length:,} bytes, but the file of "
            "{size:,} bytes ends {missing:,} bytes before that",
            length=length,
            size=size,
            missing=length + 8 - size,
        )
    if text is None:
        return _Problem(cause, message)
    told = say(
        '{told}; the file begins with the text "{text}"', told=message, text=text
    )
    return _Problem(cause, told)


def _entries(text: str) -> dict[str, object]:
    most = int(SECONDS * VALUES_PER_SECOND)
    # Commas inside strings count for nothing; taking the strings out is slower.
    if count_values(text) > most and count_values(_STRING.sub("", text)) > most:
        raise _OutOfTime(
            say(
                "its header of {count:,} characters holds more than {most:,} "
                "values; reading it would take longer than {seconds:.0f} s",
                count=len(text),
                most=most,
                seconds=SECONDS,
            )
        )
    try:
        entries = parse_json(text, _unique)
    except NotJson as refusal:
        message = say("the header {what}", what=refusal.what)
        message = with_place(message, text, refusal.position)
        raise _Problem(Cause.BAD_JSON, message) from None
    if not isinstance(entries, dict):
        raise _Problem(Cause.BAD_JSON, say("the header is JSON, but not an object"))
    return entries


def _unique(pairs: Pairs) -> dict[str, object]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    keys = [key for key, _ in pairs]
    twice = next(key for key, uses in Counter(keys).items() if uses > 1)
    message = say('the header gives "{twice}" twice', twice=shortened(twice))
    raise _Problem(Cause.DUPLICATE_NAME, message)


def _metadata(entries: dict[str, object]) -> Mapping[str, str] | None:
    found = entries.pop(_METADATA, None)
    if found is None:
        return None
    if not isinstance(found, dict):
        message = say("{metadata} should be an object of strings", metadata=_METADATA)
        raise _Problem(Cause.BAD_METADATA, message)
    for key, value in found.items():
        if not isinstance(value, str):
            message = say(
                '"{key}" in {metadata} is not a string',
                key=shortened(key),
                metadata=_METADATA,
            )
            raise _Problem(Cause.BAD_METADATA, message)
    return found


def _tensor(name: str, entry: object, data_start: int) -> Tensor:
    if not isinstance(entry, dict):
        raise _of(name, Cause.BAD_ENTRY, say("is not described by an object"))
    dtype, shape = entry.get("dtype"), entry.get("shape")
    offsets = entry.get("data_offsets")
    if not isinstance(dtype, str):
        raise _of(
            name, Cause.BAD_ENTRY, say("has no dtype, or one that is not a string")
        )
    if dtype not in BITS:
        what = say(
            'has the dtype "{dtype}"; safetensors knows {known}',
            dtype=shortened(dtype, 40),
            known=", ".join(BITS),
        )
        raise _of(name, Cause.UNKNOWN_DTYPE, what)
    if not _are_words(shape):
        what = say(
            "should have a shape of whole numbers from 0 and has {shown}",
            shown=_shown(shape),
        )
        raise _of(name, Cause.BAD_SHAPE, what)
    if not _are_words(offsets) or len(offsets) != 2:
        what = say(
            "should have two data_offsets from 0 and has {shown}", shown=_shown(offsets)
        )
        raise _of(name, Cause.BAD_OFFSETS, what)
    start, end = offsets
    return Tensor(name, dtype, tuple(shape), data_start + start, data_start + end)


def _of(name: str, cause: Cause, what: str) -> _Problem:
    return _Problem(
        cause, say('tensor "{name}" {what}', name=shortened(name), what=what)
    )


def _shown(value: object) -> str:
    return say("none") if value is None else shortened(repr(value), 80)


def _are_words(values: object) -> TypeGuard[list[int]]:
    """Whether a list holds unsigned 64-bit integers only; true is none in JSON."""
    if not isinstance(values, list):
        return False
    for value in values:  # twice as quick as all() with a generator
        if type(value) is not int or not 0 <= value <= _MAX_WORD:
            return False
    return True


def _check_layout(tensors: list[Tensor], data_start: int) -> int:
    """Where the data end; the tensors must lie one behind the other."""
    expected = data_start
    for tensor in tensors:
        if tensor.start != expected or tensor.end < tensor.start:
            raise _of(tensor.name, Cause.BAD_OFFSETS, _gap(tensor, expected))
        bits = _bits(tensor)
        if bits % 8:
            what = say(
                "takes {bits:,} bits, which is no whole number of bytes", bits=bits
            )
            raise _of(tensor.name, Cause.MISALIGNED, what)
        if bits != 8 * tensor.size:
            what = say(
                "takes {size:,} bytes as {dtype} {shape}, its data_offsets span "
                "{span:,}",
                size=bits // 8,
                dtype=tensor.dtype,
                shape=list(tensor.shape),
                span=tensor.size,
            )
            raise _of(tensor.name, Cause.SPAN_MISMATCH, what)
        expected = tensor.end
    return expected


def _gap(tensor: Tensor, expected: int) -> str:
    if tensor.end < tensor.start:
        return say(
            "ends at byte {end:,}, before its start at {start:,}",
            end=tensor.end,
            start=tensor.start,
        )
    if tensor.start < expected:
        shared = _bytes(expected - tensor.start)
        return say("begins {shared} before the end of the one before it", shared=shared)
    hole = _bytes(tensor.start - expected)
    return say("begins {hole} after the end of the data before it", hole=hole)


def _bits(tensor: Tensor) -> int:
    """The tensor's size in bits, with the overflow that the library would meet."""
    total = 1
    for factor in (*tensor.shape, BITS[tensor.dtype]):
        total *= factor
        if total > _MAX_WORD:
            what = say(
                "of shape {shown} exceeds 64-bit sizes",
                shown=_shown(list(tensor.shape)),
            )
            raise _of(tensor.name, Cause.OVERFLOW, what)
    return total


def _check_length(described: int, size: int) -> None:
    both = say(
        "the header describes {described:,} bytes, the file has {size:,}",
        described=described,
        size=size,
    )
    if size < described:
        message = say(
            "{bytes} short: {both}", bytes=_bytes(described - size), both=both
        )
        raise _Problem(Cause.TRUNCATED, message)
    if size > described:
        raise _Problem(
            Cause.TRAILING,
            say("{bytes} too many: {both}", bytes=_bytes(size - described), both=both),
        )


def _bytes(count: int) -> str:
    return say_n("{count} byte", "{count:,} bytes", count=count)
