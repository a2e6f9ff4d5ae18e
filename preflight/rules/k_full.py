"""K, of full weights: the tensors' names and shapes against the base's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from preflight.catalog.bases import BaseModel
from preflight.findings import CannotTell, Problem, Severity, Unavailable
from preflight.model.config_figures import text_section
from preflight.model.configs import JsonObject
from preflight.model.headers import Tensor
from preflight.model.quantised import is_quantised_part, module_of
from preflight.model.reference import Reference
from preflight.model.vision_tower import VisionTowerComparison, is_visual
from preflight.rules._rule import FULL, Answer, rule
from preflight.rules.k_keys import WRAPPERS

Shape = tuple[int, ...]

_HEAD = "lm_head.weight"
_VOCABULARY = ("embed_tokens.weight", _HEAD)
_LAYER = re.compile(r"(?:^|\.)layers\.(\d{1,6})\.")
_NUMBER = re.compile(r"\.\d+(?=\.)")
_GROUPS = 8  # kinds of missing or misshapen tensors that are told one by one

_WRAPPERS = (
    *WRAPPERS,
    ("base_model.model.", "a PEFT model was saved without merging it"),
)
_QUANTISED = "a part of quantised weights"
_DEQUANTISE = (
    "Import the 16-bit weights: merge into the 16-bit base, or load the model "
    "dequantised and save it again (mlx-lm: `mlx_lm.convert --dequantize`)."
)
_RENAMINGS = ("named as in memory", "saved from inside")
_HEADS = frozenset({"score", "classifier", "v_head", "value_head", "reward_head"})


def _cause(name: str, base: BaseModel, names: Mapping[str, Shape]) -> str:
    """Why a tensor that the base does not have is there."""
    for mark, told in _WRAPPERS:
        if name.startswith(mark) or f".{mark}" in name:
            return told
    if ".lora_" in name or ".base_layer." in name or "lora_magnitude" in name:
        return "a LoRA layer that was not merged"
    if is_quantised_part(name):
        return _QUANTISED
    if _HEADS & set(name.split(".")):
        return "a head for scores or classes, which the base does not have"
    if told := _renamed(name, names):
        return told
    if (match := _LAYER.search(name)) and int(match[1]) >= base.layers:
        return f"a layer that does not exist, {base.code} has {base.layers}"
    if is_visual(name) and base.vision is None:
        return f"a vision tower, which {base.code} does not have"
    if name.startswith("mtp."):
        return "a layer for multi-token prediction, which the base does not have"
    return f"{base.code} has no such tensor"


def _renamed(name: str, names: Mapping[str, Shape]) -> str:
    """Which tensor of the base this is under another name, or nothing."""
    if (known := _as_on_disk(name)) != name and known in names:
        return f"named as in memory; on disk it is {known}"
    if f"model.{name}" in names:
        return f"saved from inside the model: on disk it is model.{name}"
    return ""


def _unwrapped(name: str) -> str:
    """The name without what wrappers put into it."""
    for mark, _ in _WRAPPERS:
        if name.startswith(mark) or f".{mark}" in name:
            name = name.replace(mark, "")
    return name.replace(".base_layer.", ".")


def _as_on_disk(name: str) -> str:
    """The name of a Qwen2.5-VL tensor in memory, since transformers 4.52, on disk."""
    plain = name.replace("model.language_model.", "model.", 1)
    return plain.replace("model.visual.", "visual.", 1)


def _wanted(base: BaseModel, reference: Reference | Unavailable) -> dict[str, Shape]:
    """What a checkpoint of the base holds: as its own copy has it, or the catalog."""
    known = reference if isinstance(reference, Unavailable) else reference.shapes
    if not isinstance(known, Unavailable):
        return dict(known)
    return {spec.name: spec.shape for spec in base.checkpoint_tensors()}


@rule(
    "K06",
    applies=FULL,
    fix="Merge adapters, unwrap the model and save it with save_pretrained of the "
    "base's own class; give the right base with --base-model.",
)
def tensors_are_those_of_the_base(
    tensors: tuple[Tensor, ...],
    compared: BaseModel,
    config: JsonObject | Unavailable,
    reference: Reference | Unavailable,
) -> Iterator[Problem]:
    """Full weights have the same tensors as the base, with the same names and shapes.

    A tensor that is missing stays as it was initialised; one too many is refused or
    ignored. Either way another model is served than the one that was trained.
    Causes: an adapter that was not merged, a wrapper's prefix, a reward model, names
    as they are in memory, a vision model saved without its tower, another base.
    Source: "the files are to be the same as those of the open-source model", user
    guide "My models"; layers as in the published base models.
    """
    mine = {tensor.name: tensor.shape for tensor in tensors}
    wanted = _wanted(compared, reference)
    if mine and all(".lora_" in name for name in mine):
        told = "holds LoRA tensors alone: an adapter under the name of full weights"
        yield Problem(tensors[0].name, told)
        return
    yield from _too_many(mine, wanted, compared)
    yield from _too_few(mine, wanted, compared)
    yield from _misshapen(mine, wanted, compared)
    if not isinstance(config, Unavailable):
        yield from _layers(mine, config)


def _too_many(
    mine: Mapping[str, Shape], wanted: Mapping[str, Shape], base: BaseModel
) -> Iterator[Problem]:
    groups: dict[str, list[str]] = {}
    for name in mine:
        if name in wanted or name == _HEAD:  # K07 judges the output layer
            continue
        cause = _cause(name, base, wanted)
        for renaming in _RENAMINGS:
            # One message for all, with the first one's right name.
            if cause.startswith(renaming):
                cause = next((c for c in groups if c.startswith(renaming)), cause)
        groups.setdefault(cause, []).append(name)
    for cause, names in groups.items():
        # Buffers that old versions of transformers saved; loaders leave them out.
        harmless = all(name.endswith("rotary_emb.inv_freq") for name in names)
        told = f"{cause}; so {len(names):,} of {len(mine):,} tensors"
        severity = Severity.WARNING if harmless else None
        fix = _DEQUANTISE if cause == _QUANTISED else ""
        yield Problem(names[0], told, severity, fix=fix)


def _grouped(names: Iterable[str]) -> dict[str, list[str]]:
    """Names by kind: the same but for the number of the layer."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(_NUMBER.sub(".*", name), []).append(name)
    return groups


