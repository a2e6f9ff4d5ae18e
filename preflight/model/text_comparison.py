"""Whether full weights differ from the base's at all, and a tied head from its twin.

Samples tell: a training or a merge changes all values of a matrix that it changes.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.headers import Reading
from preflight.model.reference import Reference
from preflight.model.tensor_bytes import (
    CannotCompare,
    Opener,
    OpenTensors,
    Place,
    comparable,
    files_of,
    places,
    samples_of,
)
from preflight.model.vision_tower import is_visual

HEAD, _EMBEDDING = "lm_head.weight", "embed_tokens.weight"
_SAMPLES, _BYTES = 4, 16 << 10  # of each tensor; a model of 700 is told in a second
_HEAD_SAMPLES = 256  # of one tensor of which single rows may have been trained


@dataclass(frozen=True, slots=True)
class TextComparison:
    """How many text tensors were compared with the base's, and how many differ."""

    compared: int
    different: int


def compare_text(
    opener: Opener,
    containers: tuple[Reading, ...] | Unavailable,
    reference: Reference | Unavailable,
) -> TextComparison | Unavailable:
    """Compare samples of all text tensors that both sides have in one precision."""
    if isinstance(containers, Unavailable):
        return containers
    if isinstance(reference, Unavailable):
        return reference
    if isinstance(reference.containers, Unavailable):
        return reference.containers
    mine = places(opener, containers)
    wanted = places(files_of(reference.directory), reference.containers)
    pairs = [
        (mine[name], place)
        for name, place in wanted.items()
        if name in mine and not is_visual(name)
        if comparable(mine[name].tensor, place.tensor)
    ]
    if not pairs:
        return Unavailable(
            say("no tensor of the base lies here in the base's precision")
        )
    try:
        with ExitStack() as stack:
            tensors = OpenTensors(stack)
            different = sum(not _alike(tensors, *pair) for pair in pairs)
    except CannotCompare as stop:
        return Unavailable(str(stop))
    return TextComparison(len(pairs), different)


def _alike(tensors: OpenTensors, mine: Place, wanted: Place) -> bool:
    samples = samples_of(wanted.tensor, count=_SAMPLES, size=_BYTES)
    return tensors.same(mine, wanted, samples)


def head_is_the_embedding(
    opener: Opener, containers: tuple[Reading, ...] | Unavailable
) -> bool | Unavailable:
    """Whether a saved output layer has the embedding's values, judged by samples."""
    if isinstance(containers, Unavailable):
        return containers
    found = places(opener, containers)
    head = found.get(HEAD)
    twin = next((p for name, p in found.items() if name.endswith(_EMBEDDING)), None)
    if head is None or twin is None:
        return Unavailable(say("output layer and embedding are not both there"))
    if not comparable(head.tensor, twin.tensor):
        return False
    try:
        with ExitStack() as stack:
            samples = samples_of(head.tensor, count=_HEAD_SAMPLES, size=_BYTES)
            return OpenTensors(stack).same(head, twin, samples)
    except CannotCompare as stop:
        return Unavailable(str(stop))
