"""The documented rules for a LoRA adapter."""

from __future__ import annotations

import re
from collections.abc import Iterator

from preflight.sandbox.studio.configs import check_base_config
from preflight.sandbox.studio.headers import Tensor, not_float, read_tensors
from preflight.sandbox.studio.importable import BaseModel
from preflight.sandbox.studio.store import Files, Rejected
from preflight.sandbox.studio.tokens import check_template, check_vocabulary

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
RANKS = (8, 16, 32, 64)  # Model Studio user guide, "Model import"
_LORA = re.compile(
    r"(?P<root>.+\.)(?P<layer>[0-9]{1,6})\.(?P<linear>.+)\.lora_(?P<side>[AB])"
)
_VOCABULARY = ("embed_tokens", "lm_head")


def _tensor_problem(tensor: Tensor, base: BaseModel, rank: object) -> str:
    """What is wrong with one tensor, or an empty string."""
    parts = tensor.name.split(".")
    if "visual" in parts:
        return f"{tensor.name} belongs to the vision tower, which has to stay frozen"
    if any(part in _VOCABULARY for part in parts):
        return f"{tensor.name} changes the vocabulary"
    match = _LORA.fullmatch(tensor.name.removesuffix(".weight"))
    linear = base.linears.get(match["linear"]) if match else None
    if match is None or linear is None or not tensor.name.endswith(".weight"):
        return f"{tensor.name} is no LoRA tensor of {base.name}"
    if match["root"] not in base.lora_roots or int(match["layer"]) >= base.layers:
        return f"{tensor.name} has no place in {base.name}"
    return _shape_problem(tensor, match["side"], linear, rank)


def _shape_problem(
    tensor: Tensor, side: str, linear: tuple[int, int], rank: object
) -> str:
    """A is (rank, in) and B is (out, rank)."""
    if len(tensor.shape) != 2:
        return f"{tensor.name} has {len(tensor.shape)} dimensions, not 2"
    first, second = tensor.shape
    found, features = (first, second) if side == "A" else (second, first)
    expected = linear[1] if side == "A" else linear[0]
    if found != rank:
        return f"{tensor.name} has rank {found}, not {rank}"
    if features != expected:
        return f"{tensor.name} has {features} features, not {expected}"
    return ""


def _check_tensors(
    tensors: dict[str, Tensor], base: BaseModel, rank: object
) -> Iterator[str]:
    yield from not_float(tensors)
    for tensor in tensors.values():
        if problem := _tensor_problem(tensor, base, rank):
            yield problem
    for name in tensors:
        swap = {".lora_A.": ".lora_B.", ".lora_B.": ".lora_A."}
        for side, other in swap.items():
            if side in name and name.replace(side, other) not in tensors:
                yield f"{name} has no partner"


def _check_config(files: Files) -> tuple[object, list[str]]:
    """The rank and what is wrong with `adapter_config.json`."""
    config = files.read_object(CONFIG)
    rank, problems = config.get("r"), []
    if type(rank) is not int or rank not in RANKS:
        problems.append(f"{CONFIG}: rank r is {rank!r}, allowed are {RANKS}")
    if config.get("peft_type", "LORA") != "LORA":
        problems.append(f"{CONFIG}: peft_type is {config['peft_type']!r}, not LORA")
    return rank, problems


def check_lora(files: Files, base: BaseModel, *, need_config: bool) -> Iterator[str]:
    """Every rule that an adapter breaks; raises `Rejected` for a file unread."""
    missing = [name for name in (WEIGHTS, CONFIG) if name not in files]
    if need_config and "config.json" not in files:
        missing.append("config.json")
    if missing:
        raise Rejected(f"missing: {', '.join(missing)}")
    rank, problems = _check_config(files)
    yield from problems
    yield from _check_tensors(read_tensors(files, WEIGHTS), base, rank)
    if "config.json" in files:
        yield from check_base_config(files, base)
    yield from check_vocabulary(files, base)
    yield from check_template(files, base)
