"""Weights that torch pickled, read without torch and without running anything.

A pickle is a program. This reader knows the few calls that a state dict is made of
(a tensor from a storage, a parameter from a tensor, an ordered dictionary) and refuses
every other name before anything happens. The values are not read at all: what comes out
is where in the file each tensor lies. Both of torch's layouts are known, the zip of
torch 1.6 and later and the one before.
Source: `torch/serialization.py` and `torch/_utils.py`,
https://github.com/pytorch/pytorch/blob/main/torch/serialization.py
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, NoReturn

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.files import FileEntry
from preflight.model.source import OpenFile
from preflight.model.steady import Changed, Unreadable
from preflight.repair.tensors import Made, Origin, Shape

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_PICKLE = 16 << 20  # bytes of the program itself; names and shapes alone
_MOST_TENSORS = 400_000
_STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16",
    "BFloat16Storage": "BF16", "LongStorage": "I64", "IntStorage": "I32",
    "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL", "Float8_e4m3fnStorage": "F8_E4M3",
    "Float8_e5m2Storage": "F8_E5M2",
}  # fmt: skip
_WIDTH = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "BF16": 2, "I16": 2}
_NESTED = ("state_dict", "model", "module", "model_state_dict")


class _Refused(Exception):
    """What the file holds that weights do not need; the text says it."""


# Tuples, not dataclasses: a pickle may set attributes on what it made, and on these it
# cannot.
class _Kind(NamedTuple):
    """A class of storages by what safetensors calls its elements."""

    dtype: str


class _Storage(NamedTuple):
    key: str
    dtype: str
    elements: int


class _View(NamedTuple):
    storage: _Storage
    offset: int
    shape: Shape
    strides: Shape


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**63:
        raise _Refused(say("a size or an offset in it is no whole number"))
    return value


def _tensor(
    storage: object, offset: object, size: object, stride: object, *_: object
) -> _View:
    if not isinstance(storage, _Storage):
        raise _Refused(say("a tensor in it is made of something else than a storage"))
    if not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise _Refused(say("the shape of a tensor in it is none"))
    if len(size) != len(stride):
        raise _Refused(say("the shape of a tensor in it is none"))
    shape, strides = tuple(map(_whole, size)), tuple(map(_whole, stride))
    return _View(storage, _whole(offset), shape, strides)


def _parameter(data: object, *_: object) -> object:
    return data


class _Settable(OrderedDict[Any, Any]):
    """An ordered dictionary, with the attributes that a state dict keeps on itself."""

    def __setstate__(self, state: object) -> None:
        """What PyTorch notes of versions is not needed."""


def _ordered(*arguments: object) -> _Settable:
    if arguments:
        raise _Refused(say("it makes a dictionary of something"))
    return _Settable()


class _Call:
    """A call that a pickle may make; it cannot change anything about it."""

    __slots__ = ("_function",)
    _function: Callable[..., object]

    def __init__(self, function: Callable[..., object]) -> None:
        object.__setattr__(self, "_function", function)

    def __call__(self, *arguments: object) -> object:
        return self._function(*arguments)

    def __setattr__(self, name: str, value: object) -> None:
        raise _Refused(say("it changes a function"))

    def __setstate__(self, state: object) -> None:
        raise _Refused(say("it changes a function"))


_ALLOWED: Mapping[tuple[str, str], _Call] = {
    ("collections", "OrderedDict"): _Call(_ordered),
    ("torch._utils", "_rebuild_tensor"): _Call(_tensor),
    ("torch._utils", "_rebuild_tensor_v2"): _Call(_tensor),
    ("torch._utils", "_rebuild_parameter"): _Call(_parameter),
    ("torch._utils", "_rebuild_parameter_with_state"): _Call(_parameter),
}
_OPCODES = frozenset({
    "PROTO", "FRAME", "MARK", "STOP", "NONE", "NEWTRUE", "NEWFALSE", "BININT",
    "BININT1", "BININT2", "LONG1", "BINFLOAT", "BINUNICODE", "SHORT_BINUNICODE",
    "SHORT_BINSTRING", "BINSTRING", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2",
    "TUPLE3", "EMPTY_DICT", "DICT", "EMPTY_LIST", "LIST", "SETITEM", "SETITEMS",
    "APPEND", "APPENDS", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET",
    "MEMOIZE", "GLOBAL", "STACK_GLOBAL", "REDUCE", "BUILD", "BINPERSID",
})  # fmt: skip
"""All that a pickled state dict is written with."""


def _check_program(stream: io.BytesIO) -> None:
    """Raise `_Refused` for an instruction that weights do not need; runs none.

    Also for a place in the memo that no writer counts to: the unpickler would make
    room for all places before it.
    """
    begin = stream.tell()
    for number, (opcode, argument, _) in enumerate(pickletools.genops(stream)):
        if opcode.name not in _OPCODES:
            raise _Refused(say("it holds the instruction {name}", name=opcode.name))
        if opcode.name.endswith("BINPUT") and int(str(argument)) > number:
            raise _Refused(say("it counts what it remembers wrongly"))
    stream.seek(begin)


class _Reader(pickle.Unpickler):
    """Knows the names of `_ALLOWED` and of storages, and no other."""

    def __init__(self, file: io.BytesIO) -> None:
        _check_program(file)
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401
        """The stand-in of one of the few names that weights are made of."""
        if found := _ALLOWED.get((module, name)):
            return found
        if module in ("torch", "torch.cuda") and name in _STORAGES:
            return _Kind(_STORAGES[name])
        raise _Refused(
            say(
                "it calls {name}, which weights do not need",
                name=f"{module[:60]}.{name[:60]}",
            )
        )

    def persistent_load(self, pid: object) -> _Storage:
        """A storage by its description; its bytes lie elsewhere in the file."""
        if type(pid) is not tuple or len(pid) < 5 or pid[0] != "storage":
            raise _Refused(
                say("it names something outside of itself that is no storage")
            )
        kind, key, count = pid[1], pid[2], pid[4]
        if not isinstance(kind, _Kind) or not isinstance(key, str):
            raise _Refused(say("a storage in it has no known format"))
        if len(pid) > 5 and pid[5] is not None:
            raise _Refused(say("it shares storages in a way that is not read here"))
        made = _Storage(key, kind.dtype, _whole(count))
        if self.storages.setdefault(key, made) != made:
            raise _Refused(
                say("the storage {key} is described in two ways", key=key[:40])
            )
        return made


def pickled_tensors(
    file: OpenFile | Unavailable, entry: FileEntry
) -> tuple[Made, ...] | Unavailable:
    """The tensors of a state dict in a file of torch, which is closed then.

    The reason tells what else the file holds; it is a phrase about the file.
    """
    if isinstance(file, Unavailable):
        return file
    try:
        head = file.read(0, min(4, file.size))
        read = _zipped if head == b"PK\x03\x04" else _legacy
        views, places = read(file)
        file.check_unchanged()
        return tuple(_placed(name, view, places, entry) for name, view in views.items())
    except _Refused as refusal:
        return Unavailable(str(refusal))
    except (Changed, Unreadable) as error:
        return Unavailable(error.what)
    except Exception as error:  # noqa: BLE001 - a pickle can end in any error
        return Unavailable(
            say("it cannot be read as torch writes it ({reason})", reason=_short(error))
        )
    finally:
        file.close()


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error)[:80]}"


Places = Mapping[str, tuple[int, int]]
"""Of each storage: where in the file its bytes begin, and how many they are."""


def _zipped(file: OpenFile) -> tuple[dict[str, _View], Places]:
    with zipfile.ZipFile(_Stream(file)) as archive:
        members = {one.filename: one for one in archive.infolist()}
        name = next((n for n in members if n.endswith("/data.pkl")), "")
        if not name or members[name].file_size > _MOST_PICKLE:
            raise _Refused(say("there is no data.pkl of a usual size in it"))
        order = members.get(name.removesuffix("data.pkl") + "byteorder")
        if order is not None and archive.read(order).strip() != b"little":
            raise _Refused(say("its numbers have the other byte order"))
        reader = _Reader(io.BytesIO(archive.read(name)))
        views = _views(reader.load())
        folder = name.removesuffix("data.pkl") + "data/"
        places = {}
        for key in reader.storages:
            member = members.get(folder + key)
            if member is None or member.compress_type != zipfile.ZIP_STORED:
                raise _Refused(
                    say("the storage {key} is not in it, or is packed", key=key[:40])
                )
            places[key] = (_data_of(file, member), member.file_size)
    return views, places


def _data_of(file: OpenFile, member: zipfile.ZipInfo) -> int:
    """Where a member's own bytes begin: behind its local header."""
    head = file.read(member.header_offset, 30)
    if head[:4] != b"PK\x03\x04":
        raise _Refused(say("its table of contents leads elsewhere"))
    name, extra = struct.unpack("<HH", head[26:30])
    return member.header_offset + 30 + int(name) + int(extra)


