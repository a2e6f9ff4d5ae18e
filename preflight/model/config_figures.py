"""The figures of a config.json, in whichever place and spelling they stand there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from preflight.catalog.base_models import BaseModel
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.text import shortened

# What a model is built from: with another value its tensors have other shapes.
STRUCTURE = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "num_experts",
    "moe_intermediate_size",
)
TOWER_STRUCTURE = ("depth", "hidden_size", "intermediate_size", "num_heads")


def text_section(config: JsonObject) -> JsonObject:
    """The part about the language model; vision models keep it in `text_config`.

    transformers moved it there in 4.52 for Qwen2.5-VL; what the section lacks may
    still stand outside.
    """
    inner = config.get("text_config")
    return {**config, **inner} if isinstance(inner, Mapping) else config


def tower_section(config: JsonObject) -> JsonObject | None:
    """The part about the vision tower, if there is one."""
    inner = config.get("vision_config")
    return inner if isinstance(inner, Mapping) else None


def rope(config: JsonObject) -> dict[str, Any]:
    """The rotary embedding's settings: `rope_theta`, `rope_type`, factors.

    transformers 5 writes `rope_parameters`, older ones `rope_theta` and
    `rope_scaling`, whose kind was `type` before it was `rope_type`.
    """
    section = text_section(config)
    found: dict[str, Any] = {}
    for name in ("rope_scaling", "rope_parameters"):
        inner = section.get(name)
        found |= inner if isinstance(inner, Mapping) else {}
    if "rope_theta" not in found and "rope_theta" in section:
        found["rope_theta"] = section["rope_theta"]
    found["rope_type"] = found.get("rope_type", found.pop("type", "default"))
    found.pop("type", None)
    return found


def structure_differences(
    config: JsonObject, base: BaseModel
) -> dict[str, tuple[object, object]]:
    """Field → (what the config says, what the base has), where the two differ.

    A field that the config leaves out is no difference.
    """
    mine, wanted = text_section(config), text_section(base.config())
    wanted = {**wanted, "head_dim": base.head_dim}
    found = _differences(mine, wanted, STRUCTURE, "")
    tower, base_tower = tower_section(config), tower_section(base.config())
    if tower is not None and base_tower is not None:
        found |= _differences(tower, base_tower, TOWER_STRUCTURE, "vision_config.")
    return found


def unlike(config: JsonObject, base: BaseModel) -> str:
    """The first figure of a config that is not that of `base`, in words."""
    kind = config.get("model_type")
    if kind is not None and kind != base.model_type:
        told = shortened(str(kind), 60)
        return say(
            "is of the type {told}, {code} is {model_type}",
            told=told,
            code=base.code,
            model_type=base.model_type,
        )
    for field, (mine, wanted) in structure_differences(config, base).items():
        told = shortened(repr(mine), 60)
        return say(
            "is not {hub_id}: its {field} is {told}, not {wanted}",
            hub_id=base.hub_id,
            field=field,
            told=told,
            wanted=wanted,
        )
    return ""


def _differences(
    mine: JsonObject, wanted: JsonObject, names: tuple[str, ...], prefix: str
) -> dict[str, tuple[object, object]]:
    return {
        f"{prefix}{name}": (mine[name], wanted[name])
        for name in names
        if mine.get(name) is not None
        and wanted.get(name) is not None
        and mine[name] != wanted[name]
    }


def architectures(config: JsonObject) -> tuple[str, ...]:
    """The class names in `architectures` that are strings."""
    found = config.get("architectures")
    if not isinstance(found, list):
        return ()
    return tuple(name for name in found if isinstance(name, str))


def resembles(config: JsonObject, base: BaseModel) -> bool:
    """Whether type and all figures that the config gives are those of `base`."""
    section = text_section(config)
    kind = config.get("model_type") == base.model_type
    sized = all(section.get(name) is not None for name in STRUCTURE[:4])
    return kind and sized and not structure_differences(config, base)
