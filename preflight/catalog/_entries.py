"""From an entry of a JSON file to a `BaseModel`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from preflight.catalog._fields import Fields, is_sha256
from preflight.catalog.base import BaseModel, TensorPattern, VisionTower
from preflight.findings import WeightType

_TIED = "lm_head.weight"  # a checkpoint with tied embeddings has no such tensor


def build_base(values: Mapping[str, Any], where: str) -> BaseModel:
    """One model from its merged fields.

    Raises `ConfigurationError` that names `where` and the field.
    """
    fields = Fields(dict(values), where)
    base = _base(fields, _vision(fields, where))
    _check_sums(fields, base)
    fields.finish()
    return base


def _base(fields: Fields, vision: VisionTower | None) -> BaseModel:
    numbers = {name: fields.number(name) for name in _NUMBERS}
    plain: dict[str, Any] = {**numbers}
    plain |= {name: fields.number(name, least=0) for name in _IDS}
    plain |= {name: fields.text(name) for name in _TEXTS}
    tied = fields.flag("tied_embeddings")
    return BaseModel(
        **plain,
        tied_embeddings=tied,
        vision=vision,
        importable=_importable(fields),
        added_tokens=_added_tokens(fields, numbers["vocab_entries"]),
        vocab_sha256=fields.digest("vocab_sha256"),
        merges_sha256=fields.digest("merges_sha256"),
        template_sha256=_digests(fields, "template_sha256"),
        template_ends_with_newline=fields.flag("template_ends_with_newline"),
        generation_eos=fields.numbers("generation_eos"),
        lora_prefixes=fields.texts("lora_prefixes"),
        patterns=_patterns(fields, numbers, vision, tied=tied),
        config_template=MappingProxyType(fields.mapping("config")),
    )


def _vision(fields: Fields, where: str) -> VisionTower | None:
    if not fields.has("vision"):
        return None
    inner = Fields(fields.mapping("vision"), f"{where}.vision")
    figures = {name: inner.number(name) for name in _VISION_NUMBERS}
    deep = inner.numbers("deepstack_layers") if inner.has("deepstack_layers") else ()
    positions = inner.number("positions") if inner.has("positions") else 0
    inner.finish()
    return VisionTower(**figures, positions=positions, deepstack_layers=deep)


def _importable(fields: Fields) -> frozenset[WeightType]:
    try:
        return frozenset(WeightType(name) for name in fields.texts("importable"))
    except ValueError:
        fields.fail("importable", 'a list of "lora" and "full"')


def _added_tokens(fields: Fields, first: int) -> Mapping[str, int]:
    # Their ids follow those of the vocabulary without a gap in all Qwen tokenizers.
    tokens = fields.texts("added_tokens")
    return MappingProxyType({token: first + i for i, token in enumerate(tokens)})


def _digests(fields: Fields, name: str) -> tuple[str, ...]:
    found = fields.texts(name)
    if not all(is_sha256(item) for item in found):
        fields.fail(name, "a list of SHA-256 in lower-case hexadecimal digits")
    return found


def _patterns(
    fields: Fields,
    numbers: Mapping[str, int],
    vision: VisionTower | None,
    *,
    tied: bool,
) -> tuple[TensorPattern, ...]:
    sizes = _sizes(numbers, vision)
    counts = {"{layer}": numbers["layers"]}
    if vision:
        deep = len(vision.deepstack_layers)
        counts |= {"{block}": vision.depth, "{deepstack}": deep}
    found = []
    for name, shape in fields.mapping("tensors").items():
        if tied and name == _TIED:
            continue
        try:
            found.append(_pattern(name, [sizes[s] for s in shape.split()], counts))
        except (AttributeError, KeyError):
            fields.fail("tensors", f"of known sizes at {name}: {' '.join(sizes)}")
    return tuple(found)


def _pattern(name: str, shape: list[int], counts: Mapping[str, int]) -> TensorPattern:
    for mark, count in counts.items():
        if mark in name:
            return TensorPattern(name.replace(mark, "{n}"), tuple(shape), count)
    if "{" in name:
        raise KeyError(name)
    return TensorPattern(name, tuple(shape), 1)


def _sizes(numbers: Mapping[str, int], vision: VisionTower | None) -> dict[str, int]:
    """What the words of a tensor's shape stand for."""
    sizes = {
        "hidden": numbers["hidden_size"],
        "intermediate": numbers["intermediate_size"],
        "q": numbers["heads"] * numbers["head_dim"],
        "kv": numbers["kv_heads"] * numbers["head_dim"],
        "head": numbers["head_dim"],
        "vocab": numbers["vocab_size"],
    }
    if vision:
        sizes |= {
            "v_hidden": vision.hidden_size,
            "v_intermediate": vision.intermediate_size,
            "v_qkv": 3 * vision.hidden_size,
            "v_merged": vision.hidden_size * vision.spatial_merge_size**2,
            "v_out": vision.out_hidden_size,
            "v_channels": vision.in_channels,
            "v_temporal": vision.temporal_patch_size,
            "v_patch": vision.patch_size,
            "v_positions": vision.positions,
        }
    return sizes


def _check_sums(fields: Fields, base: BaseModel) -> None:
    """A stated total, and all that must agree, against each other."""
    if fields.has("parameters") and fields.number("parameters") != base.parameters:
        fields.fail("parameters", f"the sum of the tensors, {base.parameters}")
    if base.tokenizer_length > base.vocab_size:
        fields.fail("vocab_size", f"at least the {base.tokenizer_length} tokens")
    try:
        base.config()
    except AttributeError as error:
        fields.fail("config", f"made of known figures ({error})")


_TEXTS = (
    "code", "hub_id", "family", "architecture", "model_type", "source", "date",
)  # fmt: skip
_NUMBERS = (
    "hidden_size", "intermediate_size", "layers", "heads", "kv_heads", "head_dim",
    "vocab_size", "vocab_entries", "template_bytes",
)  # fmt: skip
_IDS = ("bos_token_id", "eos_token_id", "pad_token_id")
_VISION_NUMBERS = (
    "depth", "hidden_size", "intermediate_size", "heads", "in_channels",
    "out_hidden_size", "patch_size", "temporal_patch_size", "spatial_merge_size",
)  # fmt: skip
