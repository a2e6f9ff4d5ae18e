"""S: the safetensors containers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace

from preflight.findings import CannotTell, Problem, Severity
from preflight.language import say
from preflight.model.headers import (
    Broken,
    Cause,
    Container,
    Reading,
    Tensor,
    Unread,
)
from preflight.rules._rule import Answer, rule
from preflight.text import shortened

_SIZE = frozenset({Cause.TRUNCATED, Cause.TRAILING})
_LAYOUT = frozenset(
    {
        Cause.BAD_OFFSETS,
        Cause.SPAN_MISMATCH,
        Cause.OVERFLOW,
        Cause.MISALIGNED,
        Cause.DUPLICATE_NAME,
        Cause.BAD_SHAPE,
        Cause.UNKNOWN_DTYPE,
    }
)
_CONVOLUTION = (4, 5)  # dimensions of a kernel over images and over videos
_LINEAR = say("Leave convolutions out of target_modules, and train again.")
_HALF = re.compile(r"\.lora_[AB]\.")
_TORCH = say(
    "Load it with torch and save it as safetensors; save_pretrained does so by itself."
)
_AGAIN = say("Save or copy it again, and see that the disk has room for all of it.")
_REMEDIES = {
    Cause.LFS_POINTER: say(
        "Fetch the content: `git lfs pull`, or download the file anew."
    ),
    Cause.HTML: say("Download it again, logged in: a page was saved in its place."),
    Cause.GGUF: say("Import the safetensors that the GGUF file was made from."),
    Cause.ARCHIVE: _TORCH,
    Cause.PICKLE: _TORCH,
    Cause.UNREADABLE: say("Put a regular file in its place that this user may read."),
    Cause.TOO_SMALL: _AGAIN,
    Cause.ALL_ZERO: _AGAIN,
    Cause.BEYOND_FILE: _AGAIN,
    Cause.CHANGED: say("Wait until whatever writes it has ended, then check again."),
}
Containers = tuple[Reading, ...]


def _broken(containers: Containers, causes: frozenset[Cause]) -> Iterator[Problem]:
    for found in containers:
        if isinstance(found, Broken) and found.cause in causes:
            yield Problem(found.file, found.message, fix=_REMEDIES.get(found.cause, ""))


@rule(
    "S01",
    fix=say("Save the file again with the safetensors library, and copy all of it."),
)
def safetensors_header_readable(containers: Containers) -> Iterator[Problem]:
    """A file whose header cannot be parsed is no model, whatever its name says.

    A sound header that takes longer than ten seconds is left, with a warning: of this
    file nothing was judged.
    Causes: a git-lfs pointer, an HTML error page saved under the model's name, a
    renamed pickle or zip, a preallocated file that was never filled.
    Source: format description, https://huggingface.co/docs/safetensors
    """
    yield from _broken(containers, frozenset(Cause) - _SIZE - _LAYOUT)
    for found in containers:
        if isinstance(found, Unread):
            told = say("was not judged: {reason}", reason=found.reason)
            yield Problem(found.file, told, Severity.WARNING)


@rule("S02", fix=say("Save again and check the free disk space; then copy all of it."))
def safetensors_complete(containers: Containers) -> Iterator[Problem]:
    """The header says how long the file is; a different length means lost bytes.

    Causes: the disk or quota was full, the job was killed while it saved, a copy was
    interrupted, or two writers met.
    Source: format description, https://huggingface.co/docs/safetensors
    """
    yield from _broken(containers, _SIZE)


@rule("S03", fix=say("Save the file again with the safetensors library."))
def safetensors_layout_sound(containers: Containers) -> Iterator[Problem]:
    """Tensors must cover the data without hole or overlap, each as long as its shape.

    Causes: a hand-written converter or merger, or a damaged file.
    Source: format description, https://huggingface.co/docs/safetensors
    """
    yield from _broken(containers, _LAYOUT)


@rule("S04", fix=say("Save the file again with the safetensors library."))
def safetensors_library_agrees(
    containers: Containers, refused: Mapping[str, str]
) -> Iterator[Answer]:
    """The library that serving engines load with must accept the file, too.

    Causes: none is known where S01 to S03 pass; this is the second opinion.
    Source: `safetensors.safe_open`, https://huggingface.co/docs/safetensors
    """
    for found in containers:
        if isinstance(found, Broken):
            yield CannotTell(say("a container is broken already by the rules before"))
            continue
        if found.file in refused:
            yield Problem(found.file, refused[found.file])


@rule(
    "S05",
    fix=say(
        "Gather the weights before saving (ZeRO-3: "
        "stage3_gather_16bit_weights_on_model_save), then save again."
    ),
)
def safetensors_has_tensors(containers: Containers) -> Iterator[Problem]:
    """A container without tensors loads without an error and changes nothing.

    Causes: DeepSpeed ZeRO-3 or FSDP saved on a rank that held no weights; the file is
    then 40 bytes long.
    Source: https://github.com/huggingface/trl/issues/4416
    """
    for found in containers:
        if isinstance(found, Container) and not found.tensors:
            told = say("holds no tensor at all ({size:,} bytes)", size=found.size)
            yield Problem(found.file, told)


@rule("S06", fix=say("Gather the weights before saving, then save again."))
def no_ungathered_tensor(containers: Containers) -> Iterator[Problem]:
    """A tensor with a zero dimension is one rank's shard, not the gathered weight.

    So is a LoRA half of one dimension. One of four or five dimensions belongs to a
    convolution, as the vision tower's patch_embed is, and only linear layers are
    served.
    Causes: DeepSpeed ZeRO-3 or FSDP partitions saved in place of the gathered weights;
    `all-linear` or a pattern that takes in the vision tower.
    Source: https://github.com/huggingface/peft/issues/2892; PEFT 0.21 warns of it
    while it saves.
    """
    for found in containers:
        if isinstance(found, Container):
            empty = [t for t in found.tensors if 0 in t.shape]
            halves = [t for t in found.tensors if _is_no_matrix(t)]
            flat = [t for t in halves if len(t.shape) not in _CONVOLUTION]
            kernels = [t for t in halves if len(t.shape) in _CONVOLUTION]
            yield from _shaped(found, empty, say("holds no value"))
            yield from _shaped(found, flat, say("has not 2 dimensions"))
            for problem in _shaped(
                found, kernels, say("is a convolution's, no matrix")
            ):
                yield replace(problem, fix=_LINEAR)


def _is_no_matrix(tensor: Tensor) -> bool:
    return (
        len(tensor.shape) != 2
        and 0 not in tensor.shape
        and tensor.name.endswith(".weight")
        and bool(_HALF.search(tensor.name))
    )


def _shaped(container: Container, found: list[Tensor], what: str) -> Iterator[Problem]:
    if found:
        where = f"{container.file}: {found[0].name}"
        told = say(
            "shape {shape} {what}; so {count:,} of {total:,} tensors",
            shape=shortened(str(list(found[0].shape)), 60),
            what=what,
            count=len(found),
            total=len(container.tensors),
        )
        yield Problem(where, told)
