"""A safetensors header, read by ranges and held against the file's length.

Format: 8 bytes little-endian length, that much JSON, then the data without a hole:
https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from preflight.sandbox.studio.store import Files, Rejected, parse_object

MAX_HEADER = 100_000_000  # bytes, the format's own limit
_BITS = {
    "BOOL": 8,
    "F4": 4,
    "F6_E2M3": 6,
    "F6_E3M2": 6,
    "U8": 8,
    "I8": 8,
    "F8_E4M3": 8,
    "F8_E5M2": 8,
    "F8_E8M0": 8,
    "I16": 16,
    "U16": 16,
    "F16": 16,
    "BF16": 16,
    "I32": 32,
    "U32": 32,
    "F32": 32,
    "C64": 64,
    "F64": 64,
    "I64": 64,
    "U64": 64,
}
_FLOATS = {"F16", "BF16", "F32"}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One entry of a header; the span is in bytes from the start of the data."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return prod(self.shape)


def _is_count(value: object) -> bool:
    return type(value) is int and value >= 0


def _tensor(file: str, name: str, entry: object) -> Tensor:
    keys = {"dtype", "shape", "data_offsets"}
    if not isinstance(entry, dict) or set(entry) != keys:
        raise Rejected(f"{file}: the entry of {name} is malformed")
    shape, span = entry["shape"], entry["data_offsets"]
    counts = [*shape, *span] if isinstance(shape, list) and type(span) is list else [""]
    if not all(map(_is_count, counts)) or len(span) != 2:
        raise Rejected(f"{file}: shape or offsets of {name} are malformed")
    dtype = entry["dtype"]
    if not isinstance(dtype, str) or dtype not in _BITS:
        raise Rejected(f"{file}: {name} has the unknown type {dtype!r}")
    return Tensor(name, dtype, tuple(shape), span[0], span[1])


def _check_spans(file: str, tensors: list[Tensor], length: int) -> None:
    expected = 0
    for tensor in sorted(tensors, key=lambda t: (t.begin, t.end)):
        if tensor.begin != expected:
            raise Rejected(f"{file}: a hole or an overlap before {tensor.name}")
        if (tensor.end - tensor.begin) * 8 != tensor.elements * _BITS[tensor.dtype]:
            raise Rejected(f"{file}: span and shape of {tensor.name} disagree")
        expected = tensor.end
    if expected != length:
        raise Rejected(f"{file}: the data has {length} bytes, not {expected}")


def _raw_header(files: Files, file: str) -> bytes:
    size = files.size(file)
    if size < 8:
        raise Rejected(f"{file}: {size} bytes are no safetensors file")
    length = int.from_bytes(files.read(file, 0, 8), "little")
    if length > MAX_HEADER or 8 + length > size:
        raise Rejected(f"{file}: the header does not fit into {size} bytes")
    return files.read(file, 8, length)


def read_tensors(files: Files, file: str) -> dict[str, Tensor]:
    """All tensors of a complete file; raises `Rejected` when it is not one."""
    raw = _raw_header(files, file)
    entries = parse_object(raw, f"the header of {file}")
    metadata = entries.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(
        isinstance(value, str) for value in metadata.values()
    ):
        raise Rejected(f"{file}: the metadata is not a map of strings")
    tensors = [_tensor(file, name, entry) for name, entry in entries.items()]
    _check_spans(file, tensors, files.size(file) - 8 - len(raw))
    if not tensors:
        raise Rejected(f"{file}: there is no tensor in it")
    return {tensor.name: tensor for tensor in tensors}


def not_float(tensors: dict[str, Tensor]) -> list[str]:
    """What to say of tensors that are quantised or otherwise no plain floats."""
    odd = [t for t in tensors.values() if t.dtype not in _FLOATS]
    return [f"{t.name} is {t.dtype}, not BF16, F16 or F32" for t in odd]
