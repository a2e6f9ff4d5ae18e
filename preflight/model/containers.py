"""What a safetensors file turned out to be: a sound container, or why it is none."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from preflight.findings import Unavailable
from preflight.language import say


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


def not_usable(reading: Reading) -> Unavailable | None:
    """Why the tensors of a file are not known; None where they are."""
    if isinstance(reading, Broken):
        return Unavailable(say("{file} is broken", file=reading.file))
    if isinstance(reading, Unread):
        told = say(
            "{file} was not read: {reason}", file=reading.file, reason=reading.reason
        )
        return Unavailable(told)
    return None
