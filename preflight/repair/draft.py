"""The model directory to be, as repairs make it step by step; none is written yet."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from preflight.catalog.base_models import BaseModel
from preflight.catalog.service import LORA_REQUIRED
from preflight.catalog.uploadable import Role, role_of
from preflight.findings import Unavailable, WeightType
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry, leads_out
from preflight.model.headers import Container, Tensor
from preflight.model.inspection import Inspection
from preflight.model.lora import LoraView, lora_view
from preflight.model.reference import Reference
from preflight.model.source import ModelSource
from preflight.repair.tensors import Made, tensors_of

WEIGHTS, CONFIG = LORA_REQUIRED
Source = FileEntry | bytes


@dataclass(frozen=True, slots=True)
class Losses:
    """The repairs that lose something, each of which has to be asked for.

    `reduce_rank`: the nearest update of the largest rank that is served. `drop_head`,
    `drop_bias`, `drop_saved_modules`, `drop_vision`: leave these trained tensors out.
    `base_tokenizer`: the base's in place of one with other tokens. `round`: round
    values that the wanted format cannot hold. The names are those of the flags.
    """

    reduce_rank: bool = False
    drop_head: bool = False
    drop_bias: bool = False
    drop_saved_modules: bool = False
    drop_vision: bool = False
    base_tokenizer: bool = False
    round: bool = False

    def allow(self, flag: str) -> bool:
        """Whether a flag such as `--reduce-rank` was given; nothing needs none."""
        return not flag or bool(
            getattr(self, flag.removeprefix("--").replace("-", "_"))
        )


@dataclass(frozen=True, slots=True)
class Known:
    """What the rules said so far, of the directory and of what was made of it.

    `base` and `reference` are those of the latest look: a config that could not be
    read names no base before it is mended. `inner` is the directory below that holds
    the model, where it does not lie at the top.
    """

    failed: frozenset[str]
    base: BaseModel | Unavailable
    reference: Reference | Unavailable
    inner: str = ""
    losses: Losses = field(default_factory=Losses)


@dataclass(frozen=True, slots=True)
class Draft:
    """Every file of the directory to be.

    `files` are the small ones and those that stay as they are, by the name that they
    will have; `documents` the JSON files that were changed; `weights` the weight files
    by name, none of them where one of the source cannot be read.
    """

    found: Inspection
    source: ModelSource
    kind: WeightType
    known: Known
    files: Mapping[str, Source]
    weights: Mapping[str, tuple[Made, ...]]
    documents: Mapping[str, JsonObject] = field(default_factory=dict)

    @property
    def config(self) -> JsonObject | None:
        """`adapter_config.json`, where it can be read."""
        return self.document(CONFIG)

    def document(self, name: str) -> JsonObject | None:
        """A JSON file as it will be; None where there is none, or none that is read."""
        if name in self.documents:
            return self.documents[name]
        found = self.found.documents.get(name)
        entry = self.files.get(name)
        is_same = isinstance(entry, FileEntry) and entry.name == name
        return found if is_same and isinstance(found, Mapping) else None

    def with_document(self, name: str, value: JsonObject) -> Draft:
        """A JSON file with another content."""
        data = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
        return replace(
            self,
            documents={**self.documents, name: value},
            files={**self.files, name: data.encode("utf-8", "surrogatepass")},
        )

    def with_fields(self, name: str, **fields: object) -> Draft:
        """A JSON file with some fields set."""
        return self.with_document(name, {**(self.document(name) or {}), **fields})

    def with_config(self, **fields: object) -> Draft:
        """`adapter_config.json` with some fields set."""
        return self.with_fields(CONFIG, **fields)

    def with_file(self, name: str, source: Source) -> Draft:
        """A file taken from elsewhere."""
        documents = {n: v for n, v in self.documents.items() if n != name}
        files = {**self.files, name: source}
        return replace(self, files=files, documents=documents)

    def without(self, *names: str) -> Draft:
        """Files left out."""
        return replace(
            self,
            files={n: v for n, v in self.files.items() if n not in names},
            documents={n: v for n, v in self.documents.items() if n not in names},
            weights={n: v for n, v in self.weights.items() if n not in names},
        )

    @property
    def tensors(self) -> tuple[Made, ...]:
        """All tensors of all weight files."""
        return tuple(one for file in self.weights.values() for one in file)

    def with_tensors(self, tensors: tuple[Made, ...]) -> Draft:
        """An adapter's weights, in the one file that they lie in."""
        return replace(self, weights={WEIGHTS: tensors})

    @property
    def lora(self) -> LoraView:
        """The tensors by their meaning, as rules see them."""
        return lora_view(
            Tensor(one.name, one.dtype, one.shape, 0, one.size) for one in self.tensors
        )


def first_draft(
    found: Inspection, source: ModelSource, kind: WeightType, known: Known
) -> Draft:
    """The directory as it is, without what no import takes."""
    files: dict[str, Source] = {}
    weights: dict[str, tuple[Made, ...]] = {}
    readings = () if isinstance(found.containers, Unavailable) else found.containers
    sound = {each.file: each for each in readings if isinstance(each, Container)}
    is_whole = True
    for name, entry in found.files.items():
        role = role_of(name, kind)
        usable = entry.is_file and not leads_out(entry)
        if role is Role.WEIGHTS and usable and name in sound:
            weights[name] = tensors_of(entry, sound[name])
        elif role is Role.WEIGHTS:
            # Without it the others are no model, whatever could be made of them.
            is_whole = False
        elif role is not None and usable:
            files[name] = entry
    return Draft(found, source, kind, known, files, weights if is_whole else {})
