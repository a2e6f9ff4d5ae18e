"""What an adapter adds to each weight, computed apart from the code that is tested."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from fixtures.tensors import read_header

Matrix = npt.NDArray[np.float64]
_LAYER = re.compile(r"layers\.(\d+)\.(.+)\.lora_(A|B)\.weight$")


def raw_tensors(path: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Name to format, shape and bytes."""
    header, base = read_header(path)
    header.pop("__metadata__", None)
    data = path.read_bytes()[base:]
    return {
        name: (
            entry["dtype"],
            tuple(entry["shape"]),
            data[slice(*entry["data_offsets"])],
        )
        for name, entry in header.items()
    }


def wide(dtype: str, shape: tuple[int, ...], data: bytes) -> Matrix:
    """The values in 64 bits."""
    if dtype == "BF16":
        words = np.frombuffer(data, "<u2").astype("<u4") << np.uint32(16)
        half: Matrix = words.view("<f4").astype(np.float64).reshape(shape)
        return half
    kind = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}[dtype]
    plain: Matrix = np.frombuffer(data, kind).astype(np.float64).reshape(shape)
    return plain


def _given(pattern: Any, module: str, default: float) -> float:  # noqa: ANN401
    for key, value in (pattern or {}).items():
        if re.fullmatch(rf"(.*\.)?({key})", module):
            return float(value)
    return default


def scale(config: dict[str, Any], module: str, rank: int) -> float:
    """As PEFT computes it: alpha / r, or alpha / sqrt(r)."""
    alpha = _given(config.get("alpha_pattern"), module, float(config["lora_alpha"]))
    return alpha / (math.sqrt(rank) if config.get("use_rslora") else rank)


def effect(directory: Path) -> dict[str, Matrix]:
    """Layer and module to what is added to its weight."""
    config = json.loads((directory / "adapter_config.json").read_text("utf-8"))
    halves: dict[str, dict[str, Matrix]] = {}
    for name, stored in raw_tensors(directory / "adapter_model.safetensors").items():
        if match := _LAYER.search(name):
            key = f"layers.{match[1]}.{match[2]}"
            halves.setdefault(key, {})[match[3]] = wide(*stored)
    return {
        key: scale(config, key, len(pair["A"])) * (pair["B"] @ pair["A"])
        for key, pair in halves.items()
    }


def same_effect(one: Path, other: Path) -> bool:
    """Whether both add the same to every weight, but for the rounding of 64 bits."""
    first, second = effect(one), effect(other)
    return first.keys() == second.keys() and all(
        np.allclose(first[key], second[key], rtol=1e-12, atol=1e-18) for key in first
    )


def snapshot(directory: Path) -> dict[str, tuple[str, int, int]]:
    """Every file with the digest of its bytes, its time and its permissions."""
    found = {}
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            stat = path.stat()
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            name = str(path.relative_to(directory))
            found[name] = (digest, stat.st_mtime_ns, stat.st_mode)
    return found
