"""K, continued: whether the adapted modules exist in the base, in these sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from preflight.catalog.bases import BaseModel, load_bases
from preflight.findings import Problem
from preflight.model.lora import LoraTensor, LoraView
from preflight.rules._rule import LORA, rule
from preflight.rules.c_variants import touches_vocabulary
from preflight.rules.k_keys import is_visual, malformed
from preflight.text import shortened

# intermediate_size of Qwen2.5-72B-Instruct-AWQ, from its config.json on Hugging Face.
_PADDED = {29568: 29696}
_PATH = "the path begins with"
_SIZE = re.compile(r"^\w+\.lora_[AB] has ")
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


def _summed(groups: Mapping[str, list[LoraTensor]], total: int) -> Iterator[Problem]:
    """One problem for each cause; all sizes that differ have one cause together."""
    sizes = {cause: halves for cause, halves in groups.items() if _SIZE.match(cause)}
    for cause, halves in groups.items():
        if cause in sizes and cause != next(iter(sizes)):
            continue
        count = len(halves)
        details: tuple[str, ...] = ()
        if cause in sizes:
            count, details = sum(map(len, sizes.values())), _lines(sizes)
        told = f"{cause}; so {count:,} of {total:,} tensors"
        yield Problem(halves[0].tensor.name, told, details=details)


def _lines(groups: Mapping[str, list[LoraTensor]]) -> tuple[str, ...]:
    """Each cause with the number of tensors, where there are several."""
    told = tuple(f"{cause} ({len(halves):,})" for cause, halves in groups.items())
    return told if len(told) > 1 else ()


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
    told = f"{_PATH} {prefix}, {base.code} has {expected}"
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


_PADDED_FIX = "Train on the 16-bit base: its layers are not padded."
_PATH_FIX = (
    "Save again with a transformers version and a model class that name the layers as "
    "the base does."
)


@rule(
    "K03",
    applies=LORA,
    fix="Give the base that was trained with --base-model; if that is the base, save "
    "again with a transformers version that names the layers as it does.",
)
def modules_exist_in_the_base(lora: LoraView, base: BaseModel) -> Iterator[Problem]:
    """Every adapted layer must exist in the base, with the same dimensions.

    A wrong path loads silently and is never applied; a wrong shape fails. In a mixture
    of experts every expert has layers of its own.
    Causes: another base or size than declared, the wrong model class (a
    `language_model` segment more or less), 4-bit or AWQ copies with padded layers.
    Source: layer names and sizes of the published base models on Hugging Face.
    """
    halves = judged(lora)
    causes = [(half, misfit(half, base)) for half in halves]
    groups = _grouped(causes)
    # A path is told as such: the same layers may lie in a model of another class.
    paths = any(told.startswith(_PATH) for told in groups)
    if groups and not paths and (fits := fitting(halves)):
        codes = " or ".join(each.code for each in fits)
        fix = f"Give --base-model {fits[0].code}, if that is what was trained."
        if len(fits) > 1:
            fix = "Give the one of them that was trained with --base-model."
        count = sum(map(len, groups.values()))
        told = f"the shapes are those of {codes}, not of {base.code}; so {count:,} of "
        yield Problem(
            "adapter_model.safetensors",
            f"{told}{len(halves):,} tensors",
            fix=fix,
            details=_lines(groups) or tuple(groups),
        )
        return
    for problem in _summed(groups, len(halves)):
        yield replace(problem, fix=_remedy(problem.message))
    found = {
        prefix: [h for h in halves if h.module.startswith(prefix)]
        for prefix in base.lora_prefixes
    }
    if len(base.lora_prefixes) > 1 and all(found.values()):
        told = f"both {' and '.join(found)} occur: a loader knows one of them"
        yield Problem(found[base.lora_prefixes[0]][0].tensor.name, told, fix=_PATH_FIX)


def _remedy(told: str) -> str:
    """The fix of a cause that is not another base's; empty for the rule's own."""
    if told.startswith(_PATH):
        return _PATH_FIX
    return _PADDED_FIX if "pad it so" in told else ""
