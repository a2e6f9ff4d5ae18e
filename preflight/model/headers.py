"""The safetensors container: its header, read with bounds and judged in bytes.

The format: https://huggingface.co/docs/safetensors/index#format. The library's own
answer is one sentence that changes between releases, so the cause is found here;
`oracle_accepts` asks the library itself, which has the last word.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter
from pathlib import Path
from typing import TypeGuard

from preflight.findings import Unavailable
from preflight.model.configs import (
    NotJson,
    Pairs,
    collector_paused,
    count_values,
    parse_json,
    place,
)
from preflight.model.dtypes import BITS
from preflight.model.recognise import HEAD_BYTES, instead_of, recognise
from preflight.model.source import OpenFile
from preflight.model.steady import Changed, Unreadable, open_regular
from preflight.text import shortened

MAX_HEADER_BYTES = 100_000_000  # MAX_HEADER_SIZE of the safetensors library
SECONDS = 10.0  # of CPU time, in which the header of one file must be read
VALUES_PER_SECOND = 400_000  # on a slow machine; a LoRA half holds nine

_MAX_WORD = 2**64 - 1  # the library counts in unsigned 64-bit integers
_METADATA = "__metadata__"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


class Cause(str, Enum):
    """Why a file is no safetensors container."""

    UNREADABLE = "unreadable"
    TOO_SMALL = "too-small"
    LFS_POINTER = "lfs-pointer"
    HTML = "html"
    GGUF = "gguf"
    ARCHIVE = "archive"
    PICKLE = "pickle"
    ALL_ZERO = "all-zero"
    OVER_LIMIT = "over-limit"
    BEYOND_FILE = "beyond-file"
    NOT_UTF8 = "not-utf8"
    BAD_JSON = "bad-json"
    BAD_ENTRY = "bad-entry"
    DUPLICATE_NAME = "duplicate-name"
    BAD_METADATA = "bad-metadata"
    UNKNOWN_DTYPE = "unknown-dtype"
    BAD_SHAPE = "bad-shape"
    BAD_OFFSETS = "bad-offsets"
    SPAN_MISMATCH = "span-mismatch"
    OVERFLOW = "overflow"
    MISALIGNED = "misaligned"
    TRUNCATED = "truncated"
    TRAILING = "trailing"
    CHANGED = "changed"


@dataclass(frozen=True, slots=True)
class Difference:
    """A cause for which this reader refuses what the library may accept, and why."""

    cause: Cause
    reason: str


# In all else this reader and safetensors.safe_open agree; a test compares them.
DIFFERENCES = (
    Difference(
        Cause.DUPLICATE_NAME,
        "the library keeps one of two entries of a name; which one, readers differ",
    ),
    Difference(
        Cause.BAD_ENTRY,
        "the library also takes a tensor as a list and a dtype as an object, which "
        "the format does not describe and other readers refuse",
    ),
)


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor; `start` and `end` are byte offsets from the start of the file."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def size(self) -> int:
        """Bytes of data."""
        return self.end - self.start

    @property
    def count(self) -> int:
        """Elements."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Container:
    """A sound file of `size` bytes whose data begin at byte `data_start`.

    `tensors` are in the order of their data; `metadata` is None where there is none.
    """

    file: str
    size: int
    data_start: int
    tensors: tuple[Tensor, ...]
    metadata: Mapping[str, str] | None


@dataclass(frozen=True, slots=True)
class Broken:
    """A file that cannot be loaded: what it is, and in bytes what it should be."""

    file: str
    cause: Cause
    message: str


@dataclass(frozen=True, slots=True)
class Unread:
    """A file that may be sound, and was not read to its end within `SECONDS`."""

    file: str
    reason: str


Reading = Container | Broken | Unread


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


def oracle_accepts(path: Path) -> bool | str:
    """True if the safetensors library opens the file, otherwise its message.

    Reads the header only. Needs numpy, which the library imports to open a file.
    """
    from safetensors import SafetensorError, safe_open

    file = open_regular(path)
    if isinstance(file, Unavailable):
        return file.reason  # the library would wait for a FIFO's writer
    try:
        with closing(file), safe_open(file.path, framework="numpy"):
            return True
    except (SafetensorError, OSError, ValueError) as error:
        return shortened(str(error), 500)


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
        what = "an empty file" if file.size == 0 else _bytes(file.size)
        message = f"{what}; even a header without tensors takes 10 bytes"
        raise _Problem(Cause.TOO_SMALL, message)
    length = int.from_bytes(file.read(0, 8), "little")
    if length == 0 or length > min(MAX_HEADER_BYTES, file.size - 8):
        head = file.read(0, min(HEAD_BYTES, file.size))
        raise _not_a_container(head, length, file.size)
    return length


def _header(file: OpenFile, length: int) -> str:
    data = file.read(8, length)
    if not data.strip(b"\0"):
        message = f"all {length:,} bytes of the header are zero: it was never written"
        raise _Problem(Cause.ALL_ZERO, message)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        byte = f"byte 0x{data[error.start]:02x} at file offset {error.start + 8:,}"
        raise _Problem(Cause.NOT_UTF8, f"the header is not UTF-8: {byte}") from None


