"""Parts of an inspection made in memory, for the rules' tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from preflight.catalog.base import BaseModel
from preflight.catalog.base_models import load_bases
from preflight.findings import Problem, Severity
from preflight.model.files import FileEntry, FileKind, Walk
from preflight.model.headers import Container, Tensor
from preflight.model.location import Location
from preflight.model.lora import LoraView, lora_view
from preflight.model.scan import TensorValues
from preflight.rules import Rule

ROOT = Path("/models/run 1")
HERE = Location(ROOT)
PREFIX = "base_model.model.model.layers."


def problems(rule: Rule, **facts: object) -> list[Problem]:
    """What a rule finds; a rule that cannot tell has found nothing."""
    return [a for a in rule.check(**facts) if isinstance(a, Problem)]


def severities(rule: Rule, **facts: object) -> list[Severity]:
    """The severity of each finding, as the report counts it."""
    return [p.severity or rule.severity for p in problems(rule, **facts)]


def told(rule: Rule, **facts: object) -> str:
    """All findings as text: a line each, and one for each of their details."""
    lines = []
    for p in problems(rule, **facts):
        lines += [f"{p.where}: {p.message}", *(f"    {each}" for each in p.details)]
    return "\n".join(lines)


def entry(
    name: str,
    *,
    kind: FileKind = FileKind.FILE,
    size: int = 100,
    mtime_ns: int = 0,
    target: Path | None = None,
    inside: bool = True,
    readable: bool = True,
) -> FileEntry:
    """One entry of `ROOT`."""
    path = ROOT / name
    return FileEntry(name, path, kind, size, mtime_ns, target, inside, readable)


def files(*entries: str | FileEntry) -> Mapping[str, FileEntry]:
    """The entries at the top by name; a plain name is a file of 100 bytes."""
    made = [entry(e) if isinstance(e, str) else e for e in entries]
    return {e.name: e for e in made if e.at_top}


def walk(
    *entries: str | FileEntry, complete: bool = True, unreadable: tuple[str, ...] = ()
) -> Walk:
    """A walk that found these entries."""
    made = [entry(e) if isinstance(e, str) else e for e in entries]
    ordered = tuple(sorted(made, key=lambda e: e.name))
    return Walk(ordered, complete, unreadable)


def tensor(name: str, shape: Iterable[int] = (8, 8), dtype: str = "F32") -> Tensor:
    """A tensor; where its data lie does not matter to the rules."""
    made = Tensor(name, dtype, tuple(shape), 0, 0)
    width = {"F64": 8, "I64": 8, "F32": 4, "U8": 1, "I8": 1, "F8_E4M3": 1}
    return Tensor(name, dtype, made.shape, 0, made.count * width.get(dtype, 2))


def container(
    *tensors: Tensor, metadata: Mapping[str, str] | None = None, name: str = "a"
) -> Container:
    """A sound file with these tensors; without metadata it says `pt`."""
    said = {"format": "pt"} if metadata is None else metadata
    return Container(f"{name}.safetensors", 1000, 100, tensors, said)


def base(code: str = "qwen3-8b") -> BaseModel:
    """One of the bases that preflight brings."""
    return load_bases()[code]


def pair(
    module: str, *, rank: int = 8, out: int = 4096, into: int = 4096
) -> tuple[Tensor, Tensor]:
    """The two halves of an adapted module, given without `base_model.model.`."""
    name = f"base_model.model.{module}"
    return (
        tensor(f"{name}.lora_A.weight", (rank, into)),
        tensor(f"{name}.lora_B.weight", (out, rank)),
    )


def adapter(
    code: str = "qwen3-8b",
    *,
    leaves: Iterable[str] = ("self_attn.q_proj", "self_attn.v_proj"),
    layers: Iterable[int] | None = None,
    rank: int = 8,
) -> list[Tensor]:
    """The tensors of an adapter of these modules in these layers (all of them)."""
    model = base(code)
    path = model.lora_prefixes[0].removeprefix("base_model.model.")
    made: list[Tensor] = []
    for layer in range(model.layers) if layers is None else layers:
        for leaf in leaves:
            linear = model.linears.get(leaf)
            out, into = linear.shape if linear else (8, 8)
            made += pair(f"{path}{layer}.{leaf}", rank=rank, out=out, into=into)
    return made


def view(*tensors: Tensor | Iterable[Tensor]) -> LoraView:
    """Tensors, single or in lists, sorted into LoRA halves and others."""
    flat: list[Tensor] = []
    for each in tensors:
        flat += [each] if isinstance(each, Tensor) else each
    return lora_view(flat)


def config(**fields: object) -> dict[str, object]:
    """A sound adapter_config.json with these fields changed."""
    sound: dict[str, object] = {
        "peft_type": "LORA",
        "r": 8,
        "lora_alpha": 16,
        "target_modules": ["q_proj", "v_proj"],
        "bias": "none",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "Qwen/Qwen3-8B",
    }
    return sound | fields


def values(
    name: str,
    *,
    count: int = 64,
    nonfinite: int = 0,
    zero: bool = False,
    constant: bool = False,
    largest: float = 0.1,
) -> TensorValues:
    """What a scan found in a tensor: 64 sound values, unless told otherwise."""
    return TensorValues(
        "a.safetensors", name, count, nonfinite, zero, constant, largest
    )
