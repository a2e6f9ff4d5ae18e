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

_LONGEST_NAME = 2000  # characters; beyond it a name is nobody's, and slow to match


@dataclass(frozen=True, slots=True)
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

    @property
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

    @property
    def outer(self) -> int | None:
        """The dimension that belongs to the base's layer: in for A, out for B."""
        shape = self.tensor.shape
        if len(shape) != 2 or not self.is_weight:
            return None
        return shape[1] if self.half == "A" else shape[0]


@dataclass(frozen=True)
class LoraView:
    """An adapter's tensors: the LoRA halves and everything else."""

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
