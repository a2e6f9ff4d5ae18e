"""K: the names of an adapter's tensors, brought to the form that loaders look for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.headers import Tensor
from preflight.model.lora import LayerPath, LoraTensor, lora_view
from preflight.repair._repair import Change, changed, repair
from preflight.repair.draft import Draft
from preflight.repair.tensors import Made
from preflight.rules.k_keys import PREFIX, WRAPPERS, is_visual
from preflight.text import shortened

_SMALL = re.compile(r"\.lora_(?P<half>[ab])(?=\.weight$|$)")
_OWN_NAME = re.compile(r"^(?P<head>.+\.lora_[AB])\.(?P<name>[^.]+)\.weight$")
_BARE = re.compile(r"\.lora_[AB]$")
# What stands before the layers of a Qwen model, depending on its class and release.
_STEM = frozenset({"base_model", "model", "language_model", "text_model", "layers"})


def plain_name(name: str) -> str:
    """A tensor's name as PEFT's save_pretrained writes it, without wrappers' marks."""
    for mark, _ in WRAPPERS:
        while name.startswith(mark) or f".{mark}" in name:
            name = name.removeprefix(mark).replace(f".{mark}", ".")
    name = _SMALL.sub(lambda m: f".lora_{m['half'].upper()}", name)
    if match := _OWN_NAME.match(name):
        name = f"{match['head']}.weight"
    if _BARE.search(name):
        name += ".weight"
    if ".lora_" not in name:
        return name
    while name.startswith(PREFIX * 2):
        name = name.removeprefix(PREFIX)
    return name if name.startswith(PREFIX) else PREFIX + name


def renamed(draft: Draft, names: Mapping[str, str]) -> Change | None:
    """The tensors under other names; None where nothing changes or two would meet."""
    new = tuple(one.renamed(names.get(one.name, one.name)) for one in draft.tensors)
    moved = [
        (one.name, other.name)
        for one, other in zip(draft.tensors, new, strict=True)
        if one.name != other.name
    ]
    if not moved or len({one.name for one in new}) < len(new):
        return None
    old, fresh = (shortened(name, 90) for name in moved[0])
    told = say(
        "{count:,} of {total:,} tensors renamed, the first from {old}",
        count=len(moved),
        total=len(new),
        old=old,
    )
    return changed(draft.with_tensors(new), told, say("to {fresh}", fresh=fresh))


@repair(
    "K01 K02",
    say(
        "Removes what wrappers leave in tensor names (_orig_mod., module., FSDP's), an "
        "adapter's own name and other spellings, and adds base_model.model."
    ),
)
def key_names(draft: Draft) -> Change | None:
    """Bring the names to PEFT's form."""
    return renamed(draft, {one.name: plain_name(one.name) for one in draft.tensors})


def _stem(path: LayerPath) -> bool:
    return set(path.prefix.rstrip(".").split(".")) <= _STEM


@repair(
    "K03",
    say(
        "Puts the layers at the path at which the base's class has them: "
        "language_model more or less, as releases of transformers differ, or a model. "
        "that is missing."
    ),
)
def layer_paths(draft: Draft) -> Change | None:
    """Bring all layers below one of the paths that the base is known by."""
    base = draft.known.base
    if isinstance(base, Unavailable):
        return None
    prefixes, names = set(), {}
    for half in draft.lora.halves:
        path = half.path
        if path is None or path.kind not in base.linears or is_visual(half.tensor.name):
            continue
        if not _stem(path):
            continue
        prefixes.add(path.prefix)
        rest = half.tensor.name.removeprefix(path.prefix)
        names[half.tensor.name] = base.lora_prefixes[0] + rest
    known = prefixes & set(base.lora_prefixes)
    if prefixes == known and len(known) < 2:
        return None
    return renamed(draft, names)


def _outer(draft: Draft, half: LoraTensor) -> int | None:
    """How many rows or columns the base has there."""
    base, path = draft.known.base, half.path
    if isinstance(base, Unavailable) or path is None:
        return None
    linear = base.linears.get(path.kind)
    return None if linear is None else linear.shape[1 if half.half == "A" else 0]


def _is_turned(draft: Draft, half: LoraTensor, rank: object) -> bool:
    shape = half.tensor.shape
    if len(shape) != 2 or shape[0] == shape[1]:
        return False
    outer, turned = _outer(draft, half), half.rank
    if outer is not None:
        return half.outer != outer and turned == outer
    return half.outer == rank and turned != rank


@repair("C03 K03", say("Turns matrices that were saved transposed, as MLX keeps them."))
def turned_matrices(draft: Draft) -> Change | None:
    """Transpose all halves; a file in which only some are turned is left alone."""
    rank = (draft.config or {}).get("r")
    halves = [half for half in draft.lora.halves if half.is_weight]
    # A square half looks alike both ways and goes with the others.
    telling = [h for h in halves if len(set(h.tensor.shape)) == 2]
    if not telling or not all(_is_turned(draft, half, rank) for half in telling):
        return None
    names = {half.tensor.name for half in halves}
    new = tuple(turned(one) if one.name in names else one for one in draft.tensors)
    return changed(
        draft.with_tensors(new), say("{count:,} matrices turned", count=len(names))
    )


def turned(one: Made) -> Made:
    """The transposed matrix."""
    return replace(one, shape=one.shape[::-1], turned=not one.turned)


def halves_by_name(tensors: tuple[Made, ...]) -> dict[str, LoraTensor]:
    """Each LoRA half with its meaning, by its name."""
    view = lora_view(Tensor(t.name, t.dtype, t.shape, 0, t.size) for t in tensors)
    return {half.tensor.name: half for half in view.halves}
