"""D: the directory, and whether the files of an import lie in it under their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

from preflight.catalog.service import FULL_REQUIRED, LORA_REQUIRED
from preflight.findings import Problem, Severity, Unavailable, WeightType
from preflight.model.files import FileEntry, Walk
from preflight.model.inspection import FULL_WEIGHTS, INDEX
from preflight.model.lfs import is_uploadable
from preflight.rules._rule import FULL, LORA, rule
from preflight.rules.d_subdirectories import candidates, command

WEIGHTS, CONFIG = LORA_REQUIRED
_PICKLES = re.compile(r"^adapter_model.*\.(bin|pt|pth|ckpt)$", re.IGNORECASE)
_COPY_MARK = re.compile(r"[ _-]*(\(\d+\)|copy|\d+(-of-\d+)?)(?=\.)", re.IGNORECASE)
_BACKUP = re.compile(r"\.(bak|old|orig|txt|tmp|part|download|\d)$", re.IGNORECASE)
_MEANT = {
    "adapters.safetensors": WEIGHTS,  # mlx-lm
    "adapter.safetensors": WEIGHTS,
    "lora.safetensors": WEIGHTS,
    "pytorch_lora_weights.safetensors": WEIGHTS,  # diffusers
    "adapter_model.config.json": CONFIG,
}
# Weights in other forms: patterns of lower-case names, and what wrote them.
_OTHER_FORMS = (
    ("pytorch_model_fsdp*", "weights as FSDP shards them"),
    ("*.distcp", "weights as FSDP shards them"),
    ("pytorch_model*.bin", "weights pickled by torch"),
    ("consolidated*.pth", "weights in Meta's own form"),
    ("global_step*", "DeepSpeed's partitioned states"),
    ("*.gguf", "weights for llama.cpp"),
    ("*.pt", "something pickled by torch"),
    ("*.ckpt", "something pickled by torch"),
)
Files = Mapping[str, FileEntry]


@rule("D01", fix="Point preflight at the directory that holds the trained weights.")
def directory_readable(
    walk: Walk, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """An empty or unreadable directory would be uploaded as nothing at all.

    Causes: the trainer wrote elsewhere, the job died before its first save, or the
    directory belongs to another user.
    Source: an import needs objects under its prefix, user guide "Model import".
    """
    if "." in walk.unreadable:
        yield Problem(".", "the directory cannot be listed (permission)")
    elif not walk.entries:
        yield Problem(".", "the directory is empty")
    if not walk.complete:
        told = f"more than {len(walk.entries):,} entries: those further down were not"
        yield Problem(".", f"{told} looked at", Severity.WARNING)
    for entry in walk.entries:
        needed = entry.is_file and is_uploadable(entry.name, weight_type)
        if needed and not entry.readable:
            yield Problem(entry.name, "the file cannot be read (permission)")


@rule(
    "D02",
    fix="Point preflight at the directory that holds the weights themselves; where "
    "adapter and full weights lie side by side, give --weight-type.",
)
def weight_type_decidable(
    directory: Path, files: Files, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """An import is either of an adapter or of full weights, never of a mixture.

    Causes: an adapter was saved beside a merged model, the adapter's weights were
    saved as `model.safetensors`, or the weights lie in a sub-directory such as
    `checkpoint-500/`.
    Source: field `weight_type`, API page "Create an import job".
    """
    if not isinstance(weight_type, Unavailable):
        return
    yield Problem(".", weight_type.reason)
    strange = [n for n in files if n.endswith(".safetensors") and not _is_usual(n)]
    if strange:
        told = f"no import reads a file of this name, but {WEIGHTS} (with "
        yield Problem(strange[0], f"{told}{CONFIG}) or model.safetensors")
    full = [name for name in files if FULL_WEIGHTS.match(name) or name == INDEX]
    adapter = [name for name in (WEIGHTS, CONFIG) if name in files]
    if not full or not adapter:
        return
    if WEIGHTS not in files:
        told = f"there is no {WEIGHTS}; if these are the adapter's weights, rename them"
        yield Problem(full[0], told)
    for names, kind in ((adapter, WeightType.LORA), (full, WeightType.FULL)):
        told = f"for the {kind.value} weights: {command(directory, kind)}"
        yield Problem(names[0], told)


def _is_usual(name: str) -> bool:
    return name == WEIGHTS or bool(FULL_WEIGHTS.match(name))


def _near(wanted: str, names: Files) -> str:
    """A name that was probably meant to be `wanted`, or nothing."""
    for name, entry in names.items():
        plain = _COPY_MARK.sub("", _COPY_MARK.sub("", name.lower()))
        plain = _BACKUP.sub("", plain).replace("-", "_").replace(" ", "_")
        plain = plain.replace("adapt_", "adapter_")
        if name != wanted and entry.is_file and _MEANT.get(plain, plain) == wanted:
            return name
    return ""


def _missing(required: tuple[str, ...], files: Files) -> Iterator[Problem]:
    for name in required:
        entry = files.get(name)
        if entry is not None and entry.is_file:
            continue
        if entry is not None:
            message = f"is a {entry.kind.value}, not a file"
        elif near := _near(name, files):
            message = f"missing; {near} looks like it under another name"
        else:
            message = "missing"
        yield Problem(name, message)


@rule(
    "D04",
    applies=LORA,
    fix="Save with PEFT's save_pretrained, or rename the files to these exact names.",
)
def adapter_files_present(files: Files) -> Iterator[Problem]:
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
def adapter_is_safetensors(files: Files) -> Iterator[Problem]:
    """Adapters pickled by torch are not read by the import, only safetensors are.

    Causes: `safe_serialization=False`, or a PEFT older than 0.6.
    Source: required files, user guide "Model import".
    """
    if WEIGHTS in files:
        return
    for name in files:
        if _PICKLES.match(name):
            yield Problem(name, f"a pickle; {WEIGHTS} is needed")


@rule(
    "D06",
    fix="Gather the weights into safetensors: DeepSpeed's zero_to_fp32.py with "
    "--safe_serialization, accelerate merge-weights for FSDP, or load the model and "
    "save_pretrained it.",
)
def weights_are_safetensors(
    files: Files, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """Only safetensors are read; other forms hold the weights in vain.

    Causes: `safe_serialization=False`, a run that kept only its DeepSpeed or FSDP
    state, an export for llama.cpp.
    Source: file formats, user guide "My models".
    """
    wanted = WEIGHTS if weight_type is WeightType.LORA else "model.safetensors"
    if any(name.endswith(".safetensors") for name in files):
        return
    groups: dict[str, list[str]] = {}
    for name in files:
        if not _PICKLES.match(name) and (form := _other_form(name)):
            groups.setdefault(form, []).append(name)
    for form, names in groups.items():
        more = f" ({len(names):,} entries)" if len(names) > 1 else ""
        yield Problem(names[0], f"{form}{more}; {wanted} is needed")


def _other_form(name: str) -> str:
    states = ("optimizer", "scheduler", "scaler", "rng_state", "training_args")
    if name.startswith(states):
        return ""
    found = (form for pattern, form in _OTHER_FORMS if fnmatchcase(name, pattern))
    return next(found, "")


@rule("D08", applies=FULL, fix="Save the tokenizer beside the weights.")
def full_files_present(files: Files) -> Iterator[Problem]:
    """Full weights are served only together with their config and tokenizer.

    Causes: only the model was saved, not `tokenizer.save_pretrained`.
    Source: "the files are to be the same as those of the open-source model", user
    guide "My models".
    """
    yield from _missing(FULL_REQUIRED, files)
    if "tokenizer.json" not in files and not {"vocab.json", "merges.txt"} <= set(files):
        yield Problem("tokenizer.json", "missing, and so are vocab.json and merges.txt")
    if not any(FULL_WEIGHTS.match(name) for name in files):
        told = "missing, and no shard of it either"
        others = [name for name in files if name.endswith(".safetensors")]
        if others:
            told += f"; {others[0]} lies there under another name"
        yield Problem("model.safetensors", told)
    if "generation_config.json" not in files:
        told = "missing; the open-source model has one"
        yield Problem("generation_config.json", told, Severity.WARNING)


@rule("D03", fix="Run the command of the sub-directory that you want.")
def weights_at_the_top(
    directory: Path, walk: Walk, files: Files, weight_type: WeightType | Unavailable
) -> Iterator[Problem]:
    """The files must lie directly under the prefix; sub-directories are not read.

    Causes: preflight was pointed at the trainer's output directory, whose weights lie
    in `checkpoint-N/`, `merged/`, `epoch_N/` or `converted/default/`.
    Source: layout, user guide "Model import".
    """
    full = any(FULL_WEIGHTS.match(name) for name in files)
    if WEIGHTS in files if weight_type is WeightType.LORA else full:
        return
    if isinstance(weight_type, Unavailable) and WEIGHTS in files:
        return
    for found in candidates(walk):
        told = f"{found.what}, saved {found.saved}: "
        yield Problem(found.weights, told + command(directory / found.folder))
