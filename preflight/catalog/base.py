"""One base model: the fields of its entry, and all that follows from them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Annotated, Any

from msgspec import Meta, Struct, field

from preflight.findings import WeightType

Text = Annotated[str, Meta(min_length=1, pattern=r"\S")]
Size = Annotated[int, Meta(ge=1)]
Number = Annotated[int, Meta(ge=0)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Texts = Annotated[tuple[Text, ...], Meta(min_length=1)]

_TIED = "lm_head.weight"  # a checkpoint with tied embeddings has no such tensor
_MARK = re.compile(r"\{(\w+)\}")
_LAYER = re.compile(r"\blayers\.\{layer\}\.(?P<module>.+)\.weight$")


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """A tensor of a full checkpoint: its name on disk and its shape."""

    name: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class TensorPattern:
    """Tensors of one shape; each counter's mark in the name runs from 0."""

    name: str
    shape: tuple[int, ...]
    counters: Mapping[str, int]

    @property
    def elements(self) -> int:
        """How many numbers all tensors of the pattern hold."""
        return prod(self.shape) * prod(self.counters.values())

    @property
    def visual(self) -> bool:
        """Whether the tensors belong to the vision tower."""
        return "visual" in self.name.split(".")

    def tensors(self) -> Iterator[TensorSpec]:
        """Every tensor of the pattern, the last counter running fastest."""
        for numbers in product(*map(range, self.counters.values())):
            marks = dict(zip(self.counters, numbers, strict=True))
            yield TensorSpec(self.name.format_map(marks), self.shape)


@dataclass(frozen=True, slots=True)
class Linear:
    """A linear layer within a layer of the model: `(out, in)` and its own counters.

    An expert's layer has one counter, `expert`; an ordinary layer has none.
    """

    shape: tuple[int, int]
    counters: Mapping[str, int]


