"""K: the names and shapes of an adapter's tensors."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from preflight.findings import Problem, Severity
from preflight.language import say
from preflight.model.lora import LoraTensor, LoraView
from preflight.rules._rule import LORA, rule
from preflight.text import shortened

PREFIX = "base_model.model."

# What wrappers leave in names, full weights' too. Measured with PEFT 0.21: an adapter
# with any of them loads without an error, no layer of that name is found, and the base
# model is served unchanged.
WRAPPERS = (
    ("_orig_mod.", say("torch.compile left `_orig_mod.` in the names")),
    ("_fsdp_wrapped_module.", say("FSDP left `_fsdp_wrapped_module.` in the names")),
    (
        "_checkpoint_wrapped_module.",
        say("activation checkpointing left `_checkpoint_wrapped_module.` in the names"),
    ),
    ("module.", say("data-parallel training left `module.` in the names")),
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


def _wrapped(name: str) -> str:
    """What a wrapper left in a name, or nothing."""
    for mark, told in WRAPPERS:
        if name.startswith(mark) or f".{mark}" in name:
            return told
    return ""


def malformed(half: LoraTensor) -> str:
    """Why a name is not `base_model.model.….lora_A.weight`; empty if it is."""
    name, suffix = half.tensor.name, half.suffix
    if told := _wrapped(name):
        return told
    if not half.is_weight:
        return ""  # a bias: told by C06
    if suffix != ".weight" and not half.embedding:
        named = suffix.removesuffix(".weight") if suffix.endswith(".weight") else ""
        if named:
            shown = shortened(named.strip("."), 40)
            return say(
                "the adapter's own name, {shown}, was left in the names", shown=shown
            )
        found = shortened(suffix, 40) or say("nothing")
        return say(
            "{found} follows lora_{half} where .weight is expected",
            found=found,
            half=half.half,
        )
    if not name.startswith(PREFIX):
        return say("the name does not begin with {prefix}", prefix=PREFIX)
    return _nested(name)


def _nested(name: str) -> str:
    """What an adapter around an adapter leaves in a name, or nothing."""
    if name.startswith(PREFIX * 2):
        return say(
            "{prefix} stands twice: a PEFT model was wrapped in another", prefix=PREFIX
        )
    parts = name.split(".")
    # PEFT itself nests the parameters of fused experts so.
    if "base_layer" in parts and "experts" not in parts:
        return say("base_layer in the name: one adapter was trained on top of another")
    return ""


def foreign(name: str) -> str:
    """Which other tool's way of naming LoRA halves this is, or nothing."""
    if told := _wrapped(name):
        return told
    if _OTHER_SPELLING.search(name):
        return say("lora_a and lora_b in small letters are torchtune's or mlx's names")
    if ".lora_down." in name or ".lora_up." in name:
        return say("lora_down and lora_up are names of image models' tools")
    return ""


@rule(
    "K01",
    applies=LORA,
    fix=say(
        "Unwrap the model before saving: PEFT's save_pretrained on the "
        "PEFT model itself writes these names."
    ),
)
def lora_keys_well_formed(lora: LoraView) -> Iterator[Problem]:
    """Every key is `base_model.model.<module>.lora_A.weight` or `.lora_B.weight`.

    With any other form loaders find no layer of that name, warn at most, and serve
    the base model as if nothing had been trained.
    Causes: `torch.compile`, FSDP or DDP wrappers, a state dict saved by hand, adapter
    names left in (`.default.`), an adapter around another, another tool's format.
    Source: PEFT's page "PEFT checkpoint format",
    https://huggingface.co/docs/peft/developer_guides/checkpoint
    """
    total = len(lora.halves) + len(lora.others)
    for cause, names in _misnamed(lora).items():
        told = say(
            "{cause}; so {count:,} of {total:,} tensors",
            cause=cause,
            count=len(names),
            total=total,
        )
        yield Problem(names[0], told)
    if not lora.halves and lora.others:
        others = any(foreign(tensor.name) for tensor in lora.others)
        what = say("another tool's adapter")
        told = say(
            "none of {total:,} tensors is a lora_A or lora_B: {what}",
            total=total,
            what=what if others else say("no adapter, or a merged model"),
        )
        yield Problem(lora.others[0].name, told)


def _misnamed(lora: LoraView) -> dict[str, list[str]]:
    """Names of tensors by what is wrong with them."""
    groups: dict[str, list[str]] = {}
    told = [(half.tensor.name, malformed(half)) for half in lora.halves]
    told += [(tensor.name, foreign(tensor.name)) for tensor in lora.others]
    for name, cause in told:
        if cause:
            groups.setdefault(cause, []).append(name)
    return groups


@rule("K02", applies=LORA, fix=say("Save the adapter again; both halves are needed."))
def every_lora_a_has_its_b(lora: LoraView) -> Iterator[Problem]:
    """A LoRA layer is the product of lora_B and lora_A; one of them alone does nothing.

    A module that has the same half twice is as wrong: loaders take one of the two.
    Causes: a filtered or interrupted save, a merge of two state dicts.
    Source: LoRAX and TGI skip such layers silently; PEFT's checkpoint format page.
    """
    for half, other in (("A", "B"), ("B", "A")):
        lonely = [p[half] for p in lora.pairs.values() if set(p) == {half}]
        if lonely:
            told = say(
                "its lora_{other} is missing; so {count:,} of {total:,} modules",
                other=other,
                count=len(lonely),
                total=len(lora.pairs),
            )
            yield Problem(lonely[0].tensor.name, told)
    seen: dict[tuple[str, str], LoraTensor] = {}
    for each in lora.halves:
        first = seen.setdefault((each.module, each.half), each)
        if each.is_weight and first.is_weight and first is not each:
            told = say(
                "is a second lora_{half} beside {name}",
                half=each.half,
                name=first.tensor.name,
            )
            yield Problem(each.tensor.name, told)


def is_visual(name: str) -> bool:
    """Whether a path component of a tensor's name is `visual`."""
    return "visual" in name.split(".")


@rule(
    "K04",
    applies=LORA,
    fix=say(
        "Freeze the vision tower (ms-swift: freeze_vit true; PEFT: a "
        "target_modules pattern on language_model, or "
        "exclude_modules='.*visual.*') and train again."
    ),
)
def no_visual_tensor(lora: LoraView) -> Iterator[Problem]:
    """The vision tower must have been frozen: no tensor name may contain `visual`.

    Names of other models' towers and connectors are a warning.
    Causes: the usual seven target names (gate_proj, up_proj, down_proj among them)
    also match the vision MLP of Qwen2.5-VL; `all-linear` matches every tower; Unsloth
    trains vision layers by default.
    Source: requirements for VL models, user guide "Model import".
    """
    names = [h.tensor.name for h in lora.halves] + [t.name for t in lora.others]
    visual = [name for name in names if is_visual(name)]
    if visual:
        leaves = Counter(name.split(".lora_")[0].rpartition(".")[2] for name in visual)
        kinds = ", ".join(leaf for leaf, _ in leaves.most_common(6))
        told = say(
            "{count:,} of {total:,} tensors belong to the vision tower ({kinds})",
            count=len(visual),
            total=len(names),
            kinds=kinds,
        )
        yield Problem(visual[0], told)
    others = (name for name in names if not is_visual(name))
    towers = [name for name in others if _OTHER_TOWERS & set(name.split("."))]
    if towers:
        told = say(
            "{count:,} tensors look like another tower or its connector",
            count=len(towers),
        )
        yield Problem(towers[0], told, Severity.WARNING)
