"""Adapter tensors by their meaning: which module, which half, which rank."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from preflight.model.headers import Tensor

_KEY = re.compile(
    r"^(?P<module>.*?)\.?lora_(?P<embedding>embedding_)?(?P<half>[AB])(?P<suffix>\..*)?$"
)

_LAYER = re.compile(
    r"^(?P<prefix>(?:.*?\.)?)(?P<layer>[0-9]{1,9})\.(?P<module>[^.].*)$"
)
_NUMBER = re.compile(r"(?<=\.)[0-9]{1,9}(?=\.)")

_LONGEST_NAME = 2000  # characters; beyond it a name is nobody's, and slow to match


@dataclass(frozen=True, slots=True)
class LayerPath:
    """A module's path taken apart at the number of its layer.

    `base_model.model.model.layers.3.mlp.experts.7.up_proj` has the `prefix` up to
    `layers.`, the `kind` `mlp.experts.*.up_proj`, and the `numbers` 3 and 7.
    """

    prefix: str
    kind: str
    numbers: tuple[int, ...]

    @property
    def leaf(self) -> str:
        """The last name: `up_proj`."""
        return self.kind.rpartition(".")[2]


@dataclass(frozen=True)
class LoraTensor:
    """One half of an adapted layer.

    `module` is the path before `.lora_A`, `suffix` what follows it (`.weight` in a
    sound file), `half` is `A` (rank, in) or `B` (out, rank).
    """

    tensor: Tensor
    module: str
    half: str
    suffix: str
    embedding: bool = False

    @cached_property
    def path(self) -> LayerPath | None:
        """Where the module lies; `None` where it is in no numbered layer."""
        match = _LAYER.match(self.module)
        if match is None:
            return None
        numbers = [match["layer"], *_NUMBER.findall(match["module"])]
        kind = _NUMBER.sub("*", match["module"]) if numbers[1:] else match["module"]
        return LayerPath(match["prefix"], kind, tuple(map(int, numbers)))

    @cached_property
    def is_weight(self) -> bool:
        """Whether it is a matrix, not the bias that `lora_bias` adds."""
        return not self.suffix.endswith(".bias")

    @property
    def rank(self) -> int | None:
        """Rows of A or columns of B; `None` where the tensor is not a matrix."""
        shape = self.tensor.shape
        if len(shape) != 2 or not self.is_weight:
            return None
        return shape[0] if self.half == "A" else shape[1]

    @cached_property
    def outer(self) -> int | None:
        """The dimension that belongs to the base's layer: in for A, out for B."""
        shape = self.tensor.shape
        if len(shape) != 2 or not self.is_weight:
            return None
        return shape[1] if self.half == "A" else shape[0]


@dataclass(frozen=True, eq=False)
class LoraView:
    """An adapter's tensors: the LoRA halves and everything else.

    A view equals itself alone, so that what was worked out of one can be looked up.
    """

    halves: tuple[LoraTensor, ...]
    others: tuple[Tensor, ...]

    @cached_property
    def pairs(self) -> dict[str, dict[str, LoraTensor]]:
        """Module path → half → tensor, for matrices only."""
        found: dict[str, dict[str, LoraTensor]] = {}
        for half in self.halves:
            if half.is_weight:
                found.setdefault(half.module, {})[half.half] = half
        return found


def lora_view(tensors: Iterable[Tensor]) -> LoraView:
    """Sort tensors into LoRA halves (by their names) and others."""
    halves: list[LoraTensor] = []
    others: list[Tensor] = []
    for tensor in tensors:
        match = _KEY.match(tensor.name) if len(tensor.name) < _LONGEST_NAME else None
        if match is None:
            others.append(tensor)
            continue
        part = match.groupdict()
        embedding = part["embedding"] is not None
        suffix = part["suffix"] or ""
        halves.append(
            LoraTensor(tensor, part["module"], part["half"], suffix, embedding)
        )
    return LoraView(tuple(halves), tuple(others))
