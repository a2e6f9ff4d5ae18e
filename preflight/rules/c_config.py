"""C: adapter_config.json, and the rank that the tensors really have."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping

from preflight.catalog.service import LORA_RANKS
from preflight.findings import Problem, Severity, Unavailable
from preflight.model.configs import JsonObject
from preflight.model.lora import LoraTensor, LoraView
from preflight.rules._rule import LORA, rule
from preflight.text import shortened

CONFIG = "adapter_config.json"
_ALLOWED = ", ".join(map(str, LORA_RANKS))
_MLX = frozenset({"fine_tune_type", "lora_parameters", "lora_layers", "num_layers"})
_LONGEST_PATTERN = 20_000  # characters; a list of all modules as a pattern is shorter


def declared_rank(adapter_config: JsonObject) -> int | None:
    """The field `r` when it is a whole number."""
    rank = adapter_config.get("r")
    return rank if isinstance(rank, int) and not isinstance(rank, bool) else None


def shown(value: object) -> str:
    """A value from a config as it may be printed."""
    return shortened(repr(value), 60)


@rule(
    "C01",
    applies=LORA,
    fix="Save the adapter again with PEFT's save_pretrained; it writes this file.",
)
def adapter_config_readable(
    documents: Mapping[str, JsonObject | Unavailable],
) -> Iterator[Problem]:
    """Without a readable `adapter_config.json` an adapter cannot be loaded at all.

    It must be one JSON object with `peft_type` LORA, a whole number `r`, a positive
    `lora_alpha` and the `target_modules`.
    Causes: edited by hand, saved by an editor with a byte order mark, written by
    another tool (mlx-lm has a format of its own), or another PEFT method.
    Source: required files, user guide "Model import"; the same fields are demanded
    by vLLM and SGLang.
    """
    config = documents.get(CONFIG)
    if config is None:
        yield Problem(CONFIG, "missing")
    elif isinstance(config, Unavailable):
        yield Problem(CONFIG, config.reason)
    else:
        yield from _fields(config)


def _fields(config: JsonObject) -> Iterator[Problem]:
    kind = config.get("peft_type")
    if kind is None and not _MLX.isdisjoint(config):
        yield Problem(CONFIG, "is mlx-lm's own format, not PEFT's: other keys, no r")
        return
    if kind is None:
        yield Problem(f"{CONFIG}: peft_type", "missing; LORA is needed")
    elif kind != "LORA":
        yield Problem(f"{CONFIG}: peft_type", f"is {shown(kind)}; LORA is needed")
    if "r" not in config:
        yield Problem(f"{CONFIG}: r", f"missing; the rank must be one of {_ALLOWED}")
    elif declared_rank(config) is None:
        message = f"is {shown(config['r'])}, not a whole number"
        yield Problem(f"{CONFIG}: r", message)
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or alpha <= 0:
        message = "missing" if alpha is None else f"is {shown(alpha)}"
        yield Problem(f"{CONFIG}: lora_alpha", f"{message}; a number above 0 is needed")
    yield from _targets(config)


def _targets(config: JsonObject) -> Iterator[Problem]:
    targets, where = config.get("target_modules"), f"{CONFIG}: target_modules"
    if not targets:
        if not config.get("target_parameters"):
            message = "missing" if targets is None else f"is {shown(targets)}"
            yield Problem(where, f"{message}; no layer is adapted")
    elif isinstance(targets, str):
        if problem := _pattern_problem(targets):
            yield Problem(where, f"is {shown(targets)}, no valid pattern: {problem}")
    elif not isinstance(targets, list):
        yield Problem(where, f"is {shown(targets)}, neither a list nor a pattern")
    elif odd := [t for t in targets if not isinstance(t, str) or not t]:
        yield Problem(where, f"holds {shown(odd[0])}, which is no module's name")


def _pattern_problem(pattern: str) -> str:
    """Why a pattern cannot be compiled; long ones are not tried."""
    if len(pattern) > _LONGEST_PATTERN:
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            re.compile(pattern)
    except (re.error, RecursionError, OverflowError) as error:
        return shortened(str(error) or type(error).__name__, 80)
    return ""


@rule(
    "C02",
    applies=LORA,
    fix="Train with an allowed rank; a smaller one can be padded up without loss.",
)
def rank_allowed(adapter_config: JsonObject) -> Iterator[Problem]:
    """Model Studio serves adapters of rank 8, 16, 32 or 64 and refuses all others.

    Causes: a rank chosen for another platform, such as 4, 12, 24, 128 or 256.
    Source: LoRA requirements, user guide "Model import".
    """
    rank = declared_rank(adapter_config)
    if rank is not None and rank not in LORA_RANKS:
        yield Problem(f"{CONFIG}: r", f"is {rank}; allowed are {_ALLOWED}")


@rule(
    "C03",
    applies=LORA,
    fix="Save the adapter again with the config it was trained with, gathered.",
)
def rank_the_same_in_every_tensor(
    adapter_config: JsonObject, lora: LoraView
) -> Iterator[Problem]:
    """The rank must be the same in every LoRA layer, and be the one that `r` says.

    It is measured: rows of every lora_A, columns of every lora_B.
    Causes: `rank_pattern` or AdaLoRA gave layers ranks of their own; FSDP saved only
    one rank's slice (rows = r / GPUs); the config belongs to another run.
    Source: "the same in every LoRA layer", user guide "Model import".
    """
    rank = declared_rank(adapter_config)
    wrong = [h for h in lora.halves if h.rank not in (None, rank)]
    groups: dict[tuple[int | None, str], list[LoraTensor]] = {}
    for half in wrong:
        groups.setdefault((half.rank, _likely_cause(half, rank)), []).append(half)
    if (
        rank is None
        and len({h.rank for h in wrong}) == 1
        and wrong[0].rank in LORA_RANKS
    ):
        return  # one allowed rank throughout; that r is missing is told by C01
    for (found, cause), halves in sorted(groups.items(), key=lambda g: -len(g[1])):
        told = f"the config says r = {rank}" if rank is not None else "r is unknown"
        if cause:
            told += f": {cause}"
        elif found not in LORA_RANKS:
            told += f"; allowed are {_ALLOWED}"
        shape = shortened(str(list(halves[0].tensor.shape)), 60)
        yield Problem(
            halves[0].tensor.name,
            f"has rank {found} (shape {shape}), {told}; "
            f"so {len(halves):,} of {len(lora.halves):,} tensors",
        )


def _likely_cause(half: LoraTensor, rank: int | None) -> str:
    """What a wrong rank looks like, as far as one tensor tells."""
    if rank is None or half.rank is None:
        return ""
    if half.outer == rank:
        return "it seems transposed, or lora_A and lora_B are exchanged"
    slices = rank // half.rank if half.rank else 0
    if half.half == "A" and slices > 1 and slices * half.rank == rank:
        return f"it seems one of {slices} slices, as FSDP leaves them ungathered"
    return ""


@rule(
    "C04",
    applies=LORA,
    fix="Train without rank_pattern, or bring all layers to one rank.",
)
def no_rank_pattern(adapter_config: JsonObject) -> Iterator[Problem]:
    """A `rank_pattern` gives some layers a rank of their own; one rank is served.

    A pattern that repeats `r` does no harm. An `alpha_pattern` scales layers
    differently; how the service treats it is not documented.
    Causes: AdaLoRA-like recipes; PEFT writes one by itself for fused experts.
    Source: "the same in every LoRA layer", user guide "Model import".
    """
    rank, alpha = adapter_config.get("r"), adapter_config.get("lora_alpha")
    ranks, alphas = (_pattern(adapter_config, f) for f in _PATTERNS)
    for module, value in ranks.items():
        if value != rank:
            told = f"gives {module} rank {shown(value)}, r is {shown(rank)}"
            yield Problem(f"{CONFIG}: rank_pattern", told)
    other = [module for module, value in alphas.items() if value != alpha]
    if other:
        more = f" and {len(other) - 1:,} more" if len(other) > 1 else ""
        told = f"scales {other[0]}{more} otherwise than the rest"
        where = f"{CONFIG}: alpha_pattern"
        yield Problem(where, f"{told}; its treatment is undocumented", Severity.WARNING)
    for field in _PATTERNS:
        value = adapter_config.get(field)
        if value and not isinstance(value, Mapping):
            yield Problem(f"{CONFIG}: {field}", f"is {shown(value)}, not an object")


_PATTERNS = ("rank_pattern", "alpha_pattern")


def _pattern(config: JsonObject, field: str) -> Mapping[str, object]:
    value = config.get(field)
    return value if isinstance(value, Mapping) else {}
