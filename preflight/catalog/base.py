"""One base model as values: its figures, its tensors and its config.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from operator import attrgetter
from typing import Any

from preflight.findings import WeightType


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a full checkpoint: its name on disk and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorPattern:
    """`count` tensors of one shape; `{n}` in the name runs from 0."""

    name: str
    shape: tuple[int, ...]
    count: int

    @property
    def elements(self) -> int:
        """How many numbers all tensors of the pattern hold."""
        return prod(self.shape) * self.count

    @property
    def visual(self) -> bool:
        """Whether the tensors belong to the vision tower."""
        return "visual" in self.name.split(".")


@dataclass(frozen=True, slots=True)
class VisionTower:
    """The figures of a vision tower; `positions` is 0 where none are learned."""

    depth: int
    hidden_size: int
    intermediate_size: int
    heads: int
    in_channels: int
    out_hidden_size: int
    patch_size: int
    temporal_patch_size: int
    spatial_merge_size: int
    positions: int
    deepstack_layers: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class BaseModel:
    """A base model of Model Studio; sizes count elements, `*_bytes` count bytes.

    Models are made once by `load_bases` and compared by identity.
    """

    code: str
    hub_id: str
    family: str
    architecture: str
    model_type: str
    hidden_size: int
    intermediate_size: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    tied_embeddings: bool
    vision: VisionTower | None
    importable: frozenset[WeightType]
    added_tokens: Mapping[str, int]
    vocab_sha256: str
    merges_sha256: str
    vocab_entries: int
    template_sha256: tuple[str, ...]
    template_bytes: int
    template_ends_with_newline: bool
    bos_token_id: int
    eos_token_id: int
    pad_token_id: int
    generation_eos: tuple[int, ...]
    lora_prefixes: tuple[str, ...]
    patterns: tuple[TensorPattern, ...]
    config_template: Mapping[str, Any]
    source: str
    date: str

    @property
    def tokenizer_length(self) -> int:
        """Entries of the vocabulary and added tokens, without the padding rows."""
        return self.vocab_entries + len(self.added_tokens)

    @property
    def parameters(self) -> int:
        """Numbers in a full checkpoint; a tied output layer counts once."""
        return sum(pattern.elements for pattern in self.patterns)

    @property
    def vision_parameters(self) -> int:
        """The part of `parameters` that lies in the vision tower."""
        return sum(p.elements for p in self.patterns if p.visual)

    @property
    def total_bytes_bf16(self) -> int:
        """Bytes of all tensors in BF16: an index file's `total_size`."""
        return 2 * self.parameters

    def checkpoint_tensors(self) -> tuple[TensorSpec, ...]:
        """Every tensor of a full checkpoint as the hub has it, by pattern."""
        return _expand(self)

    def linear_shape(self, module: str) -> tuple[int, int] | None:
        """`(out, in)` of a linear layer of the language model, by its last name.

        `None` for anything else: norms, embeddings, layers of the vision tower.
        """
        return _linear_shapes(self).get(module)

    def config(self) -> dict[str, Any]:
        """The content of the model's own `config.json`, a fresh copy each time."""
        return {
            key: _filled(value, self) for key, value in self.config_template.items()
        }


@lru_cache(maxsize=64)
def _expand(base: BaseModel) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(pattern.name.replace("{n}", str(index)), pattern.shape)
        for pattern in base.patterns
        for index in range(pattern.count)
    )


@lru_cache(maxsize=64)
def _linear_shapes(base: BaseModel) -> dict[str, tuple[int, int]]:
    # The output layer exists as a module even where its weight is tied away.
    shapes = {"lm_head": (base.vocab_size, base.hidden_size)}
    for pattern in base.patterns:
        in_layer = "layers.{n}" in pattern.name and not pattern.visual
        if in_layer and len(pattern.shape) == 2:
            out, into = pattern.shape
            shapes[pattern.name.split(".")[-2]] = (out, into)
    return shapes


def _filled(value: object, base: BaseModel) -> object:
    """A value of the template with `$name` replaced by the model's figure."""
    if isinstance(value, dict):
        return {key: _filled(inner, base) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, base) for inner in value]
    if isinstance(value, str) and value.startswith("$"):
        figure = attrgetter(value[1:])(base)
        return list(figure) if isinstance(figure, tuple) else figure
    return value
