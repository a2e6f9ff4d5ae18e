"""D, continued: trained weights in forms and files that no import reads."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from preflight.catalog.service import LORA_REQUIRED
from preflight.catalog.trainers import UNUSABLE, Form, Trace
from preflight.catalog.uploadable import is_full_weights
from preflight.findings import Problem, Severity, Unavailable, WeightType
from preflight.language import glued, say, say_n
from preflight.model.configs import JsonObject
from preflight.model.files import FileEntry, Walk
from preflight.model.headers import Container, Reading, Tensor
from preflight.model.identity import Identity
from preflight.model.lfs import is_uploadable
from preflight.model.location import Location
from preflight.model.vision_tower import is_visual
from preflight.rules._rule import FULL, LORA, rule
from preflight.rules.d_subdirectories import ADAPTER, command, subdirectories

WEIGHTS, CONFIG = LORA_REQUIRED
Files = Mapping[str, FileEntry]

_ADAPTER_PICKLES = re.compile(r"^adapter_model.*\.(bin|pt|pth|ckpt)$", re.IGNORECASE)
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.npz")
# What trainers and data sets leave under the endings of pickled weights.
_NO_WEIGHTS = (
    "optimizer*", "optim_*", "*optim_states*", "scheduler*", "scaler*", "sampler*",
    "rng_state*", "random_states*", "trainer_state*", "extra_state*", "*_state.*",
    "state.*", "dl_state*", "training_args*", "args.*", "metrics*", "loss*",
    "history*", "tokenizer*", "tokens*", "vocab*", "train.*", "train_*", "val.*",
    "val_*", "test.*", "test_*", "eval*", "data.*", "data_*", "dataset*", "examples*",
    "cache*", "*_document.bin", "adapter_model.*", "adapter_[0-9].*",
)  # fmt: skip
_LEAST = 1024  # bytes; less holds no weights of a model
_FORMS = UNUSABLE | {Form.RENAMED, Form.QUANTISED}
_SAVE_AGAIN = say(
    "Load the model with the library that wrote it and save it with save_pretrained."
)


def remedy(trace: Trace) -> str:
    """What to do with weights in another form; the command stands above it."""
    advice = trace.signature.advice
    if not trace.signature.command:
        return advice or _SAVE_AGAIN
    asked = say(
        "Run the command above (words in capitals are yours to fill in) and check the "
        "directory that it writes."
    )
    return glued(asked, " ", advice) if advice else asked


def _form_problem(trace: Trace, location: Location, wanted: str) -> Problem:
    told: str = trace.signature.what
    if trace.folder == "..":
        told = say("{what}, one directory up", what=told)
    elif trace.folder:
        told = say("{what} in {folder}/", what=told, folder=trace.folder)
    if len(trace.names) > 1:
        told = say("{told} ({count:,} entries)", told=told, count=len(trace.names))
    told = say("{told}; {wanted} is needed", told=told, wanted=wanted)
    line = trace.command(location.directory)
    return Problem(
        trace.first, told, fix=remedy(trace), details=(line,) if line else ()
    )


def other_forms(traces: tuple[Trace, ...]) -> tuple[Trace, ...]:
    """Weights in other forms: those of the directory, else above it, else below."""
    found = [
        trace
        for trace in traces
        if trace.signature.form in _FORMS
        and trace.signature.document is None
        and not all(map(_ADAPTER_PICKLES.match, trace.names))
    ]
    for near in ("", ".."):
        if here := tuple(trace for trace in found if trace.folder == near):
            return here
    # Of a checkpoint within a checkpoint the outer one tells what to run.
    outer = {trace.folder for trace in found}
    return tuple(
        trace
        for trace in found
        if not any(trace.folder.startswith(f"{folder}/") for folder in outer)
    )


@rule(
    "D05",
    applies=LORA,
    fix=say("Load the adapter and save it again with safe_serialization=True."),
)
def adapter_is_safetensors(
    location: Location, files: Files, traces: tuple[Trace, ...]
) -> Iterator[Problem]:
    """Adapters pickled by torch are not read by the import, only safetensors are.

    Causes: `safe_serialization=False`, a PEFT older than 0.6, OpenRLHF with ZeRO-3.
    Source: required files, user guide "Model import".
    """
    if WEIGHTS in files:
        return
    of_name = {name: trace for trace in traces for name in trace.names}
    for name in files:
        if not _ADAPTER_PICKLES.match(name):
            continue
        told, trace = (
            say("a pickle; {weights} is needed", weights=WEIGHTS),
            of_name.get(name),
        )
        if trace is None or not trace.signature.command:
            yield Problem(name, told)
        else:
            line = trace.command(location.directory)
            fix = say("Run the command above, which makes it of the pickle.")
            yield Problem(name, told, fix=fix, details=(line,))


@rule("D06", fix=_SAVE_AGAIN)
def weights_are_safetensors(
    location: Location,
    walk: Walk,
    files: Files,
    traces: tuple[Trace, ...],
    weight_type: WeightType | Unavailable,
) -> Iterator[Problem]:
    """Only safetensors are read; other forms hold the weights in vain.

    Each trainer has an exporter of its own; where the form tells the trainer, the
    exporter's command is named.
    Causes: a run that kept only its shards (FSDP, DeepSpeed, Megatron, verl), a
    trainer with names of its own (LitGPT, MLX, XTuner), `safe_serialization=False`, an
    export for one inference engine.
    Source: file formats, user guide "My models"; the trainers' own documentation.
    """
    adapter = weight_type is WeightType.LORA
    if WEIGHTS in files if adapter else any(map(is_full_weights, files)):
        return
    if isinstance(weight_type, Unavailable) and WEIGHTS in files:
        return
    wanted = WEIGHTS if adapter else "model.safetensors"
    found = other_forms(traces)
    if subdirectories(walk):  # D03 tells of what lies below
        found = tuple(trace for trace in found if trace.folder in ("", ".."))
    for trace in found:
        yield _form_problem(trace, location, wanted)
    told = {name for trace in found for name in trace.names}
    if any(map(_ADAPTER_PICKLES.match, files)):
        return  # D05 tells of those
    rest = [n for n in files if n not in told and _is_pickled_weights(files[n])]
    if rest and not found:
        told_now = say("pickled by torch")
        if len(rest) > 1:
            told_now = say("pickled by torch ({count:,} files)", count=len(rest))
        needed = say("{told}; {wanted} is needed", told=told_now, wanted=wanted)
        yield Problem(rest[0], needed)


def _is_pickled_weights(entry: FileEntry) -> bool:
    """Whether a name has the ending of pickled weights, and of no trainer's state."""
    base = entry.name.lower()
    return (
        entry.is_file
        and entry.size >= _LEAST
        and any(fnmatchcase(base, pattern) for pattern in _PICKLES)
        and not any(fnmatchcase(base, pattern) for pattern in _NO_WEIGHTS)
    )


