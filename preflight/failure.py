"""Any exception as a sentence; one that nobody foresaw leaves a log ready to paste."""

from __future__ import annotations

import os
import platform
import shlex
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from preflight import __version__
from preflight.directories import (
    home_directory,
    state_directory,
    temporary_directory,
)
from preflight.errors import Interrupted, PreflightError, Terminated, UsageError
from preflight.findings import Unavailable
from preflight.language import glued, known, say
from preflight.settings import load_settings, masked
from preflight.system_errors import reason_of
from preflight.terminal import Terminal

_PACKAGES = (
    "oss2", "requests", "urllib3", "fastcrc", "numpy", "safetensors",
    "huggingface_hub",
)  # fmt: skip


class Termination(KeyboardInterrupt):
    """SIGTERM or SIGHUP; like Ctrl-C, no `except Exception` may swallow it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How a run ended early: the error to tell, and the trace behind it."""

    error: PreflightError
    trace: str

    def tell(self, terminal: Terminal, *, verbose: bool = False) -> None:
        """On standard error; with `verbose` the trace comes first."""
        if verbose:
            for line in self.trace.splitlines():
                terminal.complain(line)
        terminal.tell(self.error)


def told_as_error(
    exc: BaseException, words: Sequence[str], *, stage: str = ""
) -> Failure:
    """Any exception as one that can be told in a sentence, its trace masked.

    `words` are those of the command line, `stage` says what was going on.
    """
    trace = _masked("".join(traceback.format_exception(exc)))
    command = shlex.join(["preflight", *words])
    return Failure(_as_error(exc, command, stage, trace), trace)


def _during(told: str, stage: str) -> str:
    return (
        say("{told} during {stage}", told=told, stage=known(stage)) if stage else told
    )


def _as_error(
    exc: BaseException, command: str, stage: str, trace: str
) -> PreflightError:
    if isinstance(exc, KeyboardInterrupt):
        again = say("the same command goes on: {command}", command=command)
        if isinstance(exc, Termination):
            return Terminated(_during(say("terminated"), stage), hint=again)
        return Interrupted(_during(say("interrupted"), stage), hint=again)
    if isinstance(exc, PreflightError):
        return exc
    if isinstance(exc, MemoryError):
        return PreflightError(_during(say("out of memory"), stage))
    if isinstance(exc, OSError) and exc.filename is not None:
        why = reason_of(exc)
        return UsageError(glued(f"{exc.filename}: ", why))
    told = _masked(f"{type(exc).__name__}: {exc}")
    return PreflightError(
        glued(_during(say("preflight itself failed"), stage), ": ", told),
        hint=_logged(command, trace),
    )


def _logged(command: str, trace: str) -> str:
    """Write what a report of it needs; how to go on."""
    from preflight.record import write_whole  # it knows all stages of a run

    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    text = "\n".join([*_facts(command), "", trace])
    for place in _places():
        path = place / f"preflight-{stamp}.log"
        try:
            place.mkdir(parents=True, exist_ok=True)
            write_whole(path, text, mode=0o600)
        except OSError:
            continue
        return say("report it with {path}, which holds no secrets", path=path)
    return say("run it again with -vv for the details, and report them")


def _places() -> Iterator[Path]:
    state = state_directory()
    if not isinstance(state, Unavailable):
        yield state / "logs"
    temporary = temporary_directory("preflight-")
    if not isinstance(temporary, Unavailable):
        yield temporary


def _facts(command: str) -> Iterator[str]:
    yield f"preflight {__version__}, Python {platform.python_version()}"
    yield f"{platform.platform()}, {os.cpu_count()} processors"
    yield from map(_version, _PACKAGES)
    yield _masked(f"command: {command}")


def _version(name: str) -> str:
    from importlib import metadata  # slow, and all but a failure does without

    try:
        return f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return f"{name} is not installed"


def _masked(text: str) -> str:
    """A server's words may echo a key, and a command line may hold one by mistake."""
    load_settings(dict(os.environ), home=home_directory())  # what is set is hidden
    return masked(text)
