"""C, continued: the rank that the config says, and the one that the tensors have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from preflight.catalog.service import LORA_RANKS
from preflight.findings import Problem, Severity, Unavailable
from preflight.language import glued, say
from preflight.model.configs import JsonObject
from preflight.model.lora import LoraTensor, LoraView
from preflight.rules._rule import LORA, rule
from preflight.rules.c_config import ALLOWED, CONFIG, common_rank, declared_rank, shown
from preflight.text import printable, shortened

_PATTERNS = ("rank_pattern", "alpha_pattern")
_TRAIN = say(
    "Train with an allowed rank; a smaller one can be padded with "
    "zeros up to the next allowed one without loss."
)
_UNIFY = say(
    "Train without rank_pattern, or pad every layer with zeros up "
    "to one allowed rank (lora_alpha / r of each layer has to stay "
    "as it is)."
)
_GATHER = say(
    "Gather the weights before saving: with FSDP a full state "
    "dict, so that every lora_A has r rows."
)
_TURN = say(
    "Save again with PEFT's save_pretrained: lora_A is (r, in), lora_B is (out, r)."
)


def _set_rank(rank: int) -> str:
    return say(
        'Set "r": {rank} in {config}: every tensor has rank {rank}.',
        rank=rank,
        config=CONFIG,
    )


@rule("C02", applies=LORA, fix=_TRAIN)
def rank_allowed(adapter_config: JsonObject) -> Iterator[Problem]:
    """Model Studio serves adapters of rank 8, 16, 32 or 64 and refuses all others.

    Causes: a rank chosen for another platform, such as 4, 12, 24, 128 or 256.
    Source: LoRA requirements, user guide "Model import".
    """
    rank = declared_rank(adapter_config)
    if rank is not None and rank not in LORA_RANKS:
        yield Problem(
            f"{CONFIG}: r",
            say("is {rank}; allowed are {allowed}", rank=rank, allowed=ALLOWED),
        )


@rule(
    "C03",
    applies=LORA,
    fix=say(
        "Save weights and config of the same run; all layers need one allowed rank."
    ),
)
def rank_the_same_in_every_tensor(
    adapter_config: JsonObject, lora: LoraView
) -> Iterator[Problem]:
    """The rank must be the same in every LoRA layer, and be the one that `r` says.

    It is measured: rows of every lora_A, columns of every lora_B. Where all of them
    agree on one allowed rank, the config alone is wrong.
    Causes: `rank_pattern` or AdaLoRA gave layers ranks of their own; FSDP saved only
    one rank's slice (rows = r / GPUs); the config belongs to another run.
    Source: "the same in every LoRA layer", user guide "Model import".
    """
    rank, common = declared_rank(adapter_config), common_rank(lora)
    wrong = [h for h in lora.halves if h.rank not in (None, rank)]
    if rank is None and common in LORA_RANKS:
        return  # that r is missing is told by C01
    explained = _Pattern(adapter_config)
    groups: dict[tuple[int | None, str, str], list[LoraTensor]] = {}
    for half in wrong:
        cause, fix = _cause(half, rank, common, explained)
        groups.setdefault((half.rank, cause, fix), []).append(half)
    for (found, cause, fix), halves in _largest_first(groups):
        told = (
            say("the config says r = {rank}", rank=rank)
            if rank is not None
            else say("r is unknown")
        )
        if cause:
            told = glued(told, ": ", cause)
        elif found not in LORA_RANKS:
            told = say("{told}; allowed are {allowed}", told=told, allowed=ALLOWED)
        shape = shortened(str(list(halves[0].tensor.shape)), 60)
        yield Problem(
            halves[0].tensor.name,
            say(
                "has rank {found} (shape {shape}), {told}; so {count:,} of "
                "{total:,} tensors",
                found=found,
                shape=shape,
                told=told,
                count=len(halves),
                total=len(lora.halves),
            ),
            fix=fix,
        )


Groups = Mapping[tuple[int | None, str, str], list[LoraTensor]]


def _largest_first(
    groups: Groups,
) -> Sequence[tuple[tuple[int | None, str, str], list[LoraTensor]]]:
    return sorted(groups.items(), key=lambda group: -len(group[1]))


class _Pattern:
    """What `rank_pattern` says of a module; a key is the end of its path."""

    def __init__(self, config: JsonObject) -> None:
        self._ranks = _pattern(config, "rank_pattern")

    def gives(self, half: LoraTensor) -> bool:
        """Whether the pattern gives this module the rank that it has."""
        return any(
            rank == half.rank
            and (half.module == key or half.module.endswith(f".{key.lstrip('^.')}"))
            for key, rank in self._ranks.items()
        )


def _cause(
    half: LoraTensor, rank: int | None, common: int | None, pattern: _Pattern
) -> tuple[str, str]:
    """What a wrong rank looks like and how to mend it; both empty if unknown."""
    if rank is not None and half.outer == rank:
        return say("it seems transposed, or lora_A and lora_B are exchanged"), _TURN
    if common is not None:
        # All halves agree, so nothing was cut, turned or mixed: the config is wrong.
        if common in LORA_RANKS:
            return say("every tensor agrees on it"), _set_rank(common)
        return "", _TRAIN
    if rank is None or half.rank is None:
        return "", ""
    if pattern.gives(half):
        return say("as rank_pattern gives it"), _UNIFY
    slices = rank // half.rank if half.rank else 0
    if half.half == "A" and slices > 1 and slices * half.rank == rank:
        told = say(
            "it seems one of {slices} slices, as FSDP leaves them ungathered",
            slices=slices,
        )
        return told, _GATHER
    return "", ""


@rule("C04", applies=LORA, fix=_UNIFY)
def no_rank_pattern(
    adapter_config: JsonObject, lora: LoraView | Unavailable
) -> Iterator[Problem]:
    """A `rank_pattern` gives some layers a rank of their own; one rank is served.

    A pattern that repeats `r` does no harm. An `alpha_pattern` scales layers
    differently; how the service treats it is not documented.
    Causes: AdaLoRA-like recipes; PEFT writes one by itself for fused experts.
    Source: "the same in every LoRA layer", user guide "Model import".
    """
    rank, alpha = adapter_config.get("r"), adapter_config.get("lora_alpha")
    ranks, alphas = (_pattern(adapter_config, f) for f in _PATTERNS)
    common = None if isinstance(lora, Unavailable) else common_rank(lora)
    fix = ""
    if common in LORA_RANKS:
        fix = say(
            "Remove rank_pattern, and set r to {common}, which every tensor has.",
            common=common,
        )
    for module, value in ranks.items():
        if value != rank:
            told = say(
                "gives {module} rank {value}, r is {rank}",
                module=printable(module, 60),
                value=shown(value),
                rank=shown(rank),
            )
            yield Problem(f"{CONFIG}: rank_pattern", told, fix=fix)
    other = [module for module, value in alphas.items() if value != alpha]
    if other:
        more = (
            say(" and {count:,} more", count=len(other) - 1) if len(other) > 1 else ""
        )
        told = say(
            "scales {other}{more} otherwise than the rest",
            other=printable(other[0], 60),
            more=more,
        )
        yield Problem(
            f"{CONFIG}: alpha_pattern",
            say("{told}; its treatment is undocumented", told=told),
            Severity.WARNING,
            fix=say(
                "Train with one lora_alpha, or fold each layer's own scale "
                "into its lora_B and remove alpha_pattern."
            ),
        )
    for field in _PATTERNS:
        value = adapter_config.get(field)
        if value and not isinstance(value, Mapping):
            told = say("is {value}, not an object", value=shown(value))
            fix = say(
                "Write {field} as an object of module names, or remove it.", field=field
            )
            yield Problem(f"{CONFIG}: {field}", told, fix=fix)


def _pattern(config: JsonObject, field: str) -> Mapping[str, object]:
    value = config.get(field)
    return value if isinstance(value, Mapping) else {}