_MERGE = say(
    "Merge the adapter and these weights into full weights and "
    "import those, or train again with LoRA alone (freeze vision "
    "tower, projector and heads)."
)


@rule("D19", severity=Severity.WARNING, fix=_MERGE)
def no_trained_weights_left_behind(
    location: Location,
    files: Files,
    traces: tuple[Trace, ...],
    spare: tuple[Reading, ...],
    tensors: tuple[Tensor, ...] | Unavailable,
    index: JsonObject | Unavailable,
    weight_type: WeightType | Unavailable,
) -> Iterator[Problem]:
    """Weights in a file of another name were trained too, and stay behind.

    The import takes the adapter alone (or the full weights), loads it without a word,
    and the model answers as if the rest had never been trained. It is an error where
    the tensors' names say that the vision tower was trained: it has to be frozen.
    Causes: a projector, merger or vision tower trained in full beside a LoRA
    (`non_lora_state_dict.bin`, `vit.safetensors`), a value head, embeddings that a
    training script saved by itself.
    Source: the ViT is frozen, user guide "Model import"; for the files see
    https://github.com/2U1/Qwen-VL-Series-Finetune and
    https://github.com/modelscope/ms-swift/blob/main/swift/tuner_plugin/lora_llm.py
    """
    if isinstance(weight_type, Unavailable):
        return
    adapter = weight_type is WeightType.LORA
    if WEIGHTS not in files if adapter else not any(map(is_full_weights, files)):
        return  # D04, D06 and D08 tell of weights under other names
    beside = {
        name: trace
        for trace in traces
        if trace.signature.form is Form.BESIDE and not trace.folder
        for name in trace.names
        if not is_uploadable(name, weight_type)
    }
    taken = set() if isinstance(tensors, Unavailable) else {t.name for t in tensors}
    for reading in spare:
        copy = reading.file not in beside and _is_copy(reading, taken, index)
        if not copy:
            yield from _spare(reading, adapter=adapter)
    read = {reading.file for reading in spare}
    for name, trace in beside.items():
        if name in read:
            continue
        line = trace.command(location.directory)
        told = glued(trace.signature.what, ": ", _taken_by(adapter=adapter))
        yield Problem(name, told, details=(line,) if line else ())
    if adapter:
        rest = [n for n in files if n not in beside and _is_pickled_weights(files[n])]
        for name in rest:
            told = say(
                "{size:,} bytes, probably of trained weights: {not_taken}",
                size=files[name].size,
                not_taken=_taken_by(adapter=True),
            )
            yield Problem(name, told)


