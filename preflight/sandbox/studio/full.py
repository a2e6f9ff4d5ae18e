"""The documented rules for full weights: the same files as the open-source model."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.sandbox.studio.configs import check_base_config
from preflight.sandbox.studio.headers import Tensor, not_float, read_tensors
from preflight.sandbox.studio.importable import BaseModel
from preflight.sandbox.studio.store import Files, Rejected
from preflight.sandbox.studio.tokens import (
    check_template,
    check_vocabulary,
    templates,
)

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"


def _missing(files: Files) -> Iterator[str]:
    for name in ("config.json", "tokenizer_config.json"):
        if name not in files:
            yield name
    slow = "vocab.json" in files and "merges.txt" in files
    # transformers 5 writes tokenizer.json alone, older ones also the other two.
    if "tokenizer.json" not in files and not slow:
        yield "tokenizer.json (or vocab.json and merges.txt)"
    if SINGLE not in files and INDEX not in files:
        yield f"{SINGLE} (or {INDEX})"


def _weight_map(files: Files) -> dict[str, str]:
    found = files.read_object(INDEX).get("weight_map")
    if not isinstance(found, dict) or not found:
        raise Rejected(f"{INDEX}: there is no weight_map")
    if not all(isinstance(shard, str) for shard in found.values()):
        raise Rejected(f"{INDEX}: weight_map does not name files")
    return found


def _sharded(files: Files) -> dict[str, Tensor]:
    """The tensors of all shards; the index has to name each in its own shard.

    `metadata.total_size` is not looked at: no loader of such an index does.
    """
    named = _weight_map(files)
    found: dict[str, Tensor] = {}
    for shard in sorted(set(named.values())):
        tensors = read_tensors(files, shard)
        listed = {name for name, where in named.items() if where == shard}
        if odd := sorted(listed ^ set(tensors)):
            raise Rejected(f"{INDEX} and {shard} disagree on {odd[0]}")
        found |= tensors
    return found


def _check_tensors(tensors: dict[str, Tensor], base: BaseModel) -> Iterator[str]:
    vision = {n: t for n, t in tensors.items() if "visual" in n.split(".")}
    expected = base.text_tensors()
    shapes = {n: t.shape for n, t in tensors.items() if n not in vision}
    if base.tied:
        shapes.pop("lm_head.weight", None)  # some writers save the tied copy too
    for name in sorted(expected.keys() | shapes.keys()):
        wanted, found = expected.get(name), shapes.get(name)
        if wanted != found:
            yield f"{name} has the shape {found}, {base.name} has {wanted}"
    parameters = sum(tensor.elements for tensor in vision.values())
    if (len(vision), parameters) != (base.vision_tensors, base.vision_parameters):
        yield f"the vision tower ({len(vision)} tensors) is not that of {base.name}"


def check_full(files: Files, base: BaseModel) -> Iterator[str]:
    """Every rule that full weights break; raises `Rejected` for a file unread."""
    if missing := list(_missing(files)):
        raise Rejected(f"missing: {', '.join(missing)}")
    yield from check_base_config(files, base)
    tensors = _sharded(files) if INDEX in files else read_tensors(files, SINGLE)
    yield from not_float(tensors)
    yield from _check_tensors(tensors, base)
    yield from check_vocabulary(files, base)
    yield from check_template(files, base)
    if not templates(files):
        yield "there is no chat template"
