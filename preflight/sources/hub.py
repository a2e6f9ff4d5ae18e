"""Models of a hub as directories: `hf://org/repo[@revision]` and `ms://org/repo`.

Hugging Face's own library fetches them, into its cache and with its progress, its
resume and its keys; of a repository that is there already nothing is fetched again.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from preflight.catalog.uploadable import UPLOADABLE
from preflight.errors import (
    AccessDenied,
    ConfigurationError,
    PreflightError,
    TransferError,
    UsageError,
)
from preflight.findings import Unavailable
from preflight.language import say
from preflight.model.caches import hub_cache, modelscope_copies
from preflight.text import shortened

HUBS = ("hf", "ms")
_PLACE = re.compile(
    r"(?P<scheme>hf|ms)://(?P<id>[\w.-]+/[\w.-]+?)/?(?:@(?P<revision>[\w./-]+))?"
)
# What a trainer's repository holds besides; an adapter's config names its base.
_MORE = ("args.json", "added_tokens.json")


@dataclass(frozen=True, slots=True)
class HubModel:
    """A repository of a hub; without a `revision` its main branch."""

    scheme: str
    hub_id: str
    revision: str | None = None

    @property
    def name(self) -> str:
        """What the model is called there."""
        return self.hub_id.partition("/")[2]


def parse_hub(place: str) -> HubModel:
    """`hf://org/repo@revision`; raises `UsageError` for anything else."""
    found = _PLACE.fullmatch(place)
    if found is None:
        raise UsageError(
            say("not a model's place: {place!r}", place=place),
            hint=say("write hf://org/repo, hf://org/repo@revision or ms://org/repo"),
        )
    return HubModel(found["scheme"], found["id"], found["revision"])


def patterns() -> list[str]:
    """Globs of the files that an import can use; optimizer states are none of them."""
    known = {each.pattern for kind in UPLOADABLE.values() for each in kind}
    return sorted({pattern.replace("#", "*") for pattern in known} | set(_MORE))


def fetched_model(model: HubModel) -> Path:
    """The directory that holds the repository's files, fetched where it is missing.

    Raises `UsageError` for a repository that is not there, `AccessDenied` for a gated
    one, `TransferError` where the hub is not reached, `ConfigurationError`.
    """
    return _modelscope(model) if model.scheme == "ms" else _hugging_face(model)


def _hugging_face(model: HubModel) -> Path:
    from huggingface_hub import snapshot_download

    cache = hub_cache()
    if isinstance(cache, Unavailable):
        raise ConfigurationError(
            cache.reason, hint=say("set HF_HOME to a place for copies from the hub")
        )
    try:
        path = snapshot_download(
            model.hub_id,
            revision=model.revision,
            cache_dir=cache,
            allow_patterns=patterns(),
            endpoint=os.environ.get("HF_ENDPOINT") or None,
        )
    # Its errors derive from those of requests or of httpx, as its version has it.
    except Exception as error:
        raise _told(model, error) from error
    return Path(path)


def _told(model: HubModel, error: Exception) -> PreflightError:
    from huggingface_hub import errors as hub

    name, revision = model.hub_id, model.revision or "main"
    if isinstance(error, hub.GatedRepoError):
        return AccessDenied(
            say("{name} is gated: its makers give access one by one", name=name),
            hint=say("ask for it on its page, then set HF_TOKEN (or hf auth login)"),
        )
    if isinstance(error, hub.RevisionNotFoundError):
        return UsageError(
            say("{name} has no revision {revision}", name=name, revision=revision)
        )
    if isinstance(error, hub.RepositoryNotFoundError):
        return UsageError(
            say("there is no model {name} on the hub, or it is private", name=name),
            hint=say("of a private one HF_TOKEN has to be set (or hf auth login)"),
        )
    first = str(error).strip().split("\n", 1)[0]
    why = shortened(first or type(error).__name__, 200)
    return TransferError(
        say("{name} could not be fetched from the hub: {why}", name=name, why=why),
        hint=say(
            "run it again: it goes on where it stopped; HF_ENDPOINT names a mirror"
        ),
    )


def _modelscope(model: HubModel) -> Path:
    for directory in modelscope_copies(model.hub_id):
        if directory.is_dir():
            return directory
    try:
        fetch = _modelscope_library()
    except ImportError as error:
        raise ConfigurationError(
            say("{name} is not in the cache of ModelScope", name=model.hub_id),
            hint=say("pip install modelscope, and run the same command again"),
        ) from error
    try:
        return Path(fetch(model))
    except Exception as error:
        first = shortened(str(error).strip().split("\n", 1)[0], 200)
        told = say(
            "{name} could not be fetched from ModelScope: {why}",
            name=model.hub_id,
            why=first,
        )
        raise TransferError(told) from error


def _modelscope_library() -> Callable[[HubModel], str]:
    from importlib import import_module

    library = import_module("modelscope")

    def fetch(model: HubModel) -> str:
        return str(
            library.snapshot_download(
                model.hub_id, revision=model.revision, allow_patterns=patterns()
            )
        )

    return fetch
