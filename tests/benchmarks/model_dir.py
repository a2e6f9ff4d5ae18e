"""A model directory of a wanted size, of real random bytes, in the page cache."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from preflight.crc import crc64

MIB = 1 << 20
TENSOR = 64 * MIB  # bytes of one tensor, as a large projection has

# BF16 is non-finite when its exponent is all ones: without these two values of the
# high byte none is, and the scan goes the way that it goes with trained weights.
_FINITE = bytes(0x3F if byte in (0x7F, 0xFF) else byte for byte in range(256))


@dataclass(frozen=True, slots=True)
class Written:
    """Size in bytes and CRC-64 of a file that was written."""

    size: int
    crc64: int


def _header(size: int) -> bytes:
    """The head of a safetensors file with `size` bytes of BF16 tensors."""
    tensors = {
        f"model.layers.{at // TENSOR}.weight": {
            "dtype": "BF16",
            "shape": [(min(at + TENSOR, size) - at) // 2],
            "data_offsets": [at, min(at + TENSOR, size)],
        }
        for at in range(0, size, TENSOR)
    }
    text = json.dumps(tensors).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write_shard(path: Path, size: int) -> Written:
    piece = _header(size)
    length, crc = len(piece), crc64(piece)
    with path.open("wb") as target:
        target.write(piece)
        for at in range(0, size, MIB):
            piece = os.urandom(min(MIB, size - at)).translate(_FINITE)
            target.write(piece)
            length, crc = length + len(piece), crc64(piece, crc)
        target.flush()
        os.fsync(target.fileno())  # writing back later would disturb the first round
    return Written(length, crc)


def make_model(root: Path, size: int, *, shards: int = 4) -> Mapping[str, Written]:
    """Write `size` bytes of weights in equal shards, and two small files beside them.

    Returns what was written by file name.
    """
    share = size // shards // 2 * 2  # whole BF16 elements
    made = {}
    for number in range(1, shards + 1):
        name = f"model-{number:05d}-of-{shards:05d}.safetensors"
        made[name] = _write_shard(root / name, share)
    for name in ("config.json", "generation_config.json"):
        data = json.dumps({"model_type": "qwen3", "file": name}).encode()
        (root / name).write_bytes(data)
        made[name] = Written(len(data), crc64(data))
    return made


def warm(root: Path) -> None:
    """Read every file once, so that the page cache holds it."""
    for path in root.iterdir():
        with path.open("rb", buffering=0) as source:
            while source.read(MIB):
                pass
