"""D: an adapter in the layout of MLX, or with the experts' matrices in one tensor.

mlx-lm computes scale · ((x·a)·b) with a (in, r) and b (r, out): PEFT's lora_A is a
turned, lora_B is b turned, and alpha / r is the scale. Of the experts of a layer it
keeps one tensor (experts, r, in), as Tinker does.
Source: https://github.com/ml-explore/mlx-lm/blob/main/mlx_lm/tuner/lora.py,
https://github.com/thinking-machines-lab/tinker-cookbook/blob/main/tinker_cookbook/weights/_adapter.py
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.repair._repair import CannotRepair, Change, changed, repair
from preflight.repair.draft import Draft
from preflight.repair.k_names import turned
from preflight.repair.tensors import Made, Origin

_NAME = re.compile(
    r"^(?P<stem>(?:(?:model|language_model)\.)*)layers\.(?P<rest>\d+\..+)\.lora_(?P<half>[ab])$"
)
_SIGNS = frozenset({"fine_tune_type", "lora_parameters"})
_EXPERTS = re.compile(
    r"^(?P<head>.+\.mlp)\.(?:switch_mlp|experts)\.(?P<leaf>\w+)\.(?P<tail>lora_[AB]\.weight)$"
)
_TINKER = {"w1": "gate_proj", "w2": "down_proj", "w3": "up_proj"}


@repair(
    "C01 D06 K01",
    say(
        "Turns an adapter of mlx-lm into PEFT's layout: matrices transposed, names and "
        "config written as PEFT does, lora_alpha from mlx-lm's scale."
    ),
)
def mlx_converted(draft: Draft) -> Change | None:
    """Convert names, matrices and config together, or nothing."""
    config = draft.config
    if config is None or "peft_type" in config or _SIGNS.isdisjoint(config):
        return None
    names = {one.name: _NAME.match(one.name) for one in draft.tensors}
    if not names or not any(names.values()):
        return None
    if config.get("fine_tune_type", "lora") != "lora" or not all(names.values()):
        raise CannotRepair(
            say("mlx-lm trained more than a LoRA (DoRA or full weights)")
        )
    new = tuple(
        _converted(one, match) for one in draft.tensors if (match := names[one.name])
    )
    rank = {one.shape[-2] for one in new if ".lora_A." in one.name}
    if len(rank) != 1:
        raise CannotRepair(say("the ranks of mlx-lm's adapter differ"))
    made = draft.with_tensors(new)
    leaves = sorted({m["rest"].rpartition(".")[2] for m in names.values() if m})
    fields = _peft_config(config, rank.pop(), leaves)
    told = say(
        "scale {scale} becomes lora_alpha {alpha}",
        scale=_scale(config),
        alpha=fields["lora_alpha"],
    )
    return changed(made.with_document("adapter_config.json", fields), told)


def _converted(one: Made, match: re.Match[str]) -> Made:
    """A half under PEFT's name; of experts, which are no matrix, it is one already."""
    name = f"base_model.model.model.layers.{match['rest']}.lora_{match['half'].upper()}"
    made = one.renamed(f"{name}.weight")
    return turned(made) if len(one.shape) == 2 else made


def _scale(config: JsonObject) -> float:
    parameters = config.get("lora_parameters")
    found = parameters.get("scale") if isinstance(parameters, Mapping) else None
    if not isinstance(found, (int, float)) or isinstance(found, bool) or found <= 0:
        raise CannotRepair(say("mlx-lm's config does not tell the scale"))
    alpha = parameters.get("alpha") if isinstance(parameters, Mapping) else None
    # Releases of early 2024 scaled by scale * alpha / rank, later ones by scale.
    if alpha is not None and alpha != (config["lora_parameters"] or {}).get("rank"):
        raise CannotRepair(
            say("mlx-lm's config has an alpha, which is read in two ways")
        )
    return float(found)


def _peft_config(config: JsonObject, rank: int, leaves: list[str]) -> dict[str, object]:
    alpha = _scale(config) * rank
    return {
        "base_model_name_or_path": config.get("model"),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "lora_alpha": int(alpha) if alpha.is_integer() else alpha,
        "lora_dropout": 0.0,
        "modules_to_save": None,
        "peft_type": "LORA",
        "r": rank,
        "target_modules": leaves,
        "task_type": "CAUSAL_LM",
    }


@repair("K01 S06", say("Gives every expert of a mixture the LoRA halves of its own."))
def experts_apart(draft: Draft) -> Change | None:
    """Cut tensors over all experts into matrices; their bytes stay as they are."""
    base = draft.known.base
    count = None if isinstance(base, Unavailable) else base.counters.get("expert")
    new: list[Made] = []
    for one in draft.tensors:
        match = _EXPERTS.match(one.name) if len(one.shape) == 3 else None
        if match is None or count is None or one.shape[0] not in (1, count):
            new.append(one)
        else:
            new.extend(_of_experts(one, match, count))
    if len(new) == len(draft.tensors):
        return None
    told = say(
        "{before:,} tensors become {after:,}", before=len(draft.tensors), after=len(new)
    )
    return changed(draft.with_tensors(tuple(new)), told)


def _of_experts(one: Made, match: re.Match[str], count: int) -> Iterator[Made]:
    """One matrix an expert; one that all share stands for each of them."""
    leaf = _TINKER.get(match["leaf"], match["leaf"])
    shape = one.shape[1:]
    size = one.origin.size // one.shape[0]
    for expert in range(count):
        at = expert if one.shape[0] == count else 0
        start = one.origin.start + at * size
        origin = Origin(one.origin.file, one.dtype, shape, start, size)
        name = f"{match['head']}.experts.{expert}.{leaf}.{match['tail']}"
        yield replace(one, name=name, shape=shape, origin=origin)