def _taken_by(*, adapter: bool) -> str:
    if adapter:
        return say("an adapter import does not take this file")
    return say("an import does not take this file")


def _is_copy(
    reading: Reading, taken: set[str], index: JsonObject | Unavailable
) -> bool:
    """Whether a file holds nothing but what goes up anyway, or what I06 tells of."""
    mapped = index.get("weight_map") if isinstance(index, Mapping) else None
    if isinstance(mapped, Mapping) and reading.file in mapped.values():
        return True
    names = {t.name for t in reading.tensors} if isinstance(reading, Container) else ()
    return bool(names) and set(names) <= taken


def _spare(reading: Reading, *, adapter: bool) -> Iterator[Problem]:
    """What stays behind in another safetensors file; other adapters are none."""
    if not isinstance(reading, Container) or not reading.tensors:
        return
    names = [tensor.name for tensor in reading.tensors]
    if all("lora_" in name for name in names):
        return
    held = say(
        "{count:,} tensors, {size:,} bytes",
        count=len(names),
        size=sum(t.size for t in reading.tensors),
    )
    towers = [name for name in names if is_visual(name)]
    told = say(
        "holds trained weights ({held}): {not_taken}",
        held=held,
        not_taken=_taken_by(adapter=adapter),
    )
    if adapter and towers:
        told = say(
            "{count:,} of its tensors belong to the vision tower, which has to be "
            "frozen (first {name}); {not_taken}",
            count=len(towers),
            name=towers[0],
            not_taken=_taken_by(adapter=True),
        )
        yield Problem(reading.file, told, Severity.ERROR)
    else:
        yield Problem(reading.file, told)


@rule(
    "D21",
    applies=FULL,
    severity=Severity.WARNING,
    fix=say(
        "Give --base-dir with the base model: then preflight tells "
        "whether anything was merged. To import the adapter itself run "
        "the command above."
    ),
)
def adapter_is_merged(
    location: Location,
    walk: Walk,
    files: Files,
    traces: tuple[Trace, ...],
    requested: Identity | Unavailable,
) -> Iterator[Problem]:
    """An adapter below full weights may be what was trained, and they the base's own.

    verl's merger, for one, writes the weights as they were before the training and
    puts the trained adapter into `lora_adapter/` below them.
    Causes: an exporter that splits a LoRA run, a copy of the base into the run's
    directory, checkpoints of a LoRA run below its merged result.
    Source: https://github.com/verl-project/verl/issues/7285
    """
    if not any(map(is_full_weights, files)):
        return
    found = [one for one in subdirectories(walk) if one.what == ADAPTER]
    if not found:
        return
    told = say_n(
        "an adapter below these full weights: are they merged with it?",
        "an adapter below these full weights (and {more:,} more): are they merged with "
        "it?",
        count=len(found),
        more=len(found) - 1,
    )
    by_verl = any(t.signature.id == "verl-adapter" and not t.folder for t in traces)
    if by_verl:
        told = say("{told} verl's merger does not do it", told=told)
    line = command(location.below(found[0].folder), requested)
    yield Problem(found[0].weights, told, details=(line,))