def _too_few(
    mine: Mapping[str, Shape], wanted: Mapping[str, Shape], base: BaseModel
) -> Iterator[Problem]:
    known = {_unwrapped(name) for name in mine}
    known |= {_as_on_disk(name) for name in known} | {f"model.{name}" for name in known}
    # The packed values stand for the weight; that they are no such is told already.
    packed = {module_of(name) for name in mine if is_quantised_part(name)}
    known |= {f"{module}.weight" for module in packed}
    missing = [name for name in wanted if name not in known and name != _HEAD]
    if not missing:
        return
    towers = [name for name in missing if is_visual(name)]
    if towers and len(towers) == sum(map(is_visual, wanted)):
        told = f"the vision tower is missing, all {len(towers):,} tensors of it"
        yield Problem(towers[0], told)
        missing = [name for name in missing if not is_visual(name)]
    groups = _grouped(missing)
    if len(groups) > _GROUPS:
        told = f"missing; so {len(missing):,} of {base.code}'s {len(wanted):,} tensors"
        yield Problem(missing[0], told)
        return
    for kind, names in groups.items():
        more = f"; so {len(names):,} of the kind {kind}" if len(names) > 1 else ""
        yield Problem(names[0], f"missing{more}")


def _misshapen(
    mine: Mapping[str, Shape], wanted: Mapping[str, Shape], base: BaseModel
) -> Iterator[Problem]:
    packed = {module_of(name) for name in mine if is_quantised_part(name)}
    wrong = [
        name
        for name, shape in mine.items()
        if name in wanted and not _same_shape(name, shape, wanted[name])
        if name.removesuffix(".weight") not in packed
    ]
    groups = _grouped(wrong)
    for index, (kind, names) in enumerate(groups.items()):
        if index == _GROUPS:
            told = f"and {len(groups) - _GROUPS:,} other kinds of tensors are misshapen"
            yield Problem(kind, told)
            return
        first = names[0]
        told = f"has the shape {list(mine[first])}, {base.code} {list(wanted[first])}"
        more = f"; so {len(names):,} tensors" if len(names) > 1 else ""
        yield Problem(first, told + more)