def _legacy(file: OpenFile) -> tuple[dict[str, _View], Places]:
    """Five pickles one behind the other, then each storage with its length."""
    data = file.read(0, min(file.size, _MOST_PICKLE))
    stream = io.BytesIO(data)
    if _Reader(stream).load() != _MAGIC:
        raise _Refused(say("it is no file of torch"))
    if _Reader(stream).load() != _PROTOCOL:
        raise _Refused(say("it has another protocol than torch's"))
    system = _Reader(stream).load()
    if not isinstance(system, dict) or not system.get("little_endian"):
        raise _Refused(say("its numbers have the other byte order"))
    reader = _Reader(stream)
    views = _views(reader.load())
    keys = _Reader(stream).load()
    if not isinstance(keys, list) or set(keys) != set(reader.storages):
        raise _Refused(say("the list of its storages is another one"))
    places, at = {}, stream.tell()
    for key in keys:
        storage = reader.storages[key]
        if int.from_bytes(file.read(at, 8), "little") != storage.elements:
            raise _Refused(
                say("the storage {key} has another length than it says", key=key[:40])
            )
        size = storage.elements * _WIDTH.get(storage.dtype, 1)
        places[key] = (at + 8, size)
        at += 8 + size
    return views, places


class _Stream(io.RawIOBase):
    """An open file as `zipfile` reads it."""

    def __init__(self, file: OpenFile) -> None:
        super().__init__()
        self._file, self._at = file, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = 0) -> int:
        base = (0, self._at, self._file.size)[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, count: int = -1) -> bytes:
        left = max(0, self._file.size - self._at)
        count = left if count < 0 else min(count, left)
        data = self._file.read(self._at, count) if count else b""
        self._at += len(data)
        return data

    def write(self, _: object) -> NoReturn:
        raise io.UnsupportedOperation


