"""One reading of a model directory: names, JSON files and safetensors headers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from preflight.catalog.base_models import BaseModel
from preflight.catalog.trainers import Trace, recognise
from preflight.catalog.uploadable import role_of
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.limits import require_address_space
from preflight.model.base_choice import BaseFacts, Request, find_bases
from preflight.model.base_claim import BaseClaim
from preflight.model.configs import JsonObject, read_json_object, read_text
from preflight.model.containers import Container, Reading, Tensor, not_usable
from preflight.model.files import FileEntry, Walk
from preflight.model.headers import read_container, whole_header
from preflight.model.identity import Identity
from preflight.model.lfs import find_lfs_pointers, may_be_pointers
from preflight.model.location import Location
from preflight.model.lora import LoraView, lora_view
from preflight.model.oracle import library_accepts
from preflight.model.reference import Reference
from preflight.model.scan import TensorValues
from preflight.model.source import LocalDirectory, ModelSource, Soon
from preflight.model.steady import Changed, Unreadable
from preflight.model.templates import JINJA, Template, read_templates
from preflight.model.tensor_bytes import Opener
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
from preflight.model.weight_type import (
    ADAPTER_CONFIG,
    INDEX,
    SINGLE,
    decide_weight_type,
    spare_files,
    weight_files,
)

_TRAINERS_RECORDS = ("args.json",)  # ms-swift's, in which the base is named
_NOT_SCANNED = Unavailable(say("the values were not scanned"))
_FAR = Unavailable(say("values in a bucket are read with --scan alone"))
_HEADS = 1 << 20  # bytes of all weight files that are fetched at once, before it is
_LEAST, _MOST = 8 << 10, 256 << 10  # known how long their headers are; of each of them


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
    layer is the embedding. `refused` holds what the safetensors library says of the
    containers that it does not open. `source` is where all of it was read from.
    """

    location: Location
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
    refused: Mapping[str, str] = field(default_factory=dict)
    source: ModelSource = field(
        default=LocalDirectory(Path()), repr=False, compare=False
    )


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


def inspect(place: ModelSource | Path, request: Request | None = None) -> Inspection:
    """Read a model's files once, everything but the weights' values.

    Raises `UsageError` when there is no such place, and what a source raises that
    cannot be asked; whatever is wrong inside becomes an `Unavailable` part.
    """
    request = request or Request()
    require_address_space()
    source = LocalDirectory(place) if isinstance(place, Path) else place
    found = source.walk()
    names = {e.name: e for e in found.entries if e.at_top}
    weight_type = request.weight_type or decide_weight_type(names)
    source.expect(_soon(names, weight_type))
    read = _read_documents(source, names)
    documents = read.documents
    weights = weight_files(names, weight_type)
    containers = _containers(source, weights, weight_type)
    tensors = _all_tensors(containers)
    config, lora = _config(documents, weight_type), _lora(tensors, weight_type)
    facts = BaseFacts(documents, weight_type, config, tensors, lora)
    bases = find_bases(request, source.location, facts)
    return Inspection(
        location=source.location,
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
        claim=bases.claim,
        requested=bases.requested,
        base=bases.base,
        candidates=bases.candidates,
        compared=bases.compared,
        reference=bases.reference,
        text=_text(source, names, weight_type, containers, bases.reference),
        tied_head=_tied_head(source, names, containers),
        refused=_refused(source, names, containers),
        source=source,
    )


def _soon(
    names: Mapping[str, FileEntry], weight_type: WeightType | Unavailable
) -> Iterator[Soon]:
    """What will be read, and how much of it."""
    for name, entry in names.items():
        read = name == JINJA or (name.endswith(".json") and _is_read(name))
        if entry.is_file and (read or may_be_pointers(entry, weight_type)):
            yield Soon(entry)
    heads = (*weight_files(names, weight_type), *spare_files(names, weight_type))
    first = max(_LEAST, min(_MOST, _HEADS // max(1, len(heads))))
    yield from (Soon(entry, first, whole_header) for entry in heads)


def _refused(
    source: ModelSource,
    names: Mapping[str, FileEntry],
    containers: tuple[Reading, ...] | Unavailable,
) -> dict[str, str]:
    """Of each sound container what the library says that does not open it."""
    refused = {}
    for found in () if isinstance(containers, Unavailable) else containers:
        if not isinstance(found, Container):
            continue
        try:
            with source.as_path(names[found.file], found.data_start) as path:
                answer = library_accepts(path)
        except (Changed, Unreadable) as error:
            answer = error.without_name
        if answer is not True:
            refused[found.file] = str(answer)
    return refused


def opener(source: ModelSource, names: Mapping[str, FileEntry]) -> Opener:
    """Opens the files at the top by name."""
    return lambda name: source.open(names[name])


def _tied_head(
    source: ModelSource,
    names: Mapping[str, FileEntry],
    containers: tuple[Reading, ...] | Unavailable,
) -> bool | Unavailable:
    if not source.reads_values:
        return _FAR
    return head_is_the_embedding(opener(source, names), containers)


def _text(
    source: ModelSource,
    names: Mapping[str, FileEntry],
    weight_type: WeightType | Unavailable,
    containers: tuple[Reading, ...] | Unavailable,
    reference: Reference | Unavailable,
) -> TextComparison | Unavailable:
    if weight_type is not WeightType.FULL:
        return Unavailable(say("these are no full weights"), applicable=False)
    if not source.reads_values:
        return _FAR
    return compare_text(opener(source, names), containers, reference)


def _traces(
    source: ModelSource,
    found: Walk,
    documents: Mapping[str, JsonObject | Unavailable],
) -> tuple[Trace, ...]:
    """What trainers left in the directory, below it, and in the folder above."""
    below = (entry.name for entry in found.entries)
    return recognise((*below, *source.above()), documents)


def _lora(
    tensors: tuple[Tensor, ...] | Unavailable, weight_type: WeightType | Unavailable
) -> LoraView | Unavailable:
    if weight_type is not WeightType.LORA:
        return Unavailable(say("these are no adapter weights"))
    return tensors if isinstance(tensors, Unavailable) else lora_view(tensors)
