"""K and I, of full weights: tensor names, shards and their index."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace

from preflight.catalog.base_models import BaseModel
from preflight.catalog.uploadable import is_full_weights
from preflight.findings import Unavailable, WeightType
from preflight.language import glued, say
from preflight.model.files import FileEntry, leads_out
from preflight.model.headers import Container, read_container
from preflight.repair._repair import CannotRepair, Change, changed, repair
from preflight.repair.draft import Draft
from preflight.repair.pickles import pickled_tensors
from preflight.repair.tensors import Made, tensors_of
from preflight.rules.i_index import weight_map
from preflight.rules.k_full import as_on_disk, unwrapped

_FULL = frozenset({WeightType.FULL})
INDEX, SINGLE = "model.safetensors.index.json", "model.safetensors"
_HEAD = "lm_head.weight"
_SHARD = re.compile(r"(?P<number>\d{1,5})-of-(?P<total>\d{1,5})\.(safetensors|bin)$")
_PICKLE = re.compile(r"^(pytorch_model|model|ft-model)(-\d+-of-\d+)?\.(bin|pt|pth)$")
_INDEX_RULES = frozenset({"I01", "I02", "I03", "I04", "I05", "I06", "I07"})

Weights = Mapping[str, tuple[Made, ...]]


def _usable(draft: Draft, ending: str) -> list[FileEntry]:
    return [
        entry
        for entry in draft.found.files.values()
        if entry.is_file and entry.size and not leads_out(entry)
        if entry.name.endswith(ending)
    ]


def numbered(files: list[tuple[Made, ...]]) -> Weights:
    """The files under the names that loaders look for."""
    if len(files) == 1:
        return {SINGLE: files[0]}
    total = len(files)
    return {
        f"model-{number:05d}-of-{total:05d}.safetensors": tensors
        for number, tensors in enumerate(files, 1)
    }


def _with_weights(draft: Draft, weights: Weights) -> Draft:
    made = draft.without(INDEX)
    return replace(made, weights=dict(weights))


@repair(
    "D06 D08 D02", say("Gives shards the names that loaders look for."), kinds=_FULL
)
def shards_renamed(draft: Draft) -> Change | None:
    """Take one numbered set of safetensors under other names, such as torchtune's."""
    if draft.weights:
        return None
    files = []
    for entry in sorted(_usable(draft, ".safetensors"), key=lambda one: one.name):
        found = read_container(draft.source.open(entry), entry.name)
        if isinstance(found, Container) and found.tensors:
            files.append((entry, tensors_of(entry, found)))
    matches = [_SHARD.search(entry.name) for entry, _ in files]
    stems = {
        entry.name[: m.start()]
        for (entry, _), m in zip(files, matches, strict=True)
        if m
    }
    whole = all(matches) and len(stems) == 1
    complete = whole and {int(m["total"]) for m in matches if m} == {len(files)}
    if not complete and not (len(files) == 1 and not any(matches)):
        return None
    made = numbered([tensors for _, tensors in files])
    told = say("{name} becomes {new}", name=files[0][0].name, new=next(iter(made)))
    return changed(_with_weights(draft, made), told)


@repair(
    "D06 D08",
    say(
        "Converts full weights that torch pickled, without torch and without running "
        "anything that the pickle says."
    ),
    kinds=_FULL,
)
def full_pickle_converted(draft: Draft) -> Change | None:
    """Take pytorch_model.bin, or all its shards."""
    if draft.weights:
        return None
    entries = [e for e in draft.found.files.values() if _PICKLE.match(e.name)]
    entries = [e for e in entries if e.is_file and not leads_out(e)]
    files = []
    for entry in sorted(entries, key=lambda one: one.name):
        tensors = pickled_tensors(draft.source.open(entry), entry)
        if isinstance(tensors, Unavailable):
            raise CannotRepair(glued(entry.name, ": ", tensors.reason))
        files.append(tensors)
    totals = {int(m["total"]) for e in entries if (m := _SHARD.search(e.name))}
    if (
        not files
        or (totals and totals != {len(files)})
        or (not totals and len(files) > 1)
    ):
        return None
    made = numbered([_once(tensors) for tensors in files])
    return changed(
        _with_weights(draft, made), say("{count} files converted", count=len(files))
    )


def _once(tensors: tuple[Made, ...]) -> tuple[Made, ...]:
    """Without the output layer where it is the embedding itself, as torch shares it."""
    places = {one.origin for one in tensors if one.name.endswith("embed_tokens.weight")}
    return tuple(t for t in tensors if t.name != _HEAD or t.origin not in places)