def _views(found: object) -> dict[str, _View]:
    """The tensors by name, of a state dict or of what wraps one."""
    for key in _NESTED:
        if isinstance(found, dict) and isinstance(found.get(key), dict):
            found = found[key]
    if not isinstance(found, dict) or not found:
        raise _Refused(say("it holds no tensors by name"))
    if len(found) > _MOST_TENSORS:
        raise _Refused(say("it holds more than {most:,} tensors", most=_MOST_TENSORS))
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, _View):
            raise _Refused(say("{name} in it is no tensor", name=str(name)[:60]))
    return found


def _placed(name: str, view: _View, places: Places, entry: FileEntry) -> Made:
    """A tensor with its place in the file, which lies within its storage."""
    start, size = places[view.storage.key]
    dtype = view.storage.dtype
    width = _WIDTH.get(dtype, 1)
    empty = 0 in view.shape
    reach = sum((n - 1) * s for n, s in zip(view.shape, view.strides, strict=True))
    count = 0 if empty else reach + 1
    begin = view.offset * width
    if begin + count * width > size or (not empty and math.prod(view.shape) > 2**40):
        raise _Refused(say("{name} reaches beyond its storage", name=name[:60]))
    strides = None if empty or _is_usual(view) else view.strides
    origin = Origin(entry, dtype, view.shape, start + begin, count * width, strides)
    return Made(name, dtype, view.shape, origin)


def _is_usual(view: _View) -> bool:
    expected = 1
    for length, stride in zip(
        reversed(view.shape), reversed(view.strides), strict=True
    ):
        if length != 1 and stride != expected:
            return False
        expected *= length
    return True
