"""K, continued: whether the adapted modules exist in the base, in these sizes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from preflight.catalog.base_models import BaseModel, load_bases
from preflight.findings import Problem
from preflight.language import glued, joined, say
from preflight.model.lora import LoraTensor, LoraView
from preflight.rules._rule import LORA, rule
from preflight.rules.c_variants import touches_vocabulary
from preflight.rules.k_keys import is_visual, malformed
from preflight.text import shortened

# intermediate_size of Qwen2.5-72B-Instruct-AWQ, from its config.json on Hugging Face.
_PADDED = {29568: 29696}
_PATH = "the path begins with"
_COUNTERS = {"layer": say("layer"), "expert": say("expert")}
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
        told = say(
            "{cause}; so {count:,} of {total:,} tensors",
            cause=cause,
            count=count,
            total=total,
        )
        yield Problem(halves[0].tensor.name, told, details=details)


def _lines(groups: Mapping[str, list[LoraTensor]]) -> tuple[str, ...]:
    """Each cause with the number of tensors, where there are several."""
    told = tuple(glued(c, f" ({len(halves):,})") for c, halves in groups.items())
    return told if len(told) > 1 else ()


def misfit(half: LoraTensor, base: BaseModel) -> str:
    """Why this tensor does not belong to a layer of `base`; empty if it does."""
    path = half.path
    mixture = "experts" in half.module.split(".") and not base.counters
    if path is None or mixture:
        told = say("{code} has no such module", code=base.code)
        return (
            say("{told}: it is no mixture of experts", told=told) if mixture else told
        )
    if path.prefix not in base.lora_prefixes:
        return _path_told(path.prefix, base)
    linear, leaf = base.linears.get(path.kind), path.leaf
    if linear is None:
        return say(
            "{code} has no module {leaf} there",
            code=base.code,
            leaf=shortened(leaf, 60),
        )
    counts = (base.layers, *linear.counters.values())
    for index, (number, count) in enumerate(zip(path.numbers, counts, strict=True)):
        if number >= count:
            counter = ("layer", *linear.counters)[index]
            return say(
                "{counter} {number:,} does not exist, {code} has {count}",
                counter=_COUNTERS.get(counter, counter),
                number=number,
                code=base.code,
                count=count,
            )
    wanted = linear.shape[1 if half.half == "A" else 0]
    if half.outer is None or half.outer == wanted:
        return ""
    told = say(
        "{leaf}.lora_{half} has {outer:,} {side}, {code} needs {wanted:,}",
        leaf=leaf,
        half=half.half,
        outer=half.outer,
        side=say("columns") if half.half == "A" else say("rows"),
        code=base.code,
        wanted=wanted,
    )
    return _with_cause(told, half, wanted)


def _path_told(prefix: str, base: BaseModel) -> str:
    """What a wrong path before the layer's number comes from, with both paths."""
    expected = joined(say(" or "), base.lora_prefixes)
    told = say(
        "the path begins with {prefix}, {code} has {expected}",
        prefix=prefix,
        code=base.code,
        expected=expected,
    )
    segment = "language_model"
    if segment in prefix.split(".") and segment not in expected:
        return say(
            "{told}: {segment} is of a vision-language model's class",
            told=told,
            segment=segment,
        )
    if segment in expected and segment not in prefix.split("."):
        return say(
            "{told}: {segment} is missing, as in a text model's class",
            told=told,
            segment=segment,
        )
    return told


def _with_cause(told: str, half: LoraTensor, wanted: int) -> str:
    if half.rank == wanted:
        return say(
            "{told}: it seems transposed, or lora_A and lora_B are exchanged", told=told
        )
    if _PADDED.get(wanted) == half.outer:
        return say("{told}: AWQ and GPTQ copies pad it so", told=told)
    return told


def fitting(halves: Iterable[LoraTensor]) -> tuple[BaseModel, ...]:
    """The bases that have all layers of these halves, in these sizes."""
    known = load_bases().values()
    return tuple(b for b in known if not any(misfit(half, b) for half in halves))


@lru_cache(maxsize=1)  # three rules ask of the same adapter
def judged(lora: LoraView) -> tuple[LoraTensor, ...]:
    """The halves whose names are sound and that no other rule refuses already."""
    return tuple(
        half
        for half in lora.halves
        if half.is_weight
        and not malformed(half)
        and not is_visual(half.tensor.name)
        and not touches_vocabulary(half)
    )


_PADDED_FIX = say("Train on the 16-bit base: its layers are not padded.")
_PATH_FIX = say(
    "Save again with a transformers version and a model class that "
    "name the layers as the base does."
)


@rule(
    "K03",
    applies=LORA,
    fix=say(
        "Give the base that was trained with --base-model; if that is "
        "the base, save again with a transformers version that names "
        "the layers as it does."
    ),
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
        codes = joined(say(" or "), [each.code for each in fits])
        fix = say(
            "Give --base-model {code}, if that is what was trained.", code=fits[0].code
        )
        if len(fits) > 1:
            fix = say("Give the one of them that was trained with --base-model.")
        count = sum(map(len, groups.values()))
        told = say(
            "the shapes are those of {codes}, not of {code}; so {count:,} of {total:,} "
            "tensors",
            codes=codes,
            code=base.code,
            count=count,
            total=len(halves),
        )
        yield Problem(
            "adapter_model.safetensors",
            told,
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
        told = say(
            "both {found} occur: a loader knows one of them",
            found=joined(say(" and "), found),
        )
        yield Problem(found[base.lora_prefixes[0]][0].tensor.name, told, fix=_PATH_FIX)


def _remedy(told: str) -> str:
    """The fix of a cause that is not another base's; empty for the rule's own."""
    if told.startswith(_PATH):
        return _PATH_FIX
    return _PADDED_FIX if "pad it so" in told else ""
