"""C, continued: whether the file holds what adapter_config.json says was adapted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from preflight.catalog.base_models import BaseModel
from preflight.findings import Problem, Severity, Unavailable
from preflight.language import glued, say, say_n
from preflight.model.configs import JsonObject
from preflight.model.lora import LoraView
from preflight.rules._rule import LORA, rule
from preflight.rules.c_config import CONFIG, shown
from preflight.rules.k_modules import judged, misfit
from preflight.text import shortened

_LAYER = re.compile(r"^.*\.layers\.(?P<layer>[0-9]{1,4})\.(?P<leaf>.+)$")
_MOST_KINDS = 100  # of modules in a layer; a Qwen layer has seven
# Patterns that seem to choose among the layers: with those, gaps may be meant.
_CHOOSES = re.compile(r"\d|layers")
_ALL = ("all-linear",)

# What LoraConfig.to_dict() of PEFT 0.21.2 and older releases writes.
_KNOWN = frozenset({
    "alora_invocation_tokens", "alpha_pattern", "arrow_config", "auto_mapping",
    "base_model_name_or_path", "bias", "corda_config", "ensure_weight_tying",
    "eva_config", "exclude_modules", "fan_in_fan_out", "inference_mode",
    "init_lora_weights", "kasa_config", "layer_replication", "layers_pattern",
    "layers_to_transform", "loftq_config", "lora_alpha", "lora_bias", "lora_dropout",
    "lora_ga_config", "megatron_config", "megatron_core", "modules_to_save",
    "monteclora_config", "peft_type", "peft_version", "qalora_group_size", "r",
    "rank_pattern", "revision", "runtime_config", "target_modules",
    "target_parameters", "task_type", "trainable_token_indices", "use_bdlora",
    "use_dora", "use_qalora", "use_rslora", "velora_config",
})  # fmt: skip
# What trainers put there beside them: ms-swift and Unsloth.
_TRAINERS = frozenset({
    "enable_lora", "lora_dtype", "lorap_emb_lr", "lorap_lr_ratio", "merge_weights",
    "unsloth_fixed", "unsloth_version", "use_merged_linear", "use_qa_lora",
})  # fmt: skip


def _strings(value: object) -> list[str]:
    found = [value] if isinstance(value, str) else value
    return [v for v in found if isinstance(v, str)] if isinstance(found, list) else []


def _ends(module: str) -> Iterator[str]:
    """All that PEFT takes for this module's name in a list: `a.b.c`, `b.c`, `c`."""
    while module:
        yield module
        module = module.partition(".")[2]


@rule(
    "C12",
    severity=Severity.WARNING,
    applies=LORA,
    fix=say(
        "Check that all layers were saved; if they were, mend the config to match."
    ),
)
def targets_are_in_the_file(
    adapter_config: JsonObject, lora: LoraView, compared: BaseModel | Unavailable
) -> Iterator[Problem]:
    """What the config says was adapted should be in the file, in every layer.

    PEFT fills what is missing with new, untrained halves and warns at most.
    Causes: a save that lost a part, a config of another run, a target name that the
    model does not have.
    Source: `target_modules` and `layers_to_transform` of PEFT's LoraConfig.
    """
    if not lora.pairs:
        return  # S05 and K01 tell of a file without any
    yield from _absent(adapter_config, lora.pairs)
    modules = [pair for pair in lora.pairs if "visual" not in pair.split(".")]
    if not isinstance(compared, Unavailable) and _misfits(lora, compared):
        compared = Unavailable(say("another model's layers, of which K03 tells"))
    yield from _gaps(adapter_config, modules, compared)


def _misfits(lora: LoraView, base: BaseModel) -> bool:
    return any(misfit(half, base) for half in judged(lora))


def _absent(config: JsonObject, modules: Iterable[str]) -> Iterator[Problem]:
    targets = config.get("target_modules")
    if not isinstance(targets, list) or isinstance(config.get("exclude_modules"), str):
        return  # a pattern that excludes may leave any of them out
    present = {end for module in modules for end in _ends(module)}
    left_out = set(_strings(config.get("exclude_modules")))
    left_out |= set(_strings(config.get("modules_to_save"))) | {"visual"}
    absent = [
        name
        for name in _strings(targets)
        if name not in present
        and left_out.isdisjoint(_ends(name))
        and left_out.isdisjoint(name.split("."))
    ]
    if absent:
        names = ", ".join(shortened(name, 80) for name in absent[:4])
        more = (
            say(" and {count:,} more", count=len(absent) - 4) if len(absent) > 4 else ""
        )
        told = say(
            "names {names}{more}, of which the file has no tensor",
            names=names,
            more=more,
        )
        yield Problem(f"{CONFIG}: target_modules", told)


