"""K, of full weights: the tensors' names and shapes against the base's."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from preflight.catalog.base_models import BaseModel
from preflight.findings import CannotTell, Problem, Severity, Unavailable
from preflight.language import say
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
    ("base_model.model.", say("a PEFT model was saved without merging it")),
)
_QUANTISED = say("a part of quantised weights")
_DEQUANTISE = say(
    "Import the 16-bit weights: merge into the 16-bit base, or "
    "load the model dequantised and save it again (mlx-lm: "
    "`mlx_lm.convert --dequantize`)."
)
_RENAMINGS = ("named as in memory", "saved from inside")
_HEADS = frozenset({"score", "classifier", "v_head", "value_head", "reward_head"})


def _cause(name: str, base: BaseModel, names: Mapping[str, Shape]) -> str:
    """Why a tensor that the base does not have is there."""
    for mark, told in _WRAPPERS:
        if name.startswith(mark) or f".{mark}" in name:
            return told
    if ".lora_" in name or ".base_layer." in name or "lora_magnitude" in name:
        return say("a LoRA layer that was not merged")
    if is_quantised_part(name):
        return _QUANTISED
    if _HEADS & set(name.split(".")):
        return say("a head for scores or classes, which the base does not have")
    if told := _renamed(name, names):
        return told
    if (match := _LAYER.search(name)) and int(match[1]) >= base.layers:
        return say(
            "a layer that does not exist, {code} has {layers}",
            code=base.code,
            layers=base.layers,
        )
    if is_visual(name) and base.vision is None:
        return say("a vision tower, which {code} does not have", code=base.code)
    if name.startswith("mtp."):
        return say("a layer for multi-token prediction, which the base does not have")
    return say("{code} has no such tensor", code=base.code)


def _renamed(name: str, names: Mapping[str, Shape]) -> str:
    """Which tensor of the base this is under another name, or nothing."""
    if (known := as_on_disk(name)) != name and known in names:
        return say("named as in memory; on disk it is {known}", known=known)
    if f"model.{name}" in names:
        return say("saved from inside the model: on disk it is model.{name}", name=name)
    return ""


def unwrapped(name: str) -> str:
    """The name without what wrappers put into it."""
    for mark, _ in _WRAPPERS:
        if name.startswith(mark) or f".{mark}" in name:
            name = name.replace(mark, "")
    return name.replace(".base_layer.", ".")


def as_on_disk(name: str) -> str:
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
    fix=say(
        "Merge adapters, unwrap the model and save it with "
        "save_pretrained of the base's own class; give the right base "
        "with --base-model."
    ),
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
        told = say(
            "holds LoRA tensors alone: an adapter under the name of full weights"
        )
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
        told = say(
            "{cause}; so {count:,} of {total:,} tensors",
            cause=cause,
            count=len(names),
            total=len(mine),
        )
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
    known = {unwrapped(name) for name in mine}
    known |= {as_on_disk(name) for name in known} | {f"model.{name}" for name in known}
    # The packed values stand for the weight; that they are no such is told already.
    packed = {module_of(name) for name in mine if is_quantised_part(name)}
    known |= {f"{module}.weight" for module in packed}
    missing = [name for name in wanted if name not in known and name != _HEAD]
    if not missing:
        return
    towers = [name for name in missing if is_visual(name)]
    if towers and len(towers) == sum(map(is_visual, wanted)):
        told = say(
            "the vision tower is missing, all {count:,} tensors of it",
            count=len(towers),
        )
        yield Problem(towers[0], told)
        missing = [name for name in missing if not is_visual(name)]
    groups = _grouped(missing)
    if len(groups) > _GROUPS:
        told = say(
            "missing; so {count:,} of {code}'s {total:,} tensors",
            count=len(missing),
            code=base.code,
            total=len(wanted),
        )
        yield Problem(missing[0], told)
        return
    for kind, names in groups.items():
        told = say("missing")
        if len(names) > 1:
            told = say(
                "missing; so {count:,} of the kind {kind}", count=len(names), kind=kind
            )
        yield Problem(names[0], told)


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
            told = say(
                "and {count:,} other kinds of tensors are misshapen",
                count=len(groups) - _GROUPS,
            )
            yield Problem(kind, told)
            return
        first = names[0]
        told = say(
            "has the shape {mine}, {code} {wanted}",
            mine=list(mine[first]),
            code=base.code,
            wanted=list(wanted[first]),
        )
        if len(names) > 1:
            told = say("{told}; so {count:,} tensors", told=told, count=len(names))
        yield Problem(first, told)


def _same_shape(name: str, shape: Shape, wanted: Shape) -> bool:
    if name.endswith(_VOCABULARY) and len(shape) == 2:
        return shape[1:] == wanted[1:]  # V01 judges the rows
    return shape == wanted


def _layers(mine: Iterable[str], config: JsonObject) -> Iterator[Problem]:
    declared = text_section(config).get("num_hidden_layers")
    found = [int(match[1]) for name in mine if (match := _LAYER.search(name))]
    if isinstance(declared, int) and found and declared != max(found) + 1:
        told = say(
            "is {declared}, the tensors have {found} layers",
            declared=declared,
            found=max(found) + 1,
        )
        yield Problem("config.json: num_hidden_layers", told)


@rule(
    "K07",
    applies=FULL,
    fix=say("Leave tie_word_embeddings as it is in the base and save again."),
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
        yield CannotTell(
            say("neither config.json nor a known base tells of the embeddings")
        )
        return
    saved = any(tensor.name == _HEAD for tensor in tensors)
    where = "config.json: tie_word_embeddings"
    if not tensors or any(tensor.name.endswith(f".{_HEAD}") for tensor in tensors):
        return  # wrapped names are told by K06
    if saved and tied:
        yield _tied_and_saved(tied_head)
    elif not saved and not tied:
        yield Problem(_HEAD, say("missing, and the embeddings are not tied"))
    elif not saved and of_base is False:
        told = say(
            "missing: config.json says that the embeddings are tied, in the base they "
            "are not"
        )
        yield Problem(_HEAD, told)
    elif of_base is not None and tied is not of_base:
        told = say(
            "is {tied}, in the base it is {of_base}",
            tied=str(tied).lower(),
            of_base=str(of_base).lower(),
        )
        yield Problem(where, told, Severity.WARNING)


def _tied_and_saved(tied_head: bool | Unavailable) -> Problem:
    told = say("the embeddings are tied, so that this tensor is ignored")
    fix = ""
    if tied_head is True:
        told = say("{told}; it is a copy of the embedding", told=told)
        fix = say("Leave it out: save with save_pretrained, which drops tied weights.")
    elif tied_head is False:
        told = say(
            "the embeddings are tied, so that this tensor is ignored by engines that "
            "tie; it differs from the embedding: trained apart"
        )
        fix = say(
            "Train with the head tied, or copy what was trained into the "
            "embedding; tie_word_embeddings false is another model than "
            "the base."
        )
    return Problem(_HEAD, told, Severity.WARNING, fix=fix)


@rule(
    "K05",
    applies=FULL,
    fix=say(
        "Freeze the vision tower (ms-swift: freeze_vit true; "
        "LLaMA-Factory: freeze_vision_tower) and train again, or put "
        "the base's tower back."
    ),
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
        told = say(
            "differs from the base; so {count:,} of {total:,} tensors of the tower",
            count=len(tower.different),
            total=tower.compared,
        )
        yield Problem(tower.different[0], told)
    if tower.unlike:
        told = say(
            "{count:,} tensors of the tower have another precision or shape than the "
            "base's, so they cannot be compared",
            count=len(tower.unlike),
        )
        yield CannotTell(told)
