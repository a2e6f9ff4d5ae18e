"""The words of a push, told apart: directories, and at their end the destination."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from preflight.commands._many import directory_at
from preflight.errors import UsageError
from preflight.language import say
from preflight.pipeline.places import ModelPlace, is_remote, read_place
from preflight.sources.hub import HUBS


def places_and_destination(
    arguments: Namespace,
) -> tuple[tuple[ModelPlace, ...], str | None]:
    """What to push, each directory once, and where to; None where that was left out.

    argparse cannot know which word is the last directory. Raises `UsageError` for a
    destination that does not come last.
    """
    more = [arguments.destination, *arguments.more]
    words = [*arguments.model_dir, *(read_place(word) for word in more if word)]
    last = words[-1]
    if len(words) > 1 and not _is_bucket(last) and any(map(_is_bucket, words)):
        raise UsageError(
            say("the destination comes last, not {word}", word=str(last)),
            hint="preflight push MODEL_DIR... oss://bucket/prefix/",
        )
    destination = None
    if len(words) > 1 and not _is_model(last):
        destination = str(words.pop())
    return _once(words), destination


def _is_bucket(place: ModelPlace) -> bool:
    return str(place).startswith("oss://")


def _is_model(place: ModelPlace) -> bool:
    """Whether it is a directory that is there, or a model of a hub."""
    if is_remote(place):
        return str(place).partition("://")[0] in HUBS
    return directory_at(Path(place))


def _once(places: Sequence[ModelPlace]) -> tuple[ModelPlace, ...]:
    """Patterns of a shell overlap, and `runs/latest` may be a link to another one."""
    found: dict[ModelPlace, ModelPlace] = {}
    for place in places:
        found.setdefault(place if is_remote(place) else Path(place).resolve(), place)
    return tuple(found.values())
