"""The user's directories, or the reason why there are none.

A container may run a user id that no passwd entry knows, HOME may be unset, empty or a
relative path, the root may be read-only and `/tmp` not there. Then nothing is read from
home and nothing is kept, and a run goes on; nothing ever lands in the current
directory instead. Only here it is decided where that is; whoever writes there still
has to expect that it cannot.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from platformdirs import PlatformDirs

from preflight.findings import Unavailable
from preflight.language import say

_NAME = "preflight"


def home_directory() -> Path | Unavailable:
    """`$HOME`, else what the passwd entry of this user says."""
    named = os.environ.get("HOME")
    if named is None:
        # Without a passwd entry it comes back as it is.
        found = os.path.expanduser("~")  # noqa: PTH111 - that of pathlib raises
        if os.path.isabs(found):  # noqa: PTH117
            return Path(found)
        return Unavailable(say("HOME is not set, and no passwd entry names this user"))
    return _absolute(named) or Unavailable(
        say("HOME is empty") if not named else say("HOME is not an absolute path")
    )


def state_directory() -> Path | Unavailable:
    """Where run records and locks are kept: `$XDG_STATE_HOME/preflight`."""
    return _directory("XDG_STATE_HOME", lambda found: found.user_state_dir)


def config_directory() -> Path | Unavailable:
    """Where the user's own base models lie: `$XDG_CONFIG_HOME/preflight`."""
    return _directory("XDG_CONFIG_HOME", lambda found: found.user_config_dir)


def cache_home() -> Path | Unavailable:
    """Where tools keep their caches, each in a folder of its own: `~/.cache`."""
    if named := _absolute(os.environ.get("XDG_CACHE_HOME", "")):
        return named
    return expanded("~/.cache")


def expanded(path: str) -> Path | Unavailable:
    """A path as a person writes it, `~` being the home directory."""
    if path != "~" and not path.startswith("~/"):
        return Path(path)
    home = home_directory()
    return home if isinstance(home, Unavailable) else home / path[2:]


def temporary_directory(prefix: str) -> Path | Unavailable:
    """A new directory of this user alone; never below the current directory."""
    for candidate in _temporary_places():
        try:
            return Path(tempfile.mkdtemp(prefix=prefix, dir=candidate))
        except OSError:  # noqa: PERF203 - three of them at most
            continue
    return Unavailable(
        say("no directory for temporary files can be written: set TMPDIR")
    )


def _temporary_places() -> Iterator[Path]:
    # `tempfile` itself would take the current directory last.
    named = (os.environ.get(name, "") for name in ("TMPDIR", "TEMP", "TMP"))
    for place in (*named, "/tmp", "/var/tmp", "/usr/tmp"):  # noqa: S108
        if found := _absolute(place):
            yield found


def _absolute(path: str) -> Path | None:
    return Path(path) if path.startswith("/") else None


def _directory(
    variable: str, kind: Callable[[PlatformDirs], str]
) -> Path | Unavailable:
    # By the XDG specification a relative path is as good as none.
    if not _absolute(os.environ.get(variable, "")):
        home = home_directory()
        if isinstance(home, Unavailable):
            return home
    found = _absolute(kind(PlatformDirs(_NAME, appauthor=False)))
    return found or Unavailable(
        say("{variable} is not an absolute path", variable=variable)
    )
