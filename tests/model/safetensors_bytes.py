"""Raw safetensors containers, sound or broken, for the tests of their readers."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from preflight.model.dtypes import BITS

Entry = dict[str, Any]


def container(
    header: bytes | str | Mapping[str, Any],
    data: bytes = b"",
    *,
    length: int | None = None,
) -> bytes:
    """A file of `header` and `data`; `length` overrides the header's true one."""
    if isinstance(header, Mapping):
        header = json.dumps(header)
    raw = header.encode() if isinstance(header, str) else header
    claimed = len(raw) if length is None else length
    return claimed.to_bytes(8, "little") + raw + data


def entry(dtype: str, shape: Sequence[int], start: int = 0) -> Entry:
    """The header's entry for a tensor whose data begin at `start` in the data."""
    end = start + math.prod(shape) * BITS[dtype] // 8
    return {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}


def entries(tensors: Mapping[str, tuple[str, Sequence[int]]]) -> dict[str, Entry]:
    """Entries for tensors of (dtype, shape), laid one behind the other."""
    made: dict[str, Entry] = {}
    start = 0
    for name, (dtype, shape) in tensors.items():
        made[name] = entry(dtype, shape, start)
        start = made[name]["data_offsets"][1]
    return made


def sound(
    tensors: Mapping[str, tuple[str, Sequence[int]]],
    metadata: Mapping[str, str] | None = None,
) -> bytes:
    """A sound container of zeros; `metadata` of None writes none."""
    made = entries(tensors)
    size = max((e["data_offsets"][1] for e in made.values()), default=0)
    head = {} if metadata is None else {"__metadata__": dict(metadata)}
    return container({**head, **made}, bytes(size))
