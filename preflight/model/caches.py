"""Copies of a base model that other tools left on this machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from preflight.directories import cache_home, expanded
from preflight.findings import Unavailable
from preflight.language import say
from preflight.regular import read_regular


@dataclass(frozen=True, slots=True)
class CachedCopy:
    """A directory with a `config.json`, and in words whose cache it lies in."""

    directory: Path
    origin: str


def cached_copies(hub_id: str) -> Iterator[CachedCopy]:
    """What lies in the caches of Hugging Face and ModelScope, the likeliest first."""
    cache = hub_cache()
    found = () if isinstance(cache, Unavailable) else _snapshots(cache, hub_id)
    for directory in found:
        if is_there(directory / "config.json"):
            yield CachedCopy(directory, say("the Hugging Face cache"))
    for directory in modelscope_copies(hub_id):
        if is_there(directory / "config.json"):
            yield CachedCopy(directory, say("the ModelScope cache"))


def is_there(path: Path) -> bool:
    """Whether it is a file that this user may see; what may not be seen is not there.

    `Path.is_file` raises where a folder above is another user's, as the home is in a
    container that runs with a user id of its own.
    """
    try:
        return path.is_file()
    except OSError:
        return False


def hub_cache() -> Path | Unavailable:
    """Where huggingface_hub keeps its copies.

    https://huggingface.co/docs/huggingface_hub/package_reference/environment_variables
    """
    for variable in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"):
        if named := os.environ.get(variable):
            return expanded(named)
    named = os.environ.get("HF_HOME")
    home = expanded(named) if named else _below(cache_home(), "huggingface")
    return _below(home, "hub")


def _below(place: Path | Unavailable, name: str) -> Path | Unavailable:
    return place if isinstance(place, Unavailable) else place / name


def _snapshots(cache: Path, hub_id: str) -> Iterator[Path]:
    """The snapshot of `main` first, then the others, the newest first."""
    folder = cache / f"models--{hub_id.replace('/', '--')}"
    snapshots = folder / "snapshots"
    try:
        main = read_regular(folder / "refs" / "main").decode("ascii").strip()
    except (OSError, ValueError):
        main = ""
    try:
        found = {entry.name: entry.stat().st_mtime for entry in os.scandir(snapshots)}
    except OSError:
        return
    for name in sorted(found, key=lambda one: (one != main, -found[one])):
        yield snapshots / name


def modelscope_copies(hub_id: str) -> Iterator[Path]:
    """ModelScope writes `___` for a dot, and has moved its models below `models/`."""
    organisation, _, name = hub_id.partition("/")
    # Without the variable the root has a folder `hub` (modelscope, file_utils.py).
    root = expanded(os.environ.get("MODELSCOPE_CACHE") or "~/.cache/modelscope")
    if isinstance(root, Unavailable):
        return
    for below in ("hub/models", "models", "hub", ""):
        for leaf in (name.replace(".", "___"), name):
            yield root / below / organisation / leaf
