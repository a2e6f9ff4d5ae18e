"""C: whether adapter_config.json can be read, and says what a loader needs."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import replace

from preflight.catalog.service import LORA_RANKS
from preflight.findings import Problem, Unavailable
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.model.lora import LoraView
from preflight.rules._rule import LORA, rule
from preflight.text import shortened

CONFIG = "adapter_config.json"
ALLOWED = ", ".join(map(str, LORA_RANKS))
_MLX = frozenset({"fine_tune_type", "lora_parameters", "lora_layers", "num_layers"})
_MOST_NAMED = 12  # modules; a layer of these bases has seven
_LONGEST_PATTERN = 20_000  # characters; a list of all modules as a pattern is shorter


def declared_rank(adapter_config: JsonObject) -> int | None:
    """The field `r` when it is a whole number."""
    rank = adapter_config.get("r")
    return rank if isinstance(rank, int) and not isinstance(rank, bool) else None


def shown(value: object) -> str:
    """A value from a config as it may be printed."""
    return shortened(repr(value), 60)


def common_rank(lora: LoraView) -> int | None:
    """The rank that all matrices of an adapter have, if it is one."""
    ranks = {half.rank for half in lora.halves if half.is_weight}
    return ranks.pop() if len(ranks) == 1 else None


_SAVE = say("Save the adapter again with PEFT's save_pretrained; it writes this file.")
_COPY = say(
    "Mend that place, or copy the file again from the run that "
    "saved the adapter, as plain UTF-8 JSON."
)
_ALPHA = say(
    "Write the lora_alpha that it was trained with; the training "
    "script or its log tells it."
)


@rule("C01", applies=LORA, fix=_SAVE)
def adapter_config_readable(
    documents: Mapping[str, JsonObject | Unavailable], lora: LoraView | Unavailable
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
        fix = say(
            "Copy {config} from the directory that the trainer saved the adapter in.",
            config=CONFIG,
        )
        yield Problem(CONFIG, say("missing"), fix=fix)
    elif isinstance(config, Unavailable):
        yield Problem(CONFIG, config.reason, fix=_COPY)
    else:
        yield from _fields(config, None if isinstance(lora, Unavailable) else lora)


def _fields(config: JsonObject, lora: LoraView | None) -> Iterator[Problem]:
    kind = config.get("peft_type")
    if kind is None and not _MLX.isdisjoint(config):
        told = say("is mlx-lm's own format, not PEFT's: other keys, no r")
        fix = say(
            "Fuse it into its base with `mlx_lm.fuse`, and import the full weights."
        )
        yield Problem(CONFIG, told, fix=fix)
        return
    if kind != "LORA":
        yield _of_kind(kind)
    yield from _of_rank(config, lora)
    alpha = config.get("lora_alpha")
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or alpha <= 0:
        told = (
            say("missing") if alpha is None else say("is {value}", value=shown(alpha))
        )
        told = say("{told}; a number above 0 is needed", told=told)
        if alpha == 0:
            told = say("{told}: at 0 the adapter does nothing", told=told)
        yield Problem(f"{CONFIG}: lora_alpha", told, fix=_ALPHA)
    for problem in _targets(config):
        yield replace(problem, fix=_named(lora))


def _of_kind(kind: object) -> Problem:
    where = f"{CONFIG}: peft_type"
    fix = say('Write "peft_type": "LORA".')
    if kind is None:
        return Problem(where, say("missing; LORA is needed"), fix=fix)
    if not isinstance(kind, str) or kind.upper() != "LORA":
        fix = say(
            "Train a LoRA (LoraConfig of PEFT), or merge it and import full weights."
        )
    return Problem(where, say("is {kind}; LORA is needed", kind=shown(kind)), fix=fix)


def _of_rank(config: JsonObject, lora: LoraView | None) -> Iterator[Problem]:
    if declared_rank(config) is not None:
        return
    told = say("missing; the rank must be one of {allowed}", allowed=ALLOWED)
    if "r" in config:
        told = say("is {r}, not a whole number", r=shown(config["r"]))
    fix = say("Write the rank that it was trained with, as a whole number.")
    common = None if lora is None else common_rank(lora)
    if common is not None:
        fix = say(
            'Set "r": {common} in {config}: every tensor has rank {common}.',
            common=common,
            config=CONFIG,
        )
    yield Problem(f"{CONFIG}: r", told, fix=fix)


def _named(lora: LoraView | None) -> str:
    """The remedy for targets that are none: those of which there are tensors."""
    modules = lora.pairs if lora else ()
    leaves = sorted({module.rpartition(".")[2] for module in modules})
    if not leaves or len(leaves) > _MOST_NAMED:
        return say("Write the list of the modules that were trained.")
    names = ", ".join(f'"{shortened(leaf, 40)}"' for leaf in leaves)
    return say(
        'Set "target_modules": [{names}], of which the file has tensors.', names=names
    )


def _targets(config: JsonObject) -> Iterator[Problem]:
    targets, where = config.get("target_modules"), f"{CONFIG}: target_modules"
    if not targets:
        if not config.get("target_parameters"):
            told = say("is {value}", value=shown(targets))
            told = say("missing") if targets is None else told
            yield Problem(where, say("{told}; no layer is adapted", told=told))
    elif isinstance(targets, str):
        if problem := _pattern_problem(targets):
            yield Problem(
                where,
                say(
                    "is {targets}, no valid pattern: {problem}",
                    targets=shown(targets),
                    problem=problem,
                ),
            )
    elif not isinstance(targets, list):
        yield Problem(
            where,
            say("is {targets}, neither a list nor a pattern", targets=shown(targets)),
        )
    elif odd := [t for t in targets if not isinstance(t, str) or not t]:
        yield Problem(
            where, say("holds {odd}, which is no module's name", odd=shown(odd[0]))
        )


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
