"""What a directory holds, in one line: the kind, its figures, the base, the size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from preflight.findings import Unavailable, WeightType
from preflight.language import glued, joined, say, say_n
from preflight.model.headers import Tensor
from preflight.model.inspection import Inspection
from preflight.model.tokenizer import TOKENIZER
from preflight.progress import human_size
from preflight.record import RunRecord
from preflight.text import columns

Part = tuple[str, str]
"""What is always told, and what follows it where there is room."""


def label(directory: str) -> str:
    """What to call a directory: as it was named, `.` by its own name."""
    if not directory or Path(directory).name not in ("", ".."):
        return directory
    return Path(directory).resolve().name or directory


def subject(record: RunRecord, width: int, dot: str = "·") -> str:
    """One line of at most `width` columns where that is possible; empty if unknown.

    `width` 0 is without a limit; `dot` stands between the parts.
    """
    if record.checked is None:
        return ""
    return subject_of(record.checked.found, record.directory, width, dot)


def subject_of(
    found: Inspection, directory: str, width: int = 0, dot: str = "·"
) -> str:
    """The same of a directory that no rule has judged."""
    parts = list(_parts(found))
    if not parts:
        return ""
    begin = f"{label(directory)}  "
    full = glued(begin, joined(f" {dot} ", [glued(*part) for part in parts]))
    if not width or columns(full) <= width:
        return full
    # The further words go one after the other, the last ones first.
    for at in reversed(range(len(parts))):
        parts[at] = (parts[at][0], "")
        short = glued(begin, joined(f" {dot} ", [glued(*part) for part in parts]))
        if columns(short) <= width:
            return short
    return short


def facts(found: Inspection) -> list[str]:
    """The same as a list, each part whole."""
    return [word + more for word, more in _parts(found)]


def _parts(found: Inspection) -> Iterator[Part]:
    if isinstance(found.weight_type, Unavailable):
        if TOKENIZER in found.files:
            yield say("a tokenizer, no weights"), ""
        return
    if found.weight_type is WeightType.LORA:
        yield _adapter(found)
    else:
        yield say("full weights"), ""
    yield _base(found)
    if not isinstance(found.tensors, Unavailable):
        yield _tensors(found.tensors), ""
        yield human_size(_bytes(found)), ""


def _adapter(found: Inspection) -> Part:
    config = found.adapter_config
    if isinstance(config, Unavailable):
        return "LoRA", ""
    rank, alpha = config.get("r"), config.get("lora_alpha")
    word = say("LoRA rank {rank}", rank=rank) if isinstance(rank, int) else "LoRA"
    return word, f", alpha {alpha}" if isinstance(alpha, (int, float)) else ""


def _base(found: Inspection) -> Part:
    if isinstance(found.base, Unavailable):
        return say("base not known"), ""
    base = say("base {code}", code=found.base.code)
    if not isinstance(found.requested, Unavailable):
        return base, glued(" ", say("(as given)"))
    where = found.claim.where.partition(":")[0]
    return base, glued(" ", say("(from {where})", where=where)) if where else ""


def _tensors(tensors: Sequence[Tensor]) -> str:
    dtypes = sorted({tensor.dtype for tensor in tensors})
    shown = ", ".join(dtypes[:3]) + (", ..." if len(dtypes) > 3 else "")
    number = say_n("{count:,} tensor", "{count:,} tensors", count=len(tensors))
    return glued(number, " ", shown) if shown else number


def _bytes(found: Inspection) -> int:
    readings = () if isinstance(found.containers, Unavailable) else found.containers
    return sum(found.files[each.file].size for each in readings)
