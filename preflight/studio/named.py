"""Jobs as people name them: by the beginning of their ids."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from preflight.errors import UsageError
from preflight.language import say
from preflight.studio.imports import ImportApi, ImportJob
from preflight.studio.models import NotFound

_WHOLE = 36  # characters of a UUID
_BEGINNING = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]*")


def whole_id(api: ImportApi, text: str) -> str:
    """The id that begins with `text`; `text` itself where no listed one does.

    Raises `UsageError` where several do.
    """
    if len(text) >= _WHOLE or not _BEGINNING.fullmatch(text):
        return text
    found = [job.job_id for job in api.list_all() if job.job_id.startswith(text)]
    if text in found or not found:
        return text
    if len(found) > 1:
        shown = ", ".join(each[: len(text) + 4] for each in found[:4])
        raise UsageError(
            say(
                "{count} jobs begin with {text}: {shown}",
                count=len(found),
                text=text,
                shown=shown,
            ),
            hint=say("give more of the id; `preflight jobs -o wide` shows all of it"),
        )
    return found[0]


@contextmanager
def job_named(text: str) -> Iterator[None]:
    """A job that is not found in the block is told by the name that was typed."""
    try:
        yield
    except NotFound as error:
        raise NotFound(
            say("no job {text} in this workspace (NotFound)", text=text),
            hint=say("`preflight jobs` lists them"),
            request_id=error.request_id,
        ) from error


def get_job(api: ImportApi, text: str) -> ImportJob:
    """The job of an id or the beginning of one. Raises `NotFound` and `UsageError`."""
    with job_named(text):
        return api.get(whole_id(api, text))
