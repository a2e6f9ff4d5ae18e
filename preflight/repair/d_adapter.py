"""D: an adapter's weights, found under another name, in parts or in another form."""

from __future__ import annotations

import re
from collections.abc import Iterator

from preflight.findings import Unavailable, WeightType
from preflight.language import glued, say
from preflight.model.files import FileEntry, leads_out
from preflight.model.headers import Container, read_container
from preflight.model.steady import open_regular
from preflight.repair._repair import CannotRepair, Change, changed, repair
from preflight.repair.draft import CONFIG, WEIGHTS, Draft
from preflight.repair.pickles import pickled_tensors
from preflight.repair.tensors import Made, tensors_of
from preflight.rules.d_directory import meant_for
from preflight.text import shortened

_PART = re.compile(
    r"^adapter_model-(?P<number>\d{1,5})-of-(?P<total>\d{1,5})\.safetensors$"
)
_PICKLE = re.compile(r"^(adapter_model|adapter|lora)?.*\.(bin|pt|pth|ckpt)$", re.I)
_LORA = re.compile(r"[._]lora_(embedding_)?[ABab]([._]|$)|[._]lora_[ab]$")


def _files(draft: Draft) -> Iterator[FileEntry]:
    """Regular files at the top, by name; a link out of the directory is none."""
    for entry in draft.found.files.values():
        if entry.is_file and entry.size and not leads_out(entry):
            yield entry


def _read(draft: Draft, entry: FileEntry) -> tuple[Made, ...]:
    """The tensors of a sound safetensors file; of any other file none."""
    found = read_container(draft.source.open(entry), entry.name)
    return tensors_of(entry, found) if isinstance(found, Container) else ()


def _is_lora(tensors: tuple[Made, ...]) -> bool:
    """Whether most of it are LoRA halves, however they are spelt."""
    halves = sum(bool(_LORA.search(one.name)) for one in tensors)
    return 2 * halves > len(tensors)


@repair(
    "D02 D03",
    say("Takes the one directory below that holds the model, such as checkpoint-500/."),
    kinds=frozenset(WeightType),
)
def inner_directory(draft: Draft) -> Change | None:
    """The plan begins there; here it is told."""
    inner = draft.known.inner
    return changed(draft, say("the model in {inner}/", inner=inner)) if inner else None


@repair("D04", say("Gives adapter_config.json its name."))
def config_renamed(draft: Draft) -> Change | None:
    """Take the file that looks like the config under another name."""
    if CONFIG in draft.found.files:
        return None
    name = meant_for(CONFIG, draft.found.files)
    entry = draft.found.files.get(name)
    if entry is None or leads_out(entry):
        return None
    return changed(
        draft.with_file(CONFIG, entry),
        say("{name} becomes {new}", name=name, new=CONFIG),
    )


@repair(
    "D02 D03 D04 D06",
    say("Gives the adapter's weights the name that the import looks for."),
)
def weights_renamed(draft: Draft) -> Change | None:
    """Take the one safetensors file at hand that holds a LoRA."""
    if draft.weights or WEIGHTS in draft.found.files:
        return None
    held = {}
    for entry in _weights_near(draft):
        if _PART.match(entry.name):
            continue
        if _is_lora(tensors := _read(draft, entry)):
            held[entry.name] = tensors
    near = meant_for(WEIGHTS, draft.found.files)
    if len(held) > 1 and near in held:
        held = {near: held[near]}
    if len(held) != 1:
        return None
    ((name, tensors),) = held.items()
    return changed(
        draft.with_tensors(tensors),
        say("{name} becomes {new}", name=name, new=WEIGHTS),
    )


def _weights_near(draft: Draft) -> Iterator[FileEntry]:
    """Safetensors files at the top, and PEFT's own one folder below (default/)."""
    for entry in draft.found.walk.entries:
        below = entry.name.count("/") == 1 and entry.name.endswith(f"/{WEIGHTS}")
        fits = entry.name.endswith(".safetensors") and entry.at_top
        usable = entry.is_file and entry.size and not leads_out(entry)
        if usable and (fits or below):
            yield entry


@repair("D04", say("Joins an adapter that was saved in several files."))
def shards_joined(draft: Draft) -> Change | None:
    """Take all parts of one numbering, each tensor once."""
    if draft.weights or WEIGHTS in draft.found.files:
        return None
    parts = {e.name: m for e in _files(draft) if (m := _PART.match(e.name))}
    totals = {int(match["total"]) for match in parts.values()}
    numbers = {int(match["number"]) for match in parts.values()}
    if len(totals) != 1 or len(numbers) != totals.pop() or len(parts) != len(numbers):
        return None
    files = [_read(draft, draft.found.files[name]) for name in sorted(parts)]
    tensors = tuple(one for file in files for one in file)
    if not all(files) or len({one.name for one in tensors}) < len(tensors):
        return None
    return changed(
        draft.with_tensors(tensors), say("{count} files joined", count=len(files))
    )


@repair(
    "D04 D05 D06 S01",
    say(
        "Converts weights that torch pickled, without torch and without running "
        "anything that the pickle says."
    ),
)
def pickle_converted(draft: Draft) -> Change | None:
    """Take the one file of torch that holds a LoRA; one of PEFT's own name first."""
    if draft.weights:
        return None
    entries = [e for e in _files(draft) if _PICKLE.match(e.name) or e.name == WEIGHTS]
    named = [e for e in entries if e.name.startswith("adapter_model")]
    held = {}
    for entry in named or entries:
        tensors = pickled_tensors(draft.source.open(entry), entry)
        if isinstance(tensors, Unavailable):
            # Of a file that may be anything else it is no news that it is no weights.
            if named and entry.name != WEIGHTS:
                raise CannotRepair(glued(entry.name, ": ", tensors.reason))
        elif _is_lora(tensors):
            held[entry.name] = tensors
    if len(held) != 1:
        return None
    ((name, tensors),) = held.items()
    told = say(
        "{count:,} tensors of {name}", count=len(tensors), name=shortened(name, 60)
    )
    return changed(draft.with_tensors(tensors), told)


@repair(
    "D12",
    say("Puts the weights themselves in place of a link that leaves the directory."),
)
def link_followed(draft: Draft) -> Change | None:
    """Follow the link of the weights alone, to a sound file that holds a LoRA."""
    entry = draft.found.files.get(WEIGHTS)
    if draft.weights or entry is None or not (entry.is_file and leads_out(entry)):
        return None
    found = read_container(open_regular(entry.real_path), entry.name)
    tensors = tensors_of(entry, found) if isinstance(found, Container) else ()
    if not _is_lora(tensors):
        return None
    return changed(
        draft.with_tensors(tensors),
        say("{name} is now the file {target}", name=WEIGHTS, target=entry.target),
    )
