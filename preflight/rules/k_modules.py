"""K, continued: whether the adapted modules exist in the base, in these sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from preflight.catalog.bases import BaseModel, load_bases
from preflight.findings import Problem
from preflight.model.lora import LoraTensor, LoraView
from preflight.rules._rule import LORA, rule
from preflight.rules.c_variants import touches_vocabulary
from preflight.rules.k_keys import is_visual, malformed
from preflight.text import shortened

# intermediate_size of Qwen2.5-72B-Instruct-AWQ, from its config.json on Hugging Face.
_PADDED = {29568: 29696}
_BEYOND = re.compile(r"^(layer|expert) [0-9,]+ does not exist")


def _grouped(causes: Iterable[tuple[LoraTensor, str]]) -> dict[str, list[LoraTensor]]:
    """Halves by what is wrong with them; those with an empty cause are left out."""
    groups: dict[str, list[LoraTensor]] = {}
    first: dict[str, str] = {}  # of causes that differ by a number alone
    for half, told in causes:
        if told:
            same = first.setdefault(_BEYOND.sub("", told), told)
            groups.setdefault(same, []).append(half)
    return groups


def _summed(groups: dict[str, list[LoraTensor]], total: int) -> Iterator[Problem]:
    for cause, halves in groups.items():
        first = halves[0].tensor.name
        yield Problem(first, f"{cause}; so {len(halves):,} of {total:,} tensors")


def misfit(half: LoraTensor, base: BaseModel) -> str:
    """Why this tensor does not belong to a layer of `base`; empty if it does."""
    path = half.path
    mixture = "experts" in half.module.split(".") and not base.counters
    if path is None or mixture:
        kind = ": it is no mixture of experts" if mixture else ""
        return f"{base.code} has no such module{kind}"
    if path.prefix not in base.lora_prefixes:
        return _path_told(path.prefix, base)
    linear, leaf = base.linears.get(path.kind), path.leaf
    if linear is None:
        return f"{base.code} has no module {shortened(leaf, 60)} there"
    counts = (base.layers, *linear.counters.values())
    for index, (number, count) in enumerate(zip(path.numbers, counts, strict=True)):
        if number >= count:
            counter = ("layer", *linear.counters)[index]
            return f"{counter} {number:,} does not exist, {base.code} has {count}"
    wanted = linear.shape[1 if half.half == "A" else 0]
    if half.outer is None or half.outer == wanted:
        return ""
    side = "columns" if half.half == "A" else "rows"
    told = f"{leaf}.lora_{half.half} has {half.outer:,} {side}"
    return f"{told}, {base.code} needs {wanted:,}{_shape_cause(half, wanted)}"


def _path_told(prefix: str, base: BaseModel) -> str:
    """What a wrong path before the layer's number comes from, with both paths."""
    expected = " or ".join(base.lora_prefixes)
    told = f"the path begins with {prefix}, {base.code} has {expected}"
    segment = "language_model"
    if segment in prefix.split(".") and segment not in expected:
        return f"{told}: {segment} is of a vision-language model's class"
    if segment in expected and segment not in prefix.split("."):
        return f"{told}: {segment} is missing, as in a text model's class"
    return told


def _shape_cause(half: LoraTensor, wanted: int) -> str:
    if half.rank == wanted:
        return ": it seems transposed, or lora_A and lora_B are exchanged"
    if _PADDED.get(wanted) == half.outer:
        return ": AWQ and GPTQ copies pad it so"
    return ""


def fitting(halves: Iterable[LoraTensor]) -> tuple[BaseModel, ...]:
    """The bases that have all layers of these halves, in these sizes."""
    known = load_bases().values()
    return tuple(b for b in known if not any(misfit(half, b) for half in halves))


def judged(lora: LoraView) -> list[LoraTensor]:
    """The halves whose names are sound and that no other rule refuses already."""
    return [
        half
        for half in lora.halves
        if half.is_weight
        and not malformed(half)
        and not is_visual(half.tensor.name)
        and not touches_vocabulary(half)
    ]


@rule(
    "K03",
    applies=LORA,
    fix="Give the base that was trained with --base-model; if the path differs, save "
    "again with a transformers version that names the layers as the base does.",
)
def modules_exist_in_the_base(lora: LoraView, base: BaseModel) -> Iterator[Problem]:
    """Every adapted layer must exist in the base, with the same dimensions.

    A wrong path loads silently and is never applied; a wrong shape fails.
    Causes: another base or size than declared, the wrong model class (a
    `language_model` segment more or less), 4-bit or AWQ copies with padded layers.
    Source: layer names and sizes of the published base models on Hugging Face.
    """
    halves = judged(lora)
    causes = [(half, misfit(half, base)) for half in halves]
    if any(told for _, told in causes) and (fits := fitting(halves)):
        told = f"the shapes are those of {' or '.join(b.code for b in fits)}, not of "
        yield Problem("adapter_model.safetensors", told + base.code)
    yield from _summed(_grouped(causes), len(halves))
    found = {
        prefix: [h for h in halves if h.module.startswith(prefix)]
        for prefix in base.lora_prefixes
    }
    if len(base.lora_prefixes) > 1 and all(found.values()):
        told = f"both {' and '.join(found)} occur: a loader knows one of them"
        yield Problem(found[base.lora_prefixes[0]][0].tensor.name, told)
