"""C: adapter_config.json, and the rank that the tensors really have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from preflight.catalog.service import LORA_RANKS
from preflight.findings import Problem, Severity, Unavailable
from preflight.model.configs import JsonObject
from preflight.model.lora import LoraView
from preflight.model.text import printable
from preflight.rules._rule import LORA, rule

CONFIG = "adapter_config.json"
_ALLOWED = ", ".join(map(str, LORA_RANKS))


def declared_rank(adapter_config: JsonObject) -> int | None:
    """The field `r` when it is a whole number."""
    rank = adapter_config.get("r")
    return rank if isinstance(rank, int) and not isinstance(rank, bool) else None


def shown(value: object) -> str:
    """A value from a config as it may be printed."""
    return printable(repr(value), limit=60)


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
    if kind is None:
        yield Problem(f"{CONFIG}: peft_type", "missing; LORA is needed")
    elif not isinstance(kind, str) or kind.upper() != "LORA":
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
    targets = config.get("target_modules")
    if not targets and not config.get("target_parameters"):
        message = "missing" if targets is None else f"is {shown(targets)}"
        yield Problem(f"{CONFIG}: target_modules", f"{message}; no layer is adapted")
    elif targets and not isinstance(targets, (str, list)):
        message = f"is {shown(targets)}, neither a list nor a pattern"
        yield Problem(f"{CONFIG}: target_modules", message)


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
    for found, count in Counter(h.rank for h in wrong).most_common():
        first = next(h for h in wrong if h.rank == found)
        told = f"the config says r = {rank}" if rank is not None else "r is unknown"
        allowed = "" if found in LORA_RANKS else f"; allowed are {_ALLOWED}"
        yield Problem(
            printable(first.tensor.name),
            f"has rank {found} (shape {list(first.tensor.shape)}), {told}{allowed}; "
            f"so {count:,} of {len(lora.halves):,} tensors",
        )


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
    rank = adapter_config.get("r")
    ranks = adapter_config.get("rank_pattern") or {}
    if isinstance(ranks, Mapping):
        for module, value in ranks.items():
            if value != rank:
                where = f"{CONFIG}: rank_pattern"
                told = f"gives {printable(module)} rank {shown(value)}, r is {rank}"
                yield Problem(where, told)
    alphas = adapter_config.get("alpha_pattern")
    if alphas:
        told = f"is set for {len(alphas):,} modules; its treatment is undocumented"
        yield Problem(f"{CONFIG}: alpha_pattern", told, Severity.WARNING)
