"""I: the index of sharded weights, and the shards that it names."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from preflight.catalog.uploadable import Role, role_of
from preflight.findings import (
    CannotTell,
    Problem,
    Severity,
    Unavailable,
    WeightType,
)
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry
from preflight.model.headers import Container, Reading, Tensor
from preflight.rules._rule import FULL, Answer, rule
from preflight.text import shortened

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
INDEX_LIMIT = 10 << 20  # bytes; huggingface_hub reads no larger one

_SHARD = re.compile(r"^(?P<stem>.+)-(?P<number>\d+)-of-(?P<total>\d+)\.safetensors$")
_REBUILD = say(
    "Save the model again with save_pretrained, which writes the "
    "index, and copy all files of that save together."
)
Containers = tuple[Reading, ...]


def weight_map(index: JsonObject) -> dict[str, str] | None:
    """Tensor name → file, of the entries that are strings; `None` without a map."""
    found = index.get("weight_map")
    if not isinstance(found, Mapping):
        return None
    return {name: file for name, file in found.items() if isinstance(file, str)}


@rule("I01", applies=FULL, fix=_REBUILD)
def index_readable(
    index: JsonObject | Unavailable, files: Mapping[str, FileEntry]
) -> Iterator[Problem]:
    """An index that cannot be read leaves no way from a tensor's name to its shard.

    It is one JSON object whose `weight_map` gives a file name for each tensor.
    Causes: an interrupted save or download, a hand-written merge script.
    Source: huggingface_hub and transformers read it so; a larger one than 10 MiB is
    refused, https://huggingface.co/docs/huggingface_hub
    """
    entry = files.get(INDEX)
    if entry is None:
        return
    if entry.size > INDEX_LIMIT:
        told = say(
            "has {size:,} bytes, at most {index_limit:,} are read",
            size=entry.size,
            index_limit=INDEX_LIMIT,
        )
        yield Problem(INDEX, told)
    if isinstance(index, Unavailable):
        yield Problem(INDEX, index.reason)
        return
    found = index.get("weight_map")
    if not isinstance(found, Mapping):
        told = say("is missing; an object is needed")
        if found is not None:
            kind = type(found).__name__
            told = say("is a {kind}; an object is needed", kind=kind)
        yield Problem(f"{INDEX}: weight_map", told)
        return
    if not found:
        yield Problem(f"{INDEX}: weight_map", say("names no tensor"))
    wrong = [name for name, file in found.items() if not isinstance(file, str)]
    if wrong:
        told = say(
            "its file is no text; so {count:,} of {total:,} entries",
            count=len(wrong),
            total=len(found),
        )
        yield Problem(f"{INDEX}: {wrong[0]}", told)


def _by_file(mapped: Mapping[str, str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, file in mapped.items():
        found[file].append(name)
    return found


def _is_plain(file: str) -> bool:
    """Whether it is a file name and nothing that leads to another directory."""
    return not set("/\\\0") & set(file) and file not in ("", ".", "..")


@rule(
    "I02", applies=FULL, fix=say("Copy the missing shards from where they were saved.")
)
def shards_present(
    index: JsonObject, files: Mapping[str, FileEntry]
) -> Iterator[Answer]:
    """A shard that is not there takes its tensors with it.

    Causes: an interrupted copy, a full disk, an index of an earlier save.
    Source: vLLM and transformers refuse such a model; SGLang used to load it with
    uninitialised weights, https://github.com/sgl-project/sglang/pull/32279
    """
    mapped = weight_map(index)
    if mapped is None:
        yield CannotTell(say("{index} has no weight_map", index=INDEX))
        return
    by_file = _by_file(mapped)
    for file in sorted(filter(_is_plain, by_file)):
        entry = files.get(file)
        if entry is None or not entry.is_file:
            told = say("missing")
            if entry is not None:
                told = say("is a {kind}", kind=entry.kind.word)
            count = len(by_file[file])
            yield Problem(
                file,
                say(
                    "{told}; the index has {count:,} tensors in it",
                    told=told,
                    count=count,
                ),
            )


@rule(
    "I03",
    applies=FULL,
    fix=say(
        "Move the weight files that do not belong to this save out of the directory."
    ),
)
def no_foreign_weights(index: JsonObject, containers: Containers) -> Iterator[Answer]:
    """Weights that the index does not name are of another save, and go up as well.

    Some loaders read every file whose name fits: then tensors of two saves are mixed,
    and a `model.safetensors` even takes precedence over the index.
    Causes: saved twice into one directory with different shard sizes, a merged model
    beside its shards.
    Source: transformers looks for model.safetensors first, modeling_utils.py.
    """
    mapped = weight_map(index)
    if mapped is None:
        yield CannotTell(say("{index} has no weight_map", index=INDEX))
        return
    named = set(mapped.values())
    for container in containers:
        if container.file not in named:
            held = (
                say("{count:,} tensors", count=len(container.tensors))
                if isinstance(container, Container)
                else say("broken")
            )
            told = say(
                "is not named in {index} ({held}), and would be uploaded",
                index=INDEX,
                held=held,
            )
            yield Problem(container.file, told)


@rule("I04", applies=FULL, fix=_REBUILD)
def index_agrees_with_shards(
    index: JsonObject, containers: Containers
) -> Iterator[Answer]:
    """Every tensor lies in the one shard that the index gives for it.

    A loader that follows the index does not find the others, and leaves those layers
    as they were initialised.
    Causes: an index of another save, shards that were renamed or copied over each
    other, a script that added tensors to a shard.
    Source: huggingface_hub warns of tensors that are in shards but not in the index.
    """
    mapped = weight_map(index)
    if mapped is None:
        yield CannotTell(say("{index} has no weight_map", index=INDEX))
        return
    sound = [c for c in containers if isinstance(c, Container)]
    if len(sound) != len(containers):
        yield CannotTell(say("a shard is broken, so that its tensors are not known"))
    places: dict[str, list[str]] = defaultdict(list)
    for container in sound:
        for tensor in container.tensors:
            places[tensor.name].append(container.file)
    yield from _absent(mapped, places, {container.file for container in sound})
    yield from _elsewhere(mapped, places)
    yield from _twice(places)


def _grouped(cause: str, names: list[str], total: int) -> Iterator[Problem]:
    if names:
        told = say(
            "{cause}; so {count:,} of {total:,} tensors",
            cause=cause,
            count=len(names),
            total=total,
        )
        yield Problem(names[0], told)


def _absent(
    mapped: Mapping[str, str], places: Mapping[str, list[str]], sound: set[str]
) -> Iterator[Problem]:
    """Tensors that are only in the index; I02 tells of shards that are not there."""
    for file, names in sorted(_by_file(mapped).items()):
        lost = [name for name in names if name not in places]
        if file in sound and lost:
            cause = say("the index has it in {file}, no shard has it", file=file)
            yield from _grouped(cause, lost, len(mapped))


def _elsewhere(
    mapped: Mapping[str, str], places: Mapping[str, list[str]]
) -> Iterator[Problem]:
    unlisted: dict[str, list[str]] = defaultdict(list)
    moved: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name, files in places.items():
        wanted = mapped.get(name)
        if wanted is None:
            unlisted[files[0]].append(name)
        elif wanted not in files:
            moved[wanted, files[0]].append(name)
    named = set(mapped.values())
    for file, names in unlisted.items():
        if file in named:  # I03 tells of files that are not named at all
            cause = say("lies in {file} and is not in the index", file=file)
            yield from _grouped(cause, names, len(places))
    for (wanted, file), names in moved.items():
        cause = say(
            "the index has it in {wanted}, it lies in {file}", wanted=wanted, file=file
        )
        yield from _grouped(cause, names, len(places))


def _twice(places: Mapping[str, list[str]]) -> Iterator[Problem]:
    double: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, files in places.items():
        if len(files) > 1:
            double[tuple(files)].append(name)
    for together, names in double.items():
        shown = ", ".join(shortened(file, 80) for file in together[:4])
        yield from _grouped(
            say("lies in more than one file ({shown})", shown=shown), names, len(places)
        )


@rule("I05", severity=Severity.WARNING, applies=FULL, fix=_REBUILD)
def index_total_is_the_sum(
    index: JsonObject, tensors: tuple[Tensor, ...]
) -> Iterator[Problem]:
    """`total_size` is the number of bytes of all tensors together.

    A wrong one is harmless by itself, and a sign that the index is of another save.
    Causes: an index of the model before it was quantised, cut or converted.
    Source: written so by save_pretrained of transformers, modeling_utils.py.
    """
    where = f"{INDEX}: metadata.total_size"
    metadata = index.get("metadata")
    total = metadata.get("total_size") if isinstance(metadata, Mapping) else None
    wanted = sum(tensor.size for tensor in tensors)
    if total is None:
        yield Problem(
            where, say("missing; the tensors have {wanted:,} bytes", wanted=wanted)
        )
    elif isinstance(total, bool) or not isinstance(total, (int, float)):
        told = say(
            "is no number but a {kind}; the tensors have {wanted:,} bytes",
            kind=type(total).__name__,
            wanted=wanted,
        )
        yield Problem(where, told)
    elif total != wanted:
        yield Problem(
            where,
            say(
                "is {total:,}, the tensors have {wanted:,} bytes",
                total=total,
                wanted=wanted,
            ),
        )


@rule("I06", applies=FULL, fix=_REBUILD)
def shard_names_sound(index: JsonObject) -> Iterator[Answer]:
    """The shards of one save lie side by side and count from 1 to n of n.

    Names that lead elsewhere are refused by loaders, and what does not lie directly
    under the prefix, under a name of this form, is not part of the import.
    Causes: shards of two saves, a renamed file, a script that wrote whole paths.
    Source: huggingface_hub refuses such an index; layout, user guide "Model import".
    """
    mapped = weight_map(index)
    if mapped is None:
        yield CannotTell(say("{index} has no weight_map", index=INDEX))
        return
    files = sorted(set(mapped.values()))
    for file in files:
        where = f"{INDEX}: {file or '(empty)'}"
        if not _is_plain(file):
            yield Problem(where, say("is no plain file name but leads elsewhere"))
        elif role_of(file, WeightType.FULL) is not Role.WEIGHTS:
            yield Problem(
                where, say("is no name of a weight file, and would not be uploaded")
            )
    yield from _numbering(filter(_is_plain, files))


def _numbering(files: Iterable[str]) -> Iterator[Problem]:
    totals: dict[int, set[int]] = defaultdict(set)
    for file in files:
        if (match := _SHARD.match(file)) and len(match["total"]) < 10:
            totals[int(match["total"])].add(int(match["number"][:10]))
    if len(totals) > 1:
        shown = ", ".join(f"-of-{total}" for total in sorted(totals)[:6])
        yield Problem(
            INDEX, say("names shards of different saves: {shown}", shown=shown)
        )
    for total, numbers in totals.items():
        # Some tools count from 0; what matters is that there are as many as they say.
        if len(totals) == 1 and len(numbers) < total:
            told = say(
                "names {count:,} of {total:,} shards; number {first:,} is the first "
                "missing one",
                count=len(numbers),
                total=total,
                first=next(n for n in range(1, total + 1) if n not in numbers),
            )
            yield Problem(INDEX, told)


@rule("I07", applies=FULL, fix=_REBUILD)
def shards_have_an_index(
    containers: Containers, files: Mapping[str, FileEntry]
) -> Iterator[Problem]:
    """Weights in several files are found through the index, and not without it.

    One file alone must be called model.safetensors.
    Causes: the index was not copied along, or a filter left out JSON files.
    Source: transformers, modeling_utils.py; files of the open-source model, user
    guide "My models".
    """
    if INDEX in files:
        return  # I01 tells whether it can be read
    names = [container.file for container in containers]
    if len(names) > 1:
        told = say(
            "missing, and there are {count:,} weight files ({name} and others)",
            count=len(names),
            name=names[0],
        )
        near = [n for n in files if n.lower().endswith(".safetensors.index.json")]
        if near:
            told = say(
                "{told}; {near} looks like it under another name",
                told=told,
                near=near[0],
            )
        yield Problem(INDEX, told)
    elif names and names[0] != SINGLE:
        shard = _SHARD.match(names[0])
        whole = shard is None or shard["total"].lstrip("0") == "1"
        named = shortened(names[0], 80)
        fix = say("Rename {name} to {wanted}.", name=named, wanted=SINGLE)
        told = say(
            "missing, so that {name} is not found; alone it has to be called {single}",
            name=names[0],
            single=SINGLE,
        )
        yield Problem(INDEX, told, fix=fix if whole else "")