def _same_shape(name: str, shape: Shape, wanted: Shape) -> bool:
    if name.endswith(_VOCABULARY) and len(shape) == 2:
        return shape[1:] == wanted[1:]  # V01 judges the rows
    return shape == wanted


def _layers(mine: Iterable[str], config: JsonObject) -> Iterator[Problem]:
    declared = text_section(config).get("num_hidden_layers")
    found = [int(match[1]) for name in mine if (match := _LAYER.search(name))]
    if isinstance(declared, int) and found and declared != max(found) + 1:
        told = f"is {declared}, the tensors have {max(found) + 1} layers"
        yield Problem("config.json: num_hidden_layers", told)


@rule(
    "K07",
    applies=FULL,
    fix="Leave tie_word_embeddings as it is in the base and save again.",
)
def output_layer_as_configured(
    tensors: tuple[Tensor, ...],
    config: JsonObject | Unavailable,
    compared: BaseModel | Unavailable,
    tied_head: bool | Unavailable,
) -> Iterator[Answer]:
    """Models with tied embeddings have no output layer; all others need theirs.

    Where the config says tied, engines ignore a saved `lm_head.weight`, which is no
    loss as long as it is a copy of the embedding; transformers 5 takes it where it has
    other values. Where the config says untied and there is none, the output layer
    stays as it was initialised.
    Causes: `tie_word_embeddings` changed by a merge script or a saver.
    Source: transformers, `tie_weights`; config.json of the base models.
    """
    declared = None
    if not isinstance(config, Unavailable):
        declared = text_section(config).get("tie_word_embeddings")
        declared = config.get("tie_word_embeddings", declared)
    of_base = None if isinstance(compared, Unavailable) else compared.tied_embeddings
    tied = declared if isinstance(declared, bool) else of_base
    if tied is None:
        yield CannotTell("neither config.json nor a known base tells of the embeddings")
        return
    saved = any(tensor.name == _HEAD for tensor in tensors)
    where = "config.json: tie_word_embeddings"
    if not tensors or any(tensor.name.endswith(f".{_HEAD}") for tensor in tensors):
        return  # wrapped names are told by K06
    if saved and tied:
        yield _tied_and_saved(tied_head)
    elif not saved and not tied:
        yield Problem(_HEAD, "missing, and the embeddings are not tied")
    elif not saved and of_base is False:
        told = "missing: config.json says that the embeddings are tied, in the base "
        yield Problem(_HEAD, f"{told}they are not")
    elif of_base is not None and tied is not of_base:
        told = f"is {str(tied).lower()}, in the base it is {str(of_base).lower()}"
        yield Problem(where, told, Severity.WARNING)


def _tied_and_saved(tied_head: bool | Unavailable) -> Problem:
    told = "the embeddings are tied, so that this tensor is ignored"
    fix = ""
    if tied_head is True:
        told += "; it is a copy of the embedding"
        fix = "Leave it out: save with save_pretrained, which drops tied weights."
    elif tied_head is False:
        told += " by engines that tie; it differs from the embedding: trained apart"
        fix = (
            "Train with the head tied, or copy what was trained into the embedding; "
            "tie_word_embeddings false is another model than the base."
        )
    return Problem(_HEAD, told, Severity.WARNING, fix=fix)


@rule(
    "K05",
    applies=FULL,
    fix="Freeze the vision tower (ms-swift: freeze_vit true; LLaMA-Factory: "
    "freeze_vision_tower) and train again, or put the base's tower back.",
)
def vision_tower_is_the_base_s(
    tower: VisionTowerComparison | Unavailable, compared: BaseModel
) -> Iterator[Answer]:
    """The vision tower must have been frozen: its tensors are the base's own bytes.

    Causes: full fine-tuning of all parameters, an adapter on the tower that was
    merged, weights saved in another precision than the base's.
    Source: requirements for VL models, user guide "Model import".
    """
    if compared.vision is None:
        return
    if isinstance(tower, Unavailable):
        yield CannotTell(tower.reason)
        return
    if tower.different:
        told = f"differs from the base; so {len(tower.different):,} of "
        told += f"{tower.compared:,} tensors of the tower"
        yield Problem(tower.different[0], told)
    if tower.unlike:
        told = f"{len(tower.unlike):,} tensors of the tower have another precision or "
        yield CannotTell(f"{told}shape than the base's, so they cannot be compared")
