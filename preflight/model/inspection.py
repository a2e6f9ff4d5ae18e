"""One reading of a model directory: names, JSON files and safetensors headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from preflight.catalog.bases import BaseModel
from preflight.catalog.trainers import Trace, recognise
from preflight.catalog.uploadable import Role, is_full_weights, role_of
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.limits import require_address_space
from preflight.model.base_claim import (
    BaseClaim,
    choose_base,
    named_by,
    named_path,
    read_claim,
)
from preflight.model.base_lookup import config_at, find_reference
from preflight.model.configs import JsonObject, read_json_object, read_text
from preflight.model.containers import Container, Reading, Tensor, not_usable
from preflight.model.files import FileEntry, Walk
from preflight.model.guess import guess_bases
from preflight.model.headers import read_container
from preflight.model.identity import Identity
from preflight.model.lfs import find_lfs_pointers
from preflight.model.lora import LoraView, lora_view
from preflight.model.recognise import require_directory
from preflight.model.reference import Reference
from preflight.model.scan import TensorValues
from preflight.model.source import LocalDirectory, ModelSource
from preflight.model.steady import open_regular
from preflight.model.templates import Template, read_templates
from preflight.model.text_comparison import (
    TextComparison,
    compare_text,
    head_is_the_embedding,
)
from preflight.model.tokenizer import ENTRIES, TOKENIZER, VOCABULARY
from preflight.model.vision_tower import VisionTowerComparison
from preflight.model.vocabulary import (
    Vocabulary,
    read_tokenizer,
    read_vocabulary,
)

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

_ADAPTER_LIKE = re.compile(r"^adapt(er)?[_-]?(model|config)", re.IGNORECASE)
_FULL_LIKE = re.compile(
    r"^(pytorch_)?model.*\.(safetensors|bin)$|^model\.safetensors\."
)
_TRAINERS_RECORDS = ("args.json",)  # ms-swift's, in which the base is named
_NOT_SCANNED = Unavailable(say("the values were not scanned"))
_MOST_SPARE = 16  # files whose headers are read though they stay behind


@dataclass(frozen=True, slots=True)
class Request:
    """What a person asked to be checked, beside the directory itself."""

    weight_type: WeightType | None = None
    base_model: str | None = None
    base_dir: Path | None = None
    base_from_hub: bool = False


@dataclass(frozen=True, slots=True)
class Inspection:
    """Everything the rules read; what cannot be had is `Unavailable(reason)`.

    `documents` holds the JSON files at the top of the directory by name, without the
    plain `vocabularies` of the tokenizer, which stand apart by file, `containers`
    the weight files that would be uploaded, `spare` the other safetensors at the top,
    `traces` what trainers left there, above and below, `pointers` the files that
    git-lfs left without their content, `tensors` all tensors of the weight files when
    every one is intact. `base` is the base that was asked for or named; where there is
    none, `candidates` are the bases that fit by shape, and `compared` is the single
    candidate, if there is exactly one. Nothing is imported on the word of these two.
    `text` compares samples with the base's, `tied_head` tells whether a saved output
    layer is the embedding.
    """

    directory: Path
    weight_type: WeightType | Unavailable
    walk: Walk
    files: Mapping[str, FileEntry]
    documents: Mapping[str, JsonObject | Unavailable]
    adapter_config: JsonObject | Unavailable
    config: JsonObject | Unavailable
    generation_config: JsonObject | Unavailable
    vocabularies: Mapping[str, Vocabulary]
    tokenizer_config: JsonObject | Unavailable
    index: JsonObject | Unavailable
    pointers: tuple[str, ...]
    templates: tuple[Template, ...]
    containers: tuple[Reading, ...] | Unavailable
    spare: tuple[Reading, ...]
    traces: tuple[Trace, ...]
    tensors: tuple[Tensor, ...] | Unavailable
    lora: LoraView | Unavailable
    claim: BaseClaim
    requested: Identity | Unavailable
    base: BaseModel | Unavailable
    candidates: tuple[BaseModel, ...]
    compared: BaseModel | Unavailable
    reference: Reference | Unavailable
    text: TextComparison | Unavailable
    tied_head: bool | Unavailable
    values: tuple[TensorValues, ...] | Unavailable = _NOT_SCANNED
    tower: VisionTowerComparison | Unavailable = _NOT_SCANNED


def decide_weight_type(names: Mapping[str, FileEntry]) -> WeightType | Unavailable:
    """LoRA or full weights, judged by the names at the top of the directory."""
    adapter = ADAPTER_WEIGHTS in names or ADAPTER_CONFIG in names
    full = any(map(is_full_weights, names)) or INDEX in names
    if adapter and full:
        return Unavailable(
            say(
                "an adapter and full weights lie side by side; say which with "
                "--weight-type lora or --weight-type full"
            )
        )
    if not adapter and not full:
        adapter = any(_ADAPTER_LIKE.match(name) for name in names)
        full = not adapter and any(_FULL_LIKE.match(name) for name in names)
    if adapter:
        return WeightType.LORA
    if full or "config.json" in names:
        return WeightType.FULL
    return Unavailable(
        say("neither adapter nor full weights lie directly in the directory")
    )


def weight_files(
    names: Mapping[str, FileEntry], weight_type: WeightType | Unavailable
) -> tuple[FileEntry, ...]:
    """The safetensors files that would be uploaded, in name order."""
    if weight_type is WeightType.LORA:
        return tuple(e for n, e in names.items() if n == ADAPTER_WEIGHTS)
    if weight_type is WeightType.FULL:
        return tuple(
            e for n, e in names.items() if role_of(n, weight_type) is Role.WEIGHTS
        )
    return ()


def spare_files(
    names: Mapping[str, FileEntry], weight_type: WeightType | Unavailable
) -> tuple[FileEntry, ...]:
    """The other safetensors at the top, which no import takes, in name order.

    Weights of the other kind of import are none of them: `D02` tells of those.
    """
    if isinstance(weight_type, Unavailable):
        return ()
    spare = (
        entry
        for name, entry in sorted(names.items())
        if name.endswith(".safetensors") and entry.is_file and entry.size
        if not any(role_of(name, kind) for kind in WeightType)
    )
    return tuple(islice(spare, _MOST_SPARE))


@dataclass(slots=True)
class _Read:
    """The JSON files at the top, and the vocabularies in them."""

    documents: dict[str, JsonObject | Unavailable]
    vocabularies: dict[str, Vocabulary]


def _read_documents(source: ModelSource, names: Mapping[str, FileEntry]) -> _Read:
    found = _Read({}, {})
    for name, entry in names.items():
        if not (name.endswith(".json") and entry.is_file and _is_read(name)):
            continue
        if name == TOKENIZER:
            tokenizer = read_tokenizer(source.open(entry), name)
            found.documents[name] = tokenizer.document
            if tokenizer.vocabulary is not None:
                found.vocabularies[ENTRIES] = tokenizer.vocabulary
        elif name == VOCABULARY:
            vocabulary = read_vocabulary(source.open(entry), name)
            if isinstance(vocabulary, Unavailable):
                found.documents[name] = vocabulary
                continue
            found.documents[name] = {}
            if vocabulary != found.vocabularies.get(ENTRIES):
                found.vocabularies[name] = vocabulary
        else:
            found.documents[name] = read_json_object(source.open(entry), name)
    return found


def _is_read(name: str) -> bool:
    """Whether any rule reads this file; a data set beside the model is left alone."""
    return name in _TRAINERS_RECORDS or any(role_of(name, kind) for kind in WeightType)


def _document(
    documents: Mapping[str, JsonObject | Unavailable], name: str
) -> JsonObject | Unavailable:
    return documents.get(name, Unavailable(say("there is no {name}", name=name)))


def _read(source: ModelSource, entries: Iterable[FileEntry]) -> tuple[Reading, ...]:
    return tuple(read_container(source.open(entry), entry.name) for entry in entries)


def _config(
    documents: Mapping[str, JsonObject | Unavailable],
    weight_type: WeightType | Unavailable,
) -> JsonObject | Unavailable:
    """`config.json`, which lies beside full weights; a push adds it to an adapter."""
    if "config.json" not in documents and weight_type is WeightType.LORA:
        return Unavailable(
            say("an adapter has no config.json of its own"), applicable=False
        )
    return _document(documents, "config.json")


def _index(
    documents: Mapping[str, JsonObject | Unavailable], weights: Iterable[FileEntry]
) -> JsonObject | Unavailable:
    if INDEX not in documents and [each.name for each in weights] == [SINGLE]:
        return Unavailable(say("weights in one file need no index"), applicable=False)
    return _document(documents, INDEX)


def _containers(
    source: ModelSource,
    entries: Iterable[FileEntry],
    weight_type: WeightType | Unavailable,
) -> tuple[Reading, ...] | Unavailable:
    if isinstance(weight_type, Unavailable):
        return weight_type
    return _read(source, entries) or Unavailable(
        say("there are no safetensors weights to read")
    )


def _all_tensors(
    containers: tuple[Reading, ...] | Unavailable,
) -> tuple[Tensor, ...] | Unavailable:
    if isinstance(containers, Unavailable):
        return containers
    tensors: list[Tensor] = []
    for container in containers:
        if (reason := not_usable(container)) is not None:
            return reason
        if isinstance(container, Container):
            tensors.extend(container.tensors)
    return tuple(tensors)


def inspect(directory: Path, request: Request | None = None) -> Inspection:
    """Read a directory once, everything but the weights' values.

    Raises `UsageError` when `directory` is not one; whatever is wrong inside becomes an
    `Unavailable` part.
    """
    request = request or Request()
    require_address_space()
    require_directory(directory)
    source: ModelSource = LocalDirectory(directory)
    found = source.walk()
    names = {e.name: e for e in found.entries if e.at_top}
    weight_type = request.weight_type or decide_weight_type(names)
    read = _read_documents(source, names)
    documents = read.documents
    weights = weight_files(names, weight_type)
    containers = _containers(source, weights, weight_type)
    tensors = _all_tensors(containers)
    claim = _claim(documents, weight_type, directory)
    asked = request.base_model or named_by(request.base_dir, claim)
    requested, base = choose_base(asked, claim)
    config, lora = _config(documents, weight_type), _lora(tensors, weight_type)
    candidates: tuple[BaseModel, ...]
    candidates = () if isinstance(base, Unavailable) else (base,)
    if isinstance(base, Unavailable) and asked is None:
        figures = _figures(config, request.base_dir, claim)
        candidates = guess_bases(claim, figures, tensors, lora)
    compared = candidates[0] if len(candidates) == 1 else base
    reference = _reference(request, compared, claim, directory)
    return Inspection(
        directory=directory,
        weight_type=weight_type,
        walk=found,
        files=names,
        documents=documents,
        adapter_config=_document(documents, ADAPTER_CONFIG),
        config=config,
        generation_config=_document(documents, "generation_config.json"),
        vocabularies=read.vocabularies,
        tokenizer_config=_document(documents, "tokenizer_config.json"),
        index=_index(documents, weights),
        pointers=find_lfs_pointers(source, names.values(), weight_type),
        templates=read_templates(
            names, documents, lambda entry: read_text(source.open(entry), entry.name)
        ),
        containers=containers,
        spare=_read(source, spare_files(names, weight_type)),
        traces=_traces(source, found, documents),
        tensors=tensors,
        lora=lora,
        claim=claim,
        requested=requested,
        base=base,
        candidates=candidates,
        compared=compared,
        reference=reference,
        text=_text(directory, weight_type, containers, reference),
        tied_head=head_is_the_embedding(directory, containers),
    )


def _reference(
    request: Request,
    compared: BaseModel | Unavailable,
    claim: BaseClaim,
    directory: Path,
) -> Reference | Unavailable:
    named, from_hub = named_path(claim, directory), request.base_from_hub
    return find_reference(request.base_dir, compared, named=named, from_hub=from_hub)


def _text(
    directory: Path,
    weight_type: WeightType | Unavailable,
    containers: tuple[Reading, ...] | Unavailable,
    reference: Reference | Unavailable,
) -> TextComparison | Unavailable:
    if weight_type is not WeightType.FULL:
        return Unavailable(say("these are no full weights"), applicable=False)
    return compare_text(directory, containers, reference)


def _claim(
    documents: Mapping[str, JsonObject | Unavailable],
    weight_type: WeightType | Unavailable,
    directory: Path,
) -> BaseClaim:
    """What the directory says of its base, with the config that lies where it says."""
    claim = read_claim(documents, weight_type)
    return replace(claim, config=config_at(named_path(claim, directory)))


def _traces(
    source: ModelSource,
    found: Walk,
    documents: Mapping[str, JsonObject | Unavailable],
) -> tuple[Trace, ...]:
    """What trainers left in the directory, below it, and in the folder above."""
    below = (entry.name for entry in found.entries)
    return recognise((*below, *source.above()), documents)


def _figures(
    config: JsonObject | Unavailable, base_dir: Path | None, claim: BaseClaim
) -> JsonObject | Unavailable:
    """The config to know the base by: an adapter's own, the given or named base's."""
    if not isinstance(config, Unavailable):
        return config
    if base_dir is None:
        return claim.config
    return read_json_object(open_regular(base_dir / "config.json"), "config.json")


def _lora(
    tensors: tuple[Tensor, ...] | Unavailable, weight_type: WeightType | Unavailable
) -> LoraView | Unavailable:
    if weight_type is not WeightType.LORA:
        return Unavailable(say("these are no adapter weights"))
    return tensors if isinstance(tensors, Unavailable) else lora_view(tensors)
