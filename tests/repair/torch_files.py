"""Files as torch writes them, made by hand: the zip around a pickle, and storages."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

from fixtures.tensors import SIZES, read_tensors

_STORAGES = {"F32": "FloatStorage", "BF16": "BFloat16Storage", "F16": "HalfStorage"}

Stored = tuple[str, tuple[int, ...], bytes]
"""A format, a shape, and the bytes."""


def text(value: str) -> bytes:
    """A string."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def whole(value: int) -> bytes:
    """A whole number."""
    return b"J" + struct.pack("<i", value)


def call(name: str, *arguments: bytes) -> bytes:
    """What a pickle does to call a function, named as `module name`."""
    module, _, leaf = name.rpartition(".")
    found = f"c{module}\n{leaf}\n".encode()
    return found + b"(" + b"".join(arguments) + b"tR"


def numbers(values: tuple[int, ...]) -> bytes:
    """A tuple of whole numbers."""
    return b"(" + b"".join(map(whole, values)) + b"t"


def storage(key: str, dtype: str, count: int) -> bytes:
    """A storage, by the words that describe it."""
    kind = f"ctorch\n{_STORAGES[dtype]}\n".encode()
    words = text("storage") + kind + text(key) + text("cpu") + whole(count)
    return b"(" + words + b"tQ"


def tensor(
    key: str,
    stored: Stored,
    *,
    offset: int = 0,
    strides: tuple[int, ...] | None = None,
    count: int | None = None,
) -> bytes:
    """A tensor that takes a storage, from its beginning on unless told otherwise."""
    dtype, shape, data = stored
    usual, step = [], 1
    for length in reversed(shape):
        usual.append(step)
        step *= length
    held = len(data) // SIZES[dtype] if count is None else count
    return call(
        "torch._utils._rebuild_tensor_v2",
        storage(key, dtype, held),
        whole(offset),
        numbers(shape),
        numbers(tuple(reversed(usual)) if strides is None else strides),
        b"\x89",
        call("collections.OrderedDict"),
    )


def program(entries: Mapping[str, bytes]) -> bytes:
    """A pickle of a dictionary whose values are given as instructions."""
    items = b"".join(text(name) + value for name, value in entries.items())
    return b"\x80\x02}(" + items + b"u."


def archive(
    pickled: bytes, storages: Mapping[str, bytes], *, packed: bool = False
) -> bytes:
    """The zip around a pickle; `packed` compresses storages, as torch never does."""
    buffer = io.BytesIO()
    kind = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as made:
        made.writestr("archive/data.pkl", pickled)
        made.writestr("archive/byteorder", b"little")
        for key, data in storages.items():
            made.writestr(f"archive/data/{key}", data, kind)
        made.writestr("archive/version", b"3\n")
    return buffer.getvalue()


def torch_file(tensors: Mapping[str, Stored]) -> bytes:
    """A state dict as `torch.save` writes it."""
    keys = {name: str(number) for number, name in enumerate(tensors)}
    entries = {name: tensor(keys[name], stored) for name, stored in tensors.items()}
    return archive(program(entries), {keys[n]: s[2] for n, s in tensors.items()})


def as_torch_file(path: Path) -> bytes:
    """What torch would have written of a safetensors file."""
    return torch_file(
        {
            one.name: (
                one.dtype,
                one.shape,
                b"".join(one.chunks() if one.chunks else ()),
            )
            for one in read_tensors(path)
        }
    )
