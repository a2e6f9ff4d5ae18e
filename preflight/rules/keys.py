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
_OTHER_SPELLING = re.compile(r"(^|[._])lora_[ab](\.|$)")
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


def _wrapped(name: str) -> str:
    """What a wrapper left in a name, or nothing."""
    for mark, told in _WRAPPERS:
        if name.startswith(mark) or f".{mark}" in name:
            return told
    return ""


def _malformed(half: LoraTensor) -> str:
    """Why a name is not `base_model.model.….lora_A.weight`; empty if it is."""
    name, suffix = half.tensor.name, half.suffix
    if told := _wrapped(name):
        return told
    if not half.is_weight:
        return ""  # a bias: told by C06
    if suffix != ".weight" and not half.embedding:
        named = suffix.removesuffix(".weight") if suffix.endswith(".weight") else ""
        if named:
            shown = printable(named.strip("."), limit=40)
            return f"the adapter's own name, {shown}, was left in the names"
        found = printable(suffix, limit=40) or "nothing"
        return f"{found} follows lora_{half.half} where .weight is expected"
    if not name.startswith(PREFIX):
        return f"the name does not begin with {PREFIX}"
    return ""


def _foreign(name: str) -> str:
    """Which other tool's way of naming LoRA halves this is, or nothing."""
    if told := _wrapped(name):
        return told
    if _OTHER_SPELLING.search(name):
        return "lora_a and lora_b in small letters are torchtune's or mlx's names"
    if ".lora_down." in name or ".lora_up." in name:
        return "lora_down and lora_up are names of image models' tools"
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
    total = len(lora.halves) + len(lora.others)
    for cause, names in _misnamed(lora).items():
        told = f"{cause}; so {len(names):,} of {total:,} tensors"
        yield Problem(printable(names[0]), told)
    if not lora.halves and lora.others:
        told = f"none of {total:,} tensors is a lora_A or lora_B: "
        foreign = any(_foreign(tensor.name) for tensor in lora.others)
        told += "another tool's adapter" if foreign else "no adapter, or a merged model"
        yield Problem(printable(lora.others[0].name), told)


def _misnamed(lora: LoraView) -> dict[str, list[str]]:
    """Names of tensors by what is wrong with them."""
    groups: dict[str, list[str]] = {}
    told = [(half.tensor.name, _malformed(half)) for half in lora.halves]
    told += [(tensor.name, _foreign(tensor.name)) for tensor in lora.others]
    for name, cause in told:
        if cause:
            groups.setdefault(cause, []).append(name)
    return groups


@rule("K02", applies=LORA, fix="Save the adapter again; both halves are needed.")
def every_lora_a_has_its_b(lora: LoraView) -> Iterator[Problem]:
    """A LoRA layer is the product of its two halves; one alone does nothing.

    Nor may a module have two of the same half: loaders take one of them.
    Causes: a filtered or interrupted save, a merge of two state dicts.
    Source: LoRAX and TGI skip such layers silently; PEFT's checkpoint format page.
    """
    for half, other in (("A", "B"), ("B", "A")):
        lonely = [p[half] for p in lora.pairs.values() if set(p) == {half}]
        if lonely:
            told = f"its lora_{other} is missing; so {len(lonely):,} of "
            told += f"{len(lora.pairs):,} modules"
            yield Problem(printable(lonely[0].tensor.name), told)
    seen: dict[tuple[str, str], LoraTensor] = {}
    for each in lora.halves:
        first = seen.setdefault((each.module, each.half), each)
        if each.is_weight and first.is_weight and first is not each:
            told = f"is a second lora_{each.half} beside {printable(first.tensor.name)}"
            yield Problem(printable(each.tensor.name), told)


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
    others = (name for name in names if not is_visual(name))
    towers = [name for name in others if _OTHER_TOWERS & set(name.split("."))]
    if towers:
        told = f"{len(towers):,} tensors look like another tower or its connector"
        yield Problem(printable(towers[0]), told, Severity.WARNING)


# intermediate_size of Qwen2.5-72B-Instruct-AWQ, from its config.json on Hugging Face.
_PADDED = {29568: 29696}
_LAYER = re.compile(
    r"^(?P<prefix>.*?)(?P<layer>[0-9]{1,9})\.(?P<block>self_attn|mlp)\.(?P<leaf>[^.]+)$"
)
_BLOCK_OF = dict.fromkeys(("q_proj", "k_proj", "v_proj", "o_proj"), "self_attn")
_BLOCK_OF |= dict.fromkeys(("gate_proj", "up_proj", "down_proj"), "mlp")


def misfit(half: LoraTensor, base: BaseModel) -> str:
    """Why this tensor does not belong to a layer of `base`; empty if it does."""
    match = _LAYER.match(half.module)
    if match is None:
        mixture = "experts" in half.module.split(".")
        kind = ": it is no mixture of experts" if mixture else ""
        return f"{base.code} has no such module{kind}"
    prefix, layer, leaf = match["prefix"], int(match["layer"]), match["leaf"]
    if prefix not in base.lora_prefixes:
        return _path_told(prefix, base)
    shape = base.linear_shape(leaf)
    if shape is None or _BLOCK_OF.get(leaf) != match["block"]:
        return f"{base.code} has no module {printable(leaf, limit=60)} there"
    if layer >= base.layers:
        return f"layer {layer:,} does not exist, {base.code} has {base.layers}"
    wanted = shape[1] if half.half == "A" else shape[0]
    if half.outer is None or half.outer == wanted:
        return ""
    side = "columns" if half.half == "A" else "rows"
    told = f"{leaf}.lora_{half.half} has {half.outer:,} {side}"
    return f"{told}, {base.code} needs {wanted:,}{_shape_cause(half, wanted)}"


def _path_told(prefix: str, base: BaseModel) -> str:
    """What a wrong path before the layer's number comes from, with both paths."""
    expected = " or ".join(base.lora_prefixes)
    told = f"the path begins with {printable(prefix)}, {base.code} has {expected}"
    segment = "language_model"
    if segment in prefix.split(".") and segment not in expected:
        return f"{told}: {segment} is of a vision-language model's class"
    if segment in expected and segment not in prefix.split("."):
        return f"{told}: {segment} is missing, as in a text model's class"
    return told


def _shape_cause(half: LoraTensor, wanted: int) -> str:
    if half.rank == wanted:
        return ": it seems transposed, or lora_A and lora_B are exchanged"
    if _PADDED.get(wanted) == half.outer:
        return ": AWQ and GPTQ copies pad it so"
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
    found = {
        prefix: [h for h in halves if h.module.startswith(prefix)]
        for prefix in base.lora_prefixes
    }
    if len(base.lora_prefixes) > 1 and all(found.values()):
        told = f"both {' and '.join(found)} occur: a loader knows one of them"
        yield Problem(printable(found[base.lora_prefixes[0]][0].tensor.name), told)
