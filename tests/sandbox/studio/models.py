"""Tiny models for the tests of the fake import service, written by the real library."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from safetensors.numpy import save

from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.bodies import CreateRequest
from preflight.sandbox.studio.importable import BaseModel, Family, template_digest
from preflight.sandbox.studio.jobs import Job, Source, WeightType
from preflight.sandbox.studio.state import StudioState

TEMPLATE = "{% for m in messages %}{{ m.content }}{% endfor %}\n"
BUCKET = "models"
PREFIX = "runs/one/"
TAGS = {"bailian-datahub-access": "read"}
Files = dict[str, bytes]


def tiny(family: Family = Family.QWEN3, **other: object) -> BaseModel:
    """A base model whose full weights have some kilobytes."""
    dimensions: dict[str, Any] = {
        "hidden": 64,
        "intermediate": 96,
        "layers": 2,
        "heads": 4,
        "kv_heads": 2,
        "head_dim": 16,
        "vocab_size": 40,
        "vocabulary": 30,
        "added_tokens": ("<|end|>", "<|start|>"),
        "template": template_digest(TEMPLATE),
    }
    dimensions.update(other)
    return BaseModel("tiny", family, **dimensions)


def tensors(shapes: Mapping[str, tuple[int, ...]], dtype: str = "float32") -> bytes:
    """A safetensors file of zeros."""
    return save({name: np.zeros(shape, dtype) for name, shape in shapes.items()})


def to_json(value: object) -> bytes:
    return json.dumps(value).encode()


def lora_shapes(
    base: BaseModel, rank: int = 8, root: str = "", layers: int = 1
) -> dict[str, tuple[int, ...]]:
    """All seven linear layers of the first blocks."""
    root = root or base.lora_roots[0]
    found: dict[str, tuple[int, ...]] = {}
    for layer in range(layers):
        for name, (out, into) in base.linears.items():
            found[f"{root}{layer}.{name}.lora_A.weight"] = (rank, into)
            found[f"{root}{layer}.{name}.lora_B.weight"] = (out, rank)
    return found


def lora(base: BaseModel, rank: int = 8) -> Files:
    """The two files of an adapter as PEFT writes them."""
    return {
        "adapter_model.safetensors": tensors(lora_shapes(base, rank)),
        "adapter_config.json": to_json({"peft_type": "LORA", "r": rank}),
    }


def config(base: BaseModel) -> dict[str, Any]:
    return {
        "model_type": base.family.value,
        "vocab_size": base.vocab_size,
        "hidden_size": base.hidden,
        "num_hidden_layers": base.layers,
    }


def tokenizer(base: BaseModel) -> dict[str, Any]:
    """tokenizer.json with the base model's vocabulary."""
    added = [
        {"id": base.vocabulary + number, "content": token}
        for number, token in enumerate(base.added_tokens)
    ]
    vocabulary = {f"word{number}": number for number in range(base.vocabulary)}
    return {"added_tokens": added, "model": {"vocab": vocabulary}}


def full(base: BaseModel) -> Files:
    """Single-file full weights with a fast tokenizer."""
    return {
        "config.json": to_json(config(base)),
        "tokenizer_config.json": to_json({"chat_template": TEMPLATE}),
        "tokenizer.json": to_json(tokenizer(base)),
        "model.safetensors": tensors(base.text_tensors()),
    }


def sharded(base: BaseModel) -> Files:
    """The same in two shards with an index."""
    files = full(base)
    del files["model.safetensors"]
    names = sorted(base.text_tensors())
    half = len(names) // 2
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[:half], names[half:]), 1):
        shard = f"model-{number:05d}-of-00002.safetensors"
        files[shard] = tensors({name: base.text_tensors()[name] for name in part})
        weight_map |= dict.fromkeys(part, shard)
    files["model.safetensors.index.json"] = to_json({"weight_map": weight_map})
    return files


def put(oss: OssState, files: Mapping[str, bytes], prefix: str = PREFIX) -> None:
    for name, content in files.items():
        oss.put(BUCKET, prefix + name, [content], size=len(content))


def request(
    weight_type: WeightType = WeightType.LORA,
    *,
    base: str = "tiny",
    bucket: str = BUCKET,
    prefix: str = PREFIX,
) -> CreateRequest:
    return CreateRequest(base, "", Source(bucket, prefix), weight_type)


def run(studio: StudioState, wanted: CreateRequest) -> Job:
    """A job from its creation to its end, polled as a client does."""
    job = studio.create(wanted)
    for _ in range(3):
        job = studio.get(job.id)
    return job
