"""Every directory that the loaders are asked about, by name, and how it is built."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, Family, Inapplicable
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from fixtures.tokenizer import Transformers
from fixtures.trainers import TRAINERS
from preflight.catalog.base_models import load_bases
from preflight.findings import WeightType

LORA, FULL = WeightType.LORA, WeightType.FULL
TINY = (TINY_TEXT, TINY_VL)
_TRAINERS_OF_REAL = ("peft-0.4", "peft-0.21", "ms-swift-4", "unsloth")
# What root can read and others cannot has no one answer.
_NOT_JUDGED = {"unreadable"}
_SHARD_BYTES = 60_000  # so that the tiny models have several shards
_HASHED = 1 << 26  # bytes; larger files are holes and stand for their size


@dataclass(frozen=True, slots=True)
class Case:
    """One directory; `build` makes it and returns the code of its base."""

    name: str
    kind: WeightType
    build: Callable[[Path], str]


def _adapter(base: str, directory: Path) -> None:
    # Its tokenizer is one that both generations of transformers read.
    build_adapter(directory, base=base, trainer="trl-4.57", template=TINY_TEMPLATE)


def _full(base: str, directory: Path) -> None:
    build_full(
        directory, base=base, sparse=False, shard_bytes=_SHARD_BYTES,
        template=TINY_TEMPLATE,
    )  # fmt: skip


def _broken(fault: str, kind: WeightType, bases: tuple[str, ...]) -> Case:
    build_good = _adapter if kind is LORA else _full

    def build(directory: Path) -> str:
        for base in bases:
            # Emptied again where the first base has nothing to break.
            directory.mkdir(exist_ok=True)
            FAULTS["empty-directory"].apply(directory)
            build_good(base, directory)
            try:
                FAULTS[fault].apply(directory)
            except Inapplicable:
                continue
            return base
        raise Inapplicable(f"{fault} breaks neither of {bases}")

    folder = kind.value if bases == TINY else f"{kind.value}-vl"
    return Case(f"{folder}/{fault}", kind, build)


def _broken_cases() -> Iterator[Case]:
    for fault in FAULTS.values():
        if fault.name in _NOT_JUDGED:
            continue
        for kind in fault.kinds:
            yield _broken(fault.name, kind, TINY)
        # Loaders rename what a vision model's adapter is called, so names count twice.
        if fault.family is Family.NAMES:
            yield _broken(fault.name, LORA, (TINY_VL,))


def _good_adapter(base: str, trainer: str) -> Case:
    def build(directory: Path) -> str:
        if base in TINY:
            build_adapter(directory, base=base, trainer=trainer, template=TINY_TEMPLATE)
        else:
            build_adapter(
                directory, base=base, trainer=trainer, rank=8, tiny=True, dtype="BF16"
            )
        return base

    return Case(f"good/lora/{base}/{trainer}", LORA, build)


def _good_rank(rank: int, dtype: str) -> Case:
    def build(directory: Path) -> str:
        build_adapter(directory, base=TINY_VL, rank=rank, dtype=dtype)
        return TINY_VL

    return Case(f"good/lora/{TINY_VL}/{dtype.lower()}-{rank}", LORA, build)


def _good_full(base: str) -> Case:
    def build(directory: Path) -> str:
        build_base(base, directory)
        return base

    return Case(f"good/full/{base}", FULL, build)


def _good_saved_by_5(base: str) -> Case:
    def build(directory: Path) -> str:
        build_full(
            directory, base=base, sparse=False, shard_bytes=None,
            transformers=Transformers.V5_23, template=TINY_TEMPLATE,
        )  # fmt: skip
        return base

    return Case(f"good/full/{base}/{Transformers.V5_23.value}", FULL, build)


def _tower() -> Case:
    def build(directory: Path) -> str:
        build_adapter(directory, base=TINY_VL, vision=True)
        return TINY_VL

    return Case("lora-vl/tower", LORA, build)


def _good_cases() -> Iterator[Case]:
    real = [code for code in load_bases() if code not in TINY]
    for base in (*TINY, *real):
        for trainer in TRAINERS if base in TINY else _TRAINERS_OF_REAL:
            yield _good_adapter(base, trainer)
        yield _good_full(base)
    yield from map(_good_saved_by_5, TINY)
    for rank in (8, 16, 32, 64):
        for dtype in ("F32", "F16", "BF16"):
            yield _good_rank(rank, dtype)
    yield _tower()


@lru_cache(maxsize=1)
def cases() -> Mapping[str, Case]:
    """All cases by name, sorted. `PREFLIGHT_BASES` has to name the tiny bases."""
    found = sorted((*_broken_cases(), *_good_cases()), key=lambda case: case.name)
    by_name = {case.name: case for case in found}
    assert len(by_name) == len(found), "two cases have one name"
    return MappingProxyType(by_name)


def build_base(code: str, directory: Path) -> None:
    """A good full model of a base: with values if it is tiny, else as holes."""
    if code in TINY:
        _full(code, directory)
    else:
        build_full(directory, base=code, template=TINY_TEMPLATE)


def digest(directory: Path) -> str:
    """Twelve hexadecimal digits that tell whether a directory is still the same.

    Names, kinds and contents count; where links outside of it lead does not.
    """
    total = hashlib.sha256()
    for path in sorted(_files(directory)):
        total.update(os.fsencode(path.relative_to(directory)))
        total.update(_content(path))
    return total.hexdigest()[:12]


def _files(directory: Path) -> Iterator[Path]:
    for entry in os.scandir(directory):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(Path(entry.path))
        else:
            yield Path(entry.path)


def _content(path: Path) -> bytes:
    mode = path.lstat().st_mode
    try:
        if stat.S_ISLNK(mode):
            mode = path.stat().st_mode
        if stat.S_ISDIR(mode):  # how large one is, each file system says otherwise
            return b"a directory"
        if not stat.S_ISREG(mode) or path.stat().st_size > _HASHED:
            return f"{stat.S_IFMT(mode)} {path.stat().st_size}".encode()
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b"nothing"  # a link to nowhere or to itself