def _not_a_container(head: bytes, length: int, size: int) -> _Problem:
    """The problem of a file whose first eight bytes give no possible length."""
    if kind := recognise(head):
        message = instead_of(kind, "a safetensors file", size)
        return _Problem(Cause[kind.name], message)
    if length == 0 and not head.strip(b"\0"):
        message = f"the first {len(head):,} of {size:,} bytes are zero: never written"
        return _Problem(Cause.ALL_ZERO, message)
    if length == 0:
        return _Problem(Cause.BAD_JSON, "the header should be JSON and is 0 bytes long")
    text = ""
    if all(32 <= byte < 127 for byte in head[:8]):
        text = f'; the file begins with the text "{head[:8].decode("ascii")}"'
    claim = f"the first 8 bytes give a header of {length:,} bytes"
    if length > MAX_HEADER_BYTES:
        message = f"{claim}, at most {MAX_HEADER_BYTES:,} are allowed{text}"
        return _Problem(Cause.OVER_LIMIT, message)
    missing = length + 8 - size
    message = f"{claim}, but the file of {size:,} bytes ends {missing:,} bytes before"
    return _Problem(Cause.BEYOND_FILE, f"{message} that{text}")


def _entries(text: str) -> dict[str, object]:
    most = int(SECONDS * VALUES_PER_SECOND)
    # Commas inside strings count for nothing; taking the strings out is slower.
    if count_values(text) > most and count_values(_STRING.sub("", text)) > most:
        raise _OutOfTime(
            f"its header of {len(text):,} characters holds more than {most:,} values; "
            f"reading it would take longer than {SECONDS:.0f} s"
        )
    try:
        entries = parse_json(text, _unique)
    except NotJson as refusal:
        message = f"the header {refusal.what}{place(text, refusal.position)}"
        raise _Problem(Cause.BAD_JSON, message) from None
    if not isinstance(entries, dict):
        raise _Problem(Cause.BAD_JSON, "the header is JSON, but not an object")
    return entries


def _unique(pairs: Pairs) -> dict[str, object]:
    made = dict(pairs)
    if len(made) == len(pairs):
        return made
    keys = [key for key, _ in pairs]
    twice = next(key for key, uses in Counter(keys).items() if uses > 1)
    message = f'the header gives "{shortened(twice)}" twice'
    raise _Problem(Cause.DUPLICATE_NAME, message)


def _metadata(entries: dict[str, object]) -> Mapping[str, str] | None:
    found = entries.pop(_METADATA, None)
    if found is None:
        return None
    if not isinstance(found, dict):
        message = f"{_METADATA} should be an object of strings"
        raise _Problem(Cause.BAD_METADATA, message)
    for key, value in found.items():
        if not isinstance(value, str):
            message = f'"{shortened(key)}" in {_METADATA} is not a string'
            raise _Problem(Cause.BAD_METADATA, message)
    return found


def _tensor(name: str, entry: object, data_start: int) -> Tensor:
    if not isinstance(entry, dict):
        raise _of(name, Cause.BAD_ENTRY, "is not described by an object")
    dtype, shape = entry.get("dtype"), entry.get("shape")
    offsets = entry.get("data_offsets")
    if not isinstance(dtype, str):
        raise _of(name, Cause.BAD_ENTRY, "has no dtype, or one that is not a string")
    if dtype not in BITS:
        what = f'has the dtype "{shortened(dtype, 40)}"; safetensors knows'
        raise _of(name, Cause.UNKNOWN_DTYPE, f"{what} {', '.join(BITS)}")
    if not _are_words(shape):
        what = f"should have a shape of whole numbers from 0 and has {_shown(shape)}"
        raise _of(name, Cause.BAD_SHAPE, what)
    if not _are_words(offsets) or len(offsets) != 2:
        what = f"should have two data_offsets from 0 and has {_shown(offsets)}"
        raise _of(name, Cause.BAD_OFFSETS, what)
    start, end = offsets
    return Tensor(name, dtype, tuple(shape), data_start + start, data_start + end)


def _of(name: str, cause: Cause, what: str) -> _Problem:
    return _Problem(cause, f'tensor "{shortened(name)}" {what}')


def _shown(value: object) -> str:
    return "none" if value is None else shortened(repr(value), 80)


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
            what = f"takes {bits:,} bits, which is no whole number of bytes"
            raise _of(tensor.name, Cause.MISALIGNED, what)
        if bits != 8 * tensor.size:
            what = f"takes {bits // 8:,} bytes as {tensor.dtype} {list(tensor.shape)}"
            what = f"{what}, its data_offsets span {tensor.size:,}"
            raise _of(tensor.name, Cause.SPAN_MISMATCH, what)
        expected = tensor.end
    return expected


def _gap(tensor: Tensor, expected: int) -> str:
    if tensor.end < tensor.start:
        return f"ends at byte {tensor.end:,}, before its start at {tensor.start:,}"
    if tensor.start < expected:
        shared = _bytes(expected - tensor.start)
        return f"begins {shared} before the end of the one before it"
    hole = _bytes(tensor.start - expected)
    return f"begins {hole} after the end of the data before it"


def _bits(tensor: Tensor) -> int:
    """The tensor's size in bits, with the overflow that the library would meet."""
    total = 1
    for factor in (*tensor.shape, BITS[tensor.dtype]):
        total *= factor
        if total > _MAX_WORD:
            what = f"of shape {_shown(list(tensor.shape))} exceeds 64-bit sizes"
            raise _of(tensor.name, Cause.OVERFLOW, what)
    return total


def _check_length(described: int, size: int) -> None:
    both = f"the header describes {described:,} bytes, the file has {size:,}"
    if size < described:
        message = f"{_bytes(described - size)} short: {both}"
        raise _Problem(Cause.TRUNCATED, message)
    if size > described:
        raise _Problem(Cause.TRAILING, f"{_bytes(size - described)} too many: {both}")


def _bytes(count: int) -> str:
    return "1 byte" if count == 1 else f"{count:,} bytes"
