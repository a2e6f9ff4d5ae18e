"""D: the directory and the names in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from preflight.catalog.service import FULL_REQUIRED, LORA_REQUIRED
from preflight.findings import Problem, Unavailable, WeightType
from preflight.model.files import FileEntry, Walk
from preflight.model.text import printable
from preflight.rules._rule import FULL, LORA, rule

_PICKLES = re.compile(r"^adapter_model.*\.(bin|pt|pth|ckpt)$", re.IGNORECASE)
_COPY_MARK = re.compile(r"[ _-]*(\(\d+\)|copy|\d+)(?=\.)", re.IGNORECASE)


@rule("D01", fix="Point preflight at the directory that holds the trained weights.")
def directory_readable(walk: Walk) -> Iterator[Problem]:
    """An empty or unreadable directory would be uploaded as nothing at all.

    Causes: the trainer wrote elsewhere, the job died before its first save, or the
    directory belongs to another user.
    Source: an import needs objects under its prefix, user guide "Model import".
    """
    if not walk.entries and not walk.unreadable:
        yield Problem(".", "the directory is empty")
    for name in walk.unreadable:
        yield Problem(printable(name), "the directory cannot be listed (permission)")
    if not walk.complete:
        yield Problem(".", f"more than {len(walk.entries):,} entries; listing stopped")
    for entry in walk.entries:
        if entry.is_file and entry.at_top and not entry.readable:
            yield Problem(printable(entry.name), "the file cannot be read (permission)")


@rule("D02", fix="Give --weight-type lora or full, or keep the two apart.")
def weight_type_decidable(weight_type: WeightType | Unavailable) -> Iterator[Problem]:
    """An import is either of an adapter or of full weights, never of a mixture.

    Causes: an adapter was saved beside a merged model, or the weights lie in a
    sub-directory such as `checkpoint-500/`.
    Source: field `weight_type`, API page "Create an import job".
    """
    if isinstance(weight_type, Unavailable):
        yield Problem(".", weight_type.reason)


def _near(wanted: str, names: Mapping[str, FileEntry]) -> str:
    """A name that was probably meant to be `wanted`, or nothing."""
    stem, _, ending = wanted.rpartition(".")
    for name in names:
        plain = _COPY_MARK.sub("", name).lower().replace("adapt_", "adapter_")
        plain = plain.replace("adapter_model.config", "adapter_config")
        if name != wanted and plain in (wanted, f"{stem}.{ending}"):
            return name
    return ""


def _missing(
    required: tuple[str, ...], files: Mapping[str, FileEntry]
) -> Iterator[Problem]:
    for name in required:
        entry = files.get(name)
        if entry is not None and entry.is_file:
            continue
        near = _near(name, files)
        if entry is not None:
            message = f"is a {entry.kind.value}, not a file"
        elif near:
            message = f"missing; {printable(near)} looks like it under another name"
        else:
            message = "missing"
        yield Problem(name, message)


@rule(
    "D04",
    applies=LORA,
    fix="Save with PEFT's save_pretrained, or rename the files to these exact names.",
)
def adapter_files_present(files: Mapping[str, FileEntry]) -> Iterator[Problem]:
    """The import looks for these two names, spelt exactly so, and for nothing else.

    Causes: a browser download added `(1)`, a script renamed the files, the weights
    were saved as a pickle (`adapter_model.bin`), or a sub-directory holds them.
    Source: required files, user guide "Model import".
    """
    yield from _missing(LORA_REQUIRED, files)


@rule(
    "D05",
    applies=LORA,
    fix="Load the adapter and save it again with safe_serialization=True.",
)
def adapter_is_safetensors(files: Mapping[str, FileEntry]) -> Iterator[Problem]:
    """Adapters pickled by torch are not read by the import, only safetensors are.

    Causes: `safe_serialization=False`, or a PEFT older than 0.6.
    Source: required files, user guide "Model import".
    """
    if LORA_REQUIRED[0] in files:
        return
    for name in files:
        if _PICKLES.match(name):
            yield Problem(printable(name), f"a pickle; {LORA_REQUIRED[0]} is needed")


@rule("D08", applies=FULL, fix="Save the tokenizer beside the weights.")
def full_files_present(files: Mapping[str, FileEntry]) -> Iterator[Problem]:
    """Full weights are served only together with their config and tokenizer.

    Causes: only the model was saved, not `tokenizer.save_pretrained`.
    Source: "the files are to be the same as those of the open-source model", user
    guide "My models".
    """
    yield from _missing(FULL_REQUIRED, files)
    if "tokenizer.json" not in files and not {"vocab.json", "merges.txt"} <= set(files):
        yield Problem("tokenizer.json", "missing, and so are vocab.json and merges.txt")
    if not any(name.endswith(".safetensors") for name in files):
        yield Problem("model.safetensors", "missing, and no shard of it either")


def subdirectory_candidates(directory: Path, walk: Walk) -> tuple[FileEntry, ...]:
    """Weight files one or more levels down, newest first."""
    wanted = {LORA_REQUIRED[0], "model.safetensors", "model.safetensors.index.json"}
    found = [
        entry
        for entry in walk.entries
        if entry.is_file and not entry.at_top and entry.path.name in wanted
    ]
    return tuple(sorted(found, key=lambda entry: -entry.mtime_ns))


@rule("D03", fix="Run the same command on the sub-directory that you want.")
def weights_at_the_top(directory: Path, walk: Walk) -> Iterator[Problem]:
    """The files must lie directly under the prefix; sub-directories are not read.

    Causes: preflight was pointed at the trainer's output directory, whose weights lie
    in `checkpoint-N/`, `merged/`, `epoch_N/` or `converted/default/`.
    Source: layout, user guide "Model import".
    """
    at_top = any(
        e.at_top and e.is_file and e.name.endswith((".safetensors", ".bin", ".pt"))
        for e in walk.entries
    )
    if at_top:
        return
    for entry in subdirectory_candidates(directory, walk)[:10]:
        parent = printable(str(directory / entry.name.rpartition("/")[0]))
        yield Problem(
            printable(entry.name),
            f"the weights lie one level down: preflight check {parent}",
        )
