"""K: the names and shapes of an adapter's tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from preflight.catalog.bases import BaseModel
from preflight.findings import Problem, Severity
from preflight.model.lora import LoraTensor, LoraView
from preflight.model.text import printable
from preflight.rules._rule import LORA, rule
from preflight.rules.variants import touches_vocabulary

PREFIX = "base_model.model."

# What wrappers leave in names. Measured with PEFT 0.21: all of them load without an
# error, no layer of that name is found, and the base model is served unchanged.
_WRAPPERS = (
    ("_orig_mod.", "torch.compile left `_orig_mod.` in the names"),
    ("_fsdp_wrapped_module.", "FSDP left `_fsdp_wrapped_module.` in the names"),
    (
        "_checkpoint_wrapped_module.",
        "activation checkpointing left `_checkpoint_wrapped_module.` in the names",
    ),
    ("module.", "data-parallel training left `module.` in the names"),
)
_OTHER_TOWERS = frozenset(
    {
        "vision_tower",
        "vision_model",
        "merger",
        "mlp1",
        "multi_modal_projector",
        "audio_tower",
    }
)


def grouped(
    halves: Iterable[LoraTensor], cause: Callable[[LoraTensor], str]
) -> dict[str, list[LoraTensor]]:
    """Halves by what is wrong with them; those with an empty cause are left out."""
    groups: dict[str, list[LoraTensor]] = {}
    for half in halves:
        if told := cause(half):
            groups.setdefault(told, []).append(half)
    return groups


def _summed(groups: dict[str, list[LoraTensor]], total: int) -> Iterator[Problem]:
    for cause, halves in groups.items():
        first = printable(halves[0].tensor.name)
        yield Problem(first, f"{cause}; so {len(halves):,} of {total:,} tensors")


def _malformed(half: LoraTensor) -> str:
    """Why a name is not `base_model.model.….lora_A.weight`; empty if it is."""
    name = half.tensor.name
    for mark, told in _WRAPPERS:
        if name.startswith(mark) or f".{mark}" in name:
            return told
    if not half.is_weight:
        return ""  # a bias: told by C06
    if half.suffix != ".weight":
        suffix = printable(half.suffix) or "nothing"
        return f"{suffix} follows lora_{half.half} where .weight is expected"
    if not name.startswith(PREFIX):
        return f"the name does not begin with {PREFIX}"
    return ""


@rule(
    "K01",
    applies=LORA,
    fix="Unwrap the model before saving: PEFT's save_pretrained on the PEFT model "
    "itself writes these names.",
)
def lora_keys_well_formed(lora: LoraView) -> Iterator[Problem]:
    """Every key is `base_model.model.<module>.lora_A.weight` or `.lora_B.weight`.

    With any other form loaders find no layer of that name, warn at most, and serve
    the base model as if nothing had been trained.
    Causes: `torch.compile`, FSDP or DDP wrappers, a state dict saved by hand, adapter
    names left in (`.default.`), another tool's format.
    Source: PEFT's page "PEFT checkpoint format",
    https://huggingface.co/docs/peft/developer_guides/checkpoint
    """
    yield from _summed(grouped(lora.halves, _malformed), len(lora.halves))


@rule("K02", applies=LORA, fix="Save the adapter again; both halves are needed.")
def every_lora_a_has_its_b(lora: LoraView) -> Iterator[Problem]:
    """A LoRA layer is the product of its two halves; one alone does nothing.

    Causes: a filtered or interrupted save, a merge of two state dicts.
    Source: LoRAX and TGI skip such layers silently; PEFT's checkpoint format page.
    """
    lonely = [
        next(iter(pair.values())) for pair in lora.pairs.values() if len(pair) == 1
    ]
    for half in lonely:
        other = "B" if half.half == "A" else "A"
        yield Problem(printable(half.tensor.name), f"its lora_{other} is missing")


def is_visual(name: str) -> bool:
    """Whether a path component of a tensor's name is `visual`."""
    return "visual" in name.split(".")