def _paths(config: JsonObject) -> list[re.Match[str]]:
    """The targets that are whole paths of modules in a layer.

    PEFT writes such a list for `all-linear` where the model has few modules.
    """
    targets = config.get("target_modules")
    names = _strings(targets) if isinstance(targets, list) else []
    return [match for name in names if (match := _LAYER.match(name))]


def _may_choose(config: JsonObject) -> bool:
    """Whether the config's patterns may have left layers out on purpose."""
    targets = config.get("target_modules")
    patterns = _strings(config.get("exclude_modules"))
    if isinstance(targets, str) and targets not in _ALL:
        patterns.append(targets)
    elif isinstance(targets, list):
        patterns += [name for name in _strings(targets) if not _LAYER.match(name)]
    return any(_CHOOSES.search(pattern) for pattern in patterns)


def _expected(
    config: JsonObject, found: set[int], base: BaseModel | Unavailable
) -> set[int]:
    """The layers in which every kind of module should have its LoRA."""
    chosen = config.get("layers_to_transform")
    if isinstance(chosen, int):
        return {chosen}
    if isinstance(chosen, list) and chosen:
        return {layer for layer in chosen if isinstance(layer, int)}
    if paths := _paths(config):
        # Which layers were trained is written down; in between none is left out.
        listed = found | {int(match["layer"]) for match in paths}
        return set(range(min(listed), max(listed) + 1))
    last = max(found) if isinstance(base, Unavailable) else base.layers - 1
    return set(range(last + 1))


def _gaps(
    config: JsonObject, modules: Iterable[str], base: BaseModel | Unavailable
) -> Iterator[Problem]:
    layers: dict[str, dict[int, str]] = {}
    for module in modules:
        if match := _LAYER.match(module):
            layers.setdefault(match["leaf"], {})[int(match["layer"])] = module
    if not layers or len(layers) > _MOST_KINDS or _may_choose(config):
        return
    expected = _expected(config, set().union(*layers.values()), base)
    alike: dict[frozenset[int], list[str]] = {}
    for leaf, found in layers.items():
        if lost := frozenset(expected - set(found)):
            alike.setdefault(lost, []).append(leaf)
    for lost, leaves in alike.items():
        found = layers[leaves[0]]
        names = ", ".join(shortened(leaf, 80) for leaf in leaves[:3])
        more = (
            say(" and {count:,} more", count=len(leaves) - 3) if len(leaves) > 3 else ""
        )
        told = say_n(
            "{names}{more} has no LoRA in layer {layers}",
            "{names}{more} have no LoRA in layer {layers}",
            count=len(leaves),
            names=names,
            more=more,
            layers=_numbers(lost),
        )
        told = say(
            "{told}; {count:,} of {total:,} have one",
            told=told,
            count=len(found),
            total=len(expected | set(found)),
        )
        yield Problem(next(iter(found.values())), told)


def _numbers(layers: Iterable[int]) -> str:
    ordered = sorted(layers)
    more = (
        say(" and {count:,} more", count=len(ordered) - 6) if len(ordered) > 6 else ""
    )
    return glued(", ".join(f"{layer:,}" for layer in ordered[:6]), more)


@rule(
    "C13",
    severity=Severity.WARNING,
    applies=LORA,
    fix=say("See what the key does; a loader that does not know it drops it."),
)
def config_keys_known(adapter_config: JsonObject) -> Iterator[Problem]:
    """A key that loaders do not know is dropped with a warning, whatever it meant.

    Keys that are null, false or empty switch nothing on and do no harm.
    Causes: a PEFT newer than 0.21, a fork of it, a typing error.
    Source: LoraConfig of PEFT 0.21.2.
    """
    if "peft_type" not in adapter_config:
        return  # another tool's file: told by C01
    for key, value in adapter_config.items():
        if value and key not in _KNOWN and key not in _TRAINERS:
            yield Problem(
                f"{CONFIG}: {shortened(key, 60)}", say("is {value}", value=shown(value))
            )
