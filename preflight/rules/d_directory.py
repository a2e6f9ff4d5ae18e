"""D: the directory, and whether the files of an import lie in it under their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from preflight.catalog.service import FULL_REQUIRED, LORA_REQUIRED
from preflight.catalog.trainers import Trace
from preflight.catalog.uploadable import is_full_weights
from preflight.findings import Problem, Severity, Unavailable, WeightType
from preflight.language import say
from preflight.model.files import FileEntry, Walk
from preflight.model.identity import Identity
from preflight.model.lfs import is_uploadable
from preflight.model.location import Location
from preflight.model.weight_type import INDEX
from preflight.rules._rule import FULL, LORA, rule
from preflight.rules.d_subdirectories import command, subdirectories
from preflight.rules.d_weights import other_forms

WEIGHTS, CONFIG = LORA_REQUIRED
_COPY_MARK = re.compile(r"[ _-]*(\(\d+\)|copy|\d+(-of-\d+)?)(?=\.)", re.IGNORECASE)
_BACKUP = re.compile(r"\.(bak|old|orig|txt|tmp|part|download|\d)$", re.IGNORECASE)
_MEANT = {
    "adapter.safetensors": WEIGHTS,
    "lora.safetensors": WEIGHTS,
    "pytorch_lora_weights.safetensors": WEIGHTS,  # diffusers
    "adapter_model.config.json": CONFIG,
}
Files = Mapping[str, FileEntry]

_READABLE = say(
    "Let this user read it: chmod -R u+rX on the directory, or run "
    "preflight as the user who trained."
)
_TOO_MANY = say(
    "Point preflight at the model's own directory, below which no "
    "data set, environment or older run lies."
)


@rule(
    "D01", fix=say("Point preflight at the directory that holds the trained weights.")
)
def directory_readable(
    walk: Walk, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """An empty or unreadable directory would be uploaded as nothing at all.

    Causes: the trainer wrote elsewhere, the job died before its first save, or the
    directory belongs to another user.
    Source: an import needs objects under its prefix, user guide "Model import".
    """
    if "." in walk.unreadable:
        told = say("the directory cannot be listed (permission)")
        yield Problem(".", told, fix=_READABLE)
    elif not walk.entries:
        yield Problem(".", say("the directory is empty"))
    if not walk.complete:
        told = say(
            "more than {count:,} entries: those further down were not looked at",
            count=len(walk.entries),
        )
        yield Problem(".", told, Severity.WARNING, fix=_TOO_MANY)
    for entry in walk.entries:
        needed = entry.is_file and is_uploadable(entry.name, weight_type)
        if needed and not entry.readable:
            told = say("the file cannot be read (permission)")
            yield Problem(entry.name, told, fix=_READABLE)


@rule(
    "D02",
    fix=say("Point preflight at the directory that holds the weights themselves."),
)
def weight_type_decidable(
    location: Location,
    files: Files,
    weight_type: WeightType | Unavailable,
    requested: Identity | Unavailable,
) -> Iterator[Problem]:
    """An import is either of an adapter or of full weights, never of a mixture.

    Causes: an adapter was saved beside a merged model, the adapter's weights were
    saved as `model.safetensors`, or the weights lie in a sub-directory such as
    `checkpoint-500/`.
    Source: field `weight_type`, API page "Create an import job".
    """
    if not isinstance(weight_type, Unavailable):
        return
    full = [name for name in files if is_full_weights(name) or name == INDEX]
    adapter = [name for name in (WEIGHTS, CONFIG) if name in files]
    if full and adapter:
        yield from _side_by_side(location, adapter, full, requested)
        return
    yield Problem(".", weight_type.reason)
    strange = [n for n in files if n.endswith(".safetensors") and not _is_usual(n)]
    if strange:
        told = say(
            "no import reads a file of this name, but {weights} (with {config}) or "
            "model.safetensors",
            weights=WEIGHTS,
            config=CONFIG,
        )
        fix = say(
            "Give the file the name that fits what it holds: {weights} for an adapter, "
            "model.safetensors for full weights.",
            weights=WEIGHTS,
        )
        yield Problem(strange[0], told, fix=fix)


def _side_by_side(
    location: Location,
    adapter: list[str],
    full: list[str],
    requested: Identity | Unavailable,
) -> Iterator[Problem]:
    """One problem for each kind, with the command that chooses it."""
    fix = say(
        "Say with --weight-type which of the two is meant, or move the "
        "other out of the directory."
    )
    told = say("an adapter and full weights lie side by side")
    yield Problem(".", told, fix=fix)
    if WEIGHTS not in adapter:
        told = say(
            "there is no {weights}; if these are the adapter's weights, rename them",
            weights=WEIGHTS,
        )
        fix_it = say("Rename {name} to {wanted}.", name=full[0], wanted=WEIGHTS)
        yield Problem(full[0], told, fix=fix_it)
    for names, kind in ((adapter, WeightType.LORA), (full, WeightType.FULL)):
        told = say(
            "for the {kind} weights: {command}",
            kind=kind.value,
            command=command(location, requested, kind),
        )
        yield Problem(names[0], told, fix=fix)


def _is_usual(name: str) -> bool:
    return name == WEIGHTS or is_full_weights(name)


def meant_for(wanted: str, names: Files) -> str:
    """A name that was probably meant to be `wanted`, or nothing."""
    for name, entry in names.items():
        plain = _COPY_MARK.sub("", _COPY_MARK.sub("", name.lower()))
        plain = _BACKUP.sub("", plain).replace("-", "_").replace(" ", "_")
        plain = plain.replace("adapt_", "adapter_")
        if name != wanted and entry.is_file and _MEANT.get(plain, plain) == wanted:
            return name
    return ""


def _missing(
    required: tuple[str, ...], files: Files, fixes: Mapping[str, str]
) -> Iterator[Problem]:
    for name in required:
        entry = files.get(name)
        if entry is not None and entry.is_file:
            continue
        message, fix = say("missing"), fixes.get(name, "")
        if entry is not None:
            message = say("is a {kind}, not a file", kind=entry.kind.word)
        elif near := meant_for(name, files):
            message = say(
                "{told}; {near} looks like it under another name",
                told=message,
                near=near,
            )
            fix = say(
                "Rename {near} to {name}, if it is the one that was trained.",
                near=near,
                name=name,
            )
        yield Problem(name, message, fix=fix)


_NO_ADAPTER_CONFIG = say(
    "Save with PEFT's save_pretrained, which writes the config "
    "beside the weights; without it nobody knows rank and scale of "
    "these weights."
)


@rule(
    "D04",
    applies=LORA,
    fix=say(
        "Save with PEFT's save_pretrained, or point preflight at the "
        "directory in which the adapter's weights lie."
    ),
)
def adapter_files_present(files: Files) -> Iterator[Problem]:
    """The import looks for these two names, spelt exactly so, and for nothing else.

    Causes: a browser download added `(1)`, a script renamed the files, the weights
    were saved as a pickle (`adapter_model.bin`), or a sub-directory holds them.
    Source: required files, user guide "Model import".
    """
    yield from _missing(LORA_REQUIRED, files, {CONFIG: _NO_ADAPTER_CONFIG})


_FULL_FIXES = {
    "config.json": say(
        "Copy config.json from the base model's repository, or save "
        "the model with save_pretrained, which writes it."
    ),
    "tokenizer_config.json": say(
        "Save the tokenizer beside the weights: "
        "AutoTokenizer.from_pretrained(BASE_MODEL).save_pretrained(DIRECTORY)."
    ),
}
_FULL_NAMES = say(
    "Give the weights the names that loaders look for: "
    "model.safetensors, or model-00001-of-0000n.safetensors with "
    "their index."
)


@rule(
    "D08",
    applies=FULL,
    fix=say(
        "Point preflight at the directory that holds weights, config and tokenizer."
    ),
)
def full_files_present(files: Files, traces: tuple[Trace, ...]) -> Iterator[Problem]:
    """Full weights are served only together with their config and tokenizer.

    Causes: only the model was saved and not the tokenizer, or only config and
    tokenizer while the weights lie elsewhere.
    Source: "the files are to be the same as those of the open-source model", user
    guide "My models".
    """
    yield from _missing(FULL_REQUIRED, files, _FULL_FIXES)
    if "tokenizer.json" not in files and not {"vocab.json", "merges.txt"} <= set(files):
        told = say("missing, and so are vocab.json and merges.txt")
        fix = _FULL_FIXES["tokenizer_config.json"]
        yield Problem("tokenizer.json", told, fix=fix)
    if not any(map(is_full_weights, files)) and not other_forms(traces):
        yield _no_weights(files)
    if "generation_config.json" not in files:
        told = say("missing; the open-source model has one")
        fix = say("Copy generation_config.json from the base model's repository.")
        yield Problem("generation_config.json", told, Severity.WARNING, fix=fix)


def _no_weights(files: Files) -> Problem:
    told = say("missing, and no shard of it either")
    others = [name for name in files if name.endswith(".safetensors")]
    if not others:
        return Problem("model.safetensors", told)
    told = say(
        "{told}; {name} lies there under another name", told=told, name=others[0]
    )
    return Problem("model.safetensors", told, fix=_FULL_NAMES)


@rule("D03", fix=say("Run the command of the sub-directory that you want."))
def weights_at_the_top(
    location: Location,
    walk: Walk,
    files: Files,
    weight_type: WeightType | Unavailable,
    requested: Identity | Unavailable,
) -> Iterator[Problem]:
    """The files must lie directly under the prefix; sub-directories are not read.

    Causes: preflight was pointed at the trainer's output directory, whose weights lie
    in `checkpoint-N/`, `merged/`, `epoch_N/` or `converted/default/`.
    Source: layout, user guide "Model import".
    """
    full = any(map(is_full_weights, files))
    if WEIGHTS in files if weight_type is WeightType.LORA else full:
        return
    if isinstance(weight_type, Unavailable) and WEIGHTS in files:
        return
    for found in subdirectories(walk):
        told = say(
            "{what}, saved {saved}: {command}",
            what=found.what,
            saved=found.saved,
            command=command(location.below(found.folder), requested),
        )
        yield Problem(found.weights, told)