@rule(
    "K04",
    applies=LORA,
    fix="Freeze the vision tower (ms-swift: freeze_vit true; PEFT: a target_modules "
    "pattern on language_model, or exclude_modules='.*visual.*') and train again.",
)
def no_visual_tensor(lora: LoraView) -> Iterator[Problem]:
    """The vision tower must have been frozen: no tensor name may say `visual`.

    Causes: the usual seven target names (gate_proj, up_proj, down_proj among them)
    also match the vision MLP of Qwen2.5-VL; `all-linear` matches every tower; Unsloth
    trains vision layers by default.
    Source: requirements for VL models, user guide "Model import".
    """
    names = [h.tensor.name for h in lora.halves] + [t.name for t in lora.others]
    visual = [name for name in names if is_visual(name)]
    if visual:
        leaves = Counter(name.split(".lora_")[0].rpartition(".")[2] for name in visual)
        kinds = ", ".join(printable(leaf) for leaf, _ in leaves.most_common(6))
        told = f"{len(visual):,} of {len(names):,} tensors belong to the vision tower"
        yield Problem(printable(visual[0]), f"{told} ({kinds})")
    towers = [n for n in names if _OTHER_TOWERS & set(n.split(".")) and n not in visual]
    if towers:
        told = f"{len(towers):,} tensors look like another tower or its connector"
        yield Problem(printable(towers[0]), told, Severity.WARNING)


_LAYER = re.compile(
    r"^(?P<prefix>.*?)(?P<layer>\d+)\.(?P<block>self_attn|mlp)\.(?P<leaf>[^.]+)$"
)
_BLOCK_OF = {name: "self_attn" for name in ("q_proj", "k_proj", "v_proj", "o_proj")}
_BLOCK_OF |= {name: "mlp" for name in ("gate_proj", "up_proj", "down_proj")}


def misfit(half: LoraTensor, base: BaseModel) -> str:
    """Why this tensor does not belong to a layer of `base`; empty if it does."""
    match = _LAYER.match(half.module)
    if match is None:
        return f"{base.code} has no such module"
    prefix, layer = match["prefix"], int(match["layer"])
    if prefix not in base.lora_prefixes:
        expected = " or ".join(base.lora_prefixes)
        return f"the path begins with {printable(prefix)}, {base.code} has {expected}"
    shape = base.linear_shape(match["leaf"])
    if shape is None or _BLOCK_OF.get(match["leaf"]) != match["block"]:
        return f"{base.code} has no module {printable(match['leaf'])} there"
    if layer >= base.layers:
        return f"layer {layer:,} does not exist, {base.code} has {base.layers}"
    wanted = shape[1] if half.half == "A" else shape[0]
    if half.outer is not None and half.outer != wanted:
        side = "columns" if half.half == "A" else "rows"
        told = f"{match['leaf']}.lora_{half.half} has {half.outer:,} {side}"
        return f"{told}, {base.code} needs {wanted:,}"
    return ""


def judged(lora: LoraView) -> list[LoraTensor]:
    """The halves whose names are sound and that no other rule refuses already."""
    return [
        half
        for half in lora.halves
        if half.is_weight
        and not _malformed(half)
        and not is_visual(half.tensor.name)
        and not touches_vocabulary(half)
    ]


@rule(
    "K03",
    applies=LORA,
    fix="Give the base that was trained with --base-model; if the path differs, save "
    "again with a transformers version that names the layers as the base does.",
)
def modules_exist_in_the_base(lora: LoraView, base: BaseModel) -> Iterator[Problem]:
    """Every adapted layer must exist in the base, with the same dimensions.

    A wrong path loads silently and is never applied; a wrong shape fails.
    Causes: another base or size than declared, the wrong model class (a
    `language_model` segment more or less), 4-bit or AWQ copies with padded layers.
    Source: layer names and sizes of the published base models on Hugging Face.
    """
    halves = judged(lora)
    yield from _summed(grouped(halves, lambda h: misfit(h, base)), len(halves))