class VisionTower(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The figures of a vision tower; `positions` is 0 where none are learned."""

    depth: Size
    hidden_size: Size
    intermediate_size: Size
    heads: Size
    in_channels: Size
    out_hidden_size: Size
    patch_size: Size
    temporal_patch_size: Size
    spatial_merge_size: Size
    positions: Number = 0
    deepstack_layers: tuple[Number, ...] = ()

    @property
    def counters(self) -> Mapping[str, int]:
        """What the marks in names of the tower's tensors count to."""
        return {"block": self.depth, "deepstack": len(self.deepstack_layers)}

    @property
    def sizes(self) -> Mapping[str, int]:
        """What the words in shapes of the tower's tensors stand for."""
        return {
            "v_hidden": self.hidden_size,
            "v_intermediate": self.intermediate_size,
            "v_qkv": 3 * self.hidden_size,
            "v_merged": self.hidden_size * self.spatial_merge_size**2,
            "v_out": self.out_hidden_size,
            "v_channels": self.in_channels,
            "v_temporal": self.temporal_patch_size,
            "v_patch": self.patch_size,
            "v_positions": self.positions,
        }


class BaseModel(
    Struct, frozen=True, kw_only=True, eq=False, forbid_unknown_fields=True, dict=True
):
    """A base model of Model Studio; sizes count elements, `*_bytes` count bytes.

    The fields are those of an entry in a catalog file, checked when it is decoded.
    `counters` and `sizes` are a model's further ones: `{"expert": 128}` lets
    `{expert}` run from 0 to 127 in the names of `tensors` and stand for 128 in their
    shapes, `{"expert_intermediate": 768}` is a word for shapes. Models are made once
    by `load_bases` and compared by identity.
    """

    code: Text
    hub_id: Text
    family: Text
    architecture: Text
    model_type: Text
    hidden_size: Size
    intermediate_size: Size
    layers: Size
    heads: Size
    kv_heads: Size
    head_dim: Size
    vocab_size: Size
    tied_embeddings: bool
    importable: Annotated[frozenset[WeightType], Meta(min_length=1)]
    added_token_list: Texts = field(name="added_tokens")
    vocab_sha256: Sha256
    merges_sha256: Sha256
    vocab_entries: Size
    template_sha256: Annotated[tuple[Sha256, ...], Meta(min_length=1)]
    template_bytes: Size
    template_ends_with_newline: bool
    bos_token_id: Number
    eos_token_id: Number
    pad_token_id: Number
    generation_eos: tuple[Number, ...]
    lora_prefixes: Texts
    tensor_shapes: dict[Text, Text] = field(name="tensors")
    config_template: dict[str, Any] = field(name="config")
    source: Text
    date: Text
    vision: VisionTower | None = None
    counters: dict[Text, Size] = {}
    sizes: dict[Text, Size] = {}
    stated_parameters: Size | None = field(name="parameters", default=None)

    def __post_init__(self) -> None:
        """Hold against each other what must agree; `ValueError` names the field."""
        if len(set(self.added_token_list)) < len(self.added_token_list):
            raise ValueError("`added_tokens` names a token twice")
        if self.stated_parameters not in (None, self.parameters):
            raise ValueError(f"`parameters` is not the tensors' sum, {self.parameters}")
        if self.tokenizer_length > self.vocab_size:
            tokens = self.tokenizer_length
            raise ValueError(f"`vocab_size` must be at least the {tokens} tokens")
        self.config()

    @cached_property
    def added_tokens(self) -> Mapping[str, int]:
        """The added tokens with their ids.

        These follow the vocabulary's without a gap in all Qwen tokenizers.
        """
        numbered = enumerate(self.added_token_list, self.vocab_entries)
        return MappingProxyType({token: number for number, token in numbered})

    @property
    def tokenizer_length(self) -> int:
        """Entries of the vocabulary and added tokens, without the padding rows."""
        return self.vocab_entries + len(self.added_token_list)

    @cached_property
    def patterns(self) -> tuple[TensorPattern, ...]:
        """The tensors of a full checkpoint as the hub has it, those alike together."""
        vision = self.vision
        own = {"layer": self.layers, **(vision.counters if vision else {})}
        if taken := own.keys() & self.counters:
            raise ValueError(f"`counters` names {min(taken)}, which is taken")
        counters = {**own, **self.counters}
        sizes = self._sizes(counters)
        return tuple(
            _pattern(name, shape, counters, sizes)
            for name, shape in self.tensor_shapes.items()
            if not (self.tied_embeddings and name == _TIED)
        )

    def _sizes(self, counters: Mapping[str, int]) -> dict[str, int]:
        sizes = {
            "hidden": self.hidden_size,
            "intermediate": self.intermediate_size,
            "q": self.heads * self.head_dim,
            "kv": self.kv_heads * self.head_dim,
            "head": self.head_dim,
            "vocab": self.vocab_size,
            **(self.vision.sizes if self.vision else {}),
            **self.sizes,
        }
        return sizes | {f"{{{mark}}}": count for mark, count in counters.items()}

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

    @cached_property
    def _checkpoint(self) -> tuple[TensorSpec, ...]:
        return tuple(spec for each in self.patterns for spec in each.tensors())

    def checkpoint_tensors(self) -> tuple[TensorSpec, ...]:
        """Every tensor of a full checkpoint as the hub has it, by pattern."""
        return self._checkpoint

    @cached_property
    def linears(self) -> Mapping[str, Linear]:
        """The linear layers of the language model's layers, by their path there.

        `self_attn.q_proj`, `mlp.up_proj`, `mlp.experts.*.up_proj`: `*` stands for a
        number, which the linear's own counters limit.
        """
        found: dict[str, Linear] = {}
        for pattern in self.patterns:
            match = _LAYER.search(pattern.name)
            if match is None or pattern.visual or len(pattern.shape) != 2:
                continue
            out, into = pattern.shape
            counters = {m: n for m, n in pattern.counters.items() if m != "layer"}
            path = _MARK.sub("*", match["module"])
            found[path] = Linear((out, into), counters)
        return MappingProxyType(found)

    def config(self) -> dict[str, Any]:
        """The content of the model's own `config.json`, a fresh copy each time."""
        return {
            key: _filled(value, self) for key, value in self.config_template.items()
        }


def _pattern(
    name: str, shape: str, counters: Mapping[str, int], sizes: Mapping[str, int]
) -> TensorPattern:
    marks, words = _MARK.findall(name), shape.split()
    for mark in marks:
        if mark not in counters:
            raise ValueError(f"`tensors` has an unknown counter {{{mark}}} in {name}")
    for word in words:
        if word not in sizes:
            known = " ".join(sizes)
            raise ValueError(f"`tensors` has an unknown size {word} at {name}: {known}")
    running = {mark: counters[mark] for mark in marks}
    return TensorPattern(name, tuple(sizes[word] for word in words), running)


def _filled(value: object, base: BaseModel) -> object:
    """A value of the template with `$name` replaced by the model's figure."""
    if isinstance(value, dict):
        return {key: _filled(inner, base) for key, inner in value.items()}
    if isinstance(value, list):
        return [_filled(inner, base) for inner in value]
    if isinstance(value, str) and value.startswith("$"):
        figure = _figure(value[1:], base)
        return list(figure) if isinstance(figure, tuple) else figure
    return value


def _figure(path: str, base: BaseModel) -> object:
    """`layers`, `vision.depth`, `counters.expert`: a field, or an item in one."""
    found: object = base
    try:
        for name in path.split("."):
            found = found[name] if isinstance(found, dict) else getattr(found, name)
    except (AttributeError, KeyError):
        raise ValueError(f"`config` asks for ${path}, no known figure") from None
    return found
