"""Parts of an inspection of full weights, made in memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from preflight.findings import Unavailable
from preflight.model.headers import Container, Tensor
from preflight.model.reference import Reference
from preflight.model.templates import Template
from tests.rules.inputs import base, tensor

NONE = Unavailable("it is not there")
FIRST, SECOND = "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"


def model(code: str = "qwen3-8b") -> list[Tensor]:
    """All tensors of a base, in BF16."""
    specs = base(code).checkpoint_tensors()
    return [tensor(spec.name, spec.shape, "BF16") for spec in specs]


def shard(file: str, *names: str) -> Container:
    """A sound file with small tensors of these names."""
    return Container(file, 1000, 100, tuple(map(tensor, names)), {"format": "pt"})


def index_of(
    shards: Mapping[str, Iterable[str]], **metadata: object
) -> dict[str, object]:
    """An index that names these tensors in these files."""
    mapped = {name: file for file, names in shards.items() for name in names}
    return {"metadata": metadata, "weight_map": mapped}


def reference(
    *,
    templates: tuple[Template, ...] = (),
    shapes: Mapping[str, tuple[int, ...]] | Unavailable = NONE,
    config: Mapping[str, object] | Unavailable = NONE,
    directory: Path = Path("/nowhere"),
) -> Reference:
    """A copy of a base of which only these parts are at hand."""
    return Reference("the cache", directory, config, NONE, templates, shapes, NONE)