@repair(
    "K06",
    say(
        "Gives the tensors of full weights the names that they have on disk: without "
        "wrappers' marks, and as the base's own files name them."
    ),
    kinds=_FULL,
)
def full_names(draft: Draft) -> Change | None:
    """Rename what is the base's under another name; what is not stays to be told."""
    base = draft.known.base
    if isinstance(base, Unavailable) or "K06" not in draft.known.failed:
        return None
    wanted = {spec.name: spec.shape for spec in base.checkpoint_tensors()}
    new = {
        file: tuple(one.renamed(_on_disk(one, wanted, base)) for one in tensors)
        for file, tensors in draft.weights.items()
    }
    old = {one.name for one in draft.tensors}
    names = [one.name for tensors in new.values() for one in tensors]
    count = len(set(names) - old)
    if not count or len(set(names)) < len(names):
        return None
    return changed(
        _with_weights(draft, new), say("{count:,} tensors renamed", count=count)
    )


def _on_disk(one: Made, wanted: Mapping[str, object], base: BaseModel) -> str:
    plain = unwrapped(one.name)
    tries = (plain, as_on_disk(plain), f"model.{plain}", as_on_disk(f"model.{plain}"))
    known = {*wanted, _HEAD} if not base.tied_embeddings else {*wanted}
    return next((name for name in tries if name in known), one.name)


@repair(
    "K07",
    say(
        "Leaves the output layer out where the embeddings are tied and it is a copy of "
        "them."
    ),
    kinds=_FULL,
)
def tied_head(draft: Draft) -> Change | None:
    """save_pretrained drops it as well."""
    if draft.found.tied_head is not True or "K07" not in draft.known.failed:
        return None
    new = {
        file: tuple(one for one in tensors if one.name != _HEAD)
        for file, tensors in draft.weights.items()
    }
    return changed(_with_weights(draft, new), say("{head} left out", head=_HEAD))


@repair(
    "I01 I02 I03 I04 I05 I06 I07",
    say(
        "Makes the index anew from the shards' own headers, gives the shards one "
        "numbering and leaves out files whose tensors all lie in others."
    ),
    kinds=_FULL,
)
def index_rebuilt(draft: Draft) -> Change | None:
    """One file for each tensor: the one that the index gives, else the only one."""
    if not draft.weights:
        return None
    changed_already = INDEX not in draft.files and len(draft.weights) > 1
    if not (_INDEX_RULES & draft.known.failed or changed_already):
        return None
    files = _chosen(draft)
    if files is None:
        return None
    sound = all(map(is_full_weights, files)) and len(_totals(files)) < 2
    sound = (
        sound and _totals(files) <= {len(files)} and (len(files) > 1 or SINGLE in files)
    )
    if not sound:
        files = dict(numbered([files[name] for name in sorted(files)]))
    made = _with_weights(draft, files)
    told = [
        say(
            "{count} files, {number:,} tensors",
            count=len(files),
            number=sum(map(len, files.values())),
        )
    ]
    if gone := sorted(set(draft.weights) - set(files)):
        told.append(say("no longer there: {names}", names=", ".join(gone[:4])))
    if len(files) == 1:
        return changed(made, *told)
    total = sum(one.size for tensors in files.values() for one in tensors)
    places = {one.name: file for file, tensors in files.items() for one in tensors}
    index = {
        "metadata": {"total_size": total},
        "weight_map": dict(sorted(places.items())),
    }
    return changed(made.with_document(INDEX, index), *told)


def _totals(files: Mapping[str, object]) -> set[int]:
    return {int(m["total"]) for name in files if (m := _SHARD.search(name))}


def _chosen(draft: Draft) -> dict[str, tuple[Made, ...]] | None:
    """The files with each tensor once; None where it cannot be told which is meant."""
    base, index = draft.known.base, draft.document(INDEX)
    mapped = (weight_map(index) if index else None) or {}
    places: dict[str, list[str]] = {}
    for file, tensors in draft.weights.items():
        for one in tensors:
            places.setdefault(one.name, []).append(file)
    home = {}
    for name, files in places.items():
        wanted = mapped.get(name)
        if len(files) > 1 and wanted not in files:
            return None
        home[name] = wanted if wanted in files else files[0]
    named = set(mapped.values()) & set(draft.weights)
    foreign = set(draft.weights) - named
    lost = {n for n in mapped if n not in places or (home[n] in foreign and named)}
    gone = sorted({mapped[n] for n in lost if n not in places} - set(draft.weights))
    if gone:
        raise CannotRepair(
            say(
                "{value} is missing, and its tensors are in no other file",
                value=gone[0],
            )
        )
    if any(n not in places for n in lost) and isinstance(base, Unavailable):
        raise CannotRepair(
            say(
                "the index names tensors that no file has, and the base is not known: "
                "give --base-model"
            )
        )
    if named and foreign and not lost:
        # The index is complete without them: they are of another save.
        home = {name: file for name, file in home.items() if file in named}
    kept = {
        file: tuple(one for one in tensors if home.get(one.name) == file)
        for file, tensors in draft.weights.items()
    }
    return {file: tensors for file, tensors in kept.items() if tensors}
