"""What `doctor` found, as values: the message of a problem names its cause."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from preflight.catalog.explanations import Explanation, Service, explain
from preflight.errors import PreflightError, UsageError
from preflight.language import glued, say


class Level(str, Enum):
    """How bad it is; `SKIPPED` was not asked, and the message says why."""

    FAIL = "fail"
    WARN = "warn"
    NOTE = "note"
    SKIPPED = "skip"
    OK = "ok"

    @property
    def word(self) -> str:
        """It for people."""
        return _WORDS[self]


_WORDS = {
    Level.FAIL: say("fail"),
    Level.WARN: say("warn"),
    Level.NOTE: say("note"),
    Level.SKIPPED: say("skip"),
    Level.OK: say("ok"),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `exit_code` is that of a run that meets it."""

    level: Level
    message: str
    hint: str = ""
    request_id: str = ""
    exit_code: int = 0


def fail(message: str, hint: str = "") -> Finding:
    """A setting that must be mended."""
    return Finding(Level.FAIL, message, hint, exit_code=UsageError.exit_code)


def warn(message: str, hint: str = "") -> Finding:
    """Something that may be meant so."""
    return Finding(Level.WARN, message, hint)


def note(message: str) -> Finding:
    """Something to know, neither right nor wrong."""
    return Finding(Level.NOTE, message)


def ok(message: str) -> Finding:
    """Something that is as it should be."""
    return Finding(Level.OK, message)


def skipped(message: str) -> Finding:
    """Something that could not be looked at, with the reason."""
    return Finding(Level.SKIPPED, message)


def of_error(error: PreflightError, service: Service) -> Finding:
    """A call that failed: the explanation of it first, then what was said."""
    found, message = _explained(error.message, service), error.message
    if found is not None and found.cause not in message:
        message = glued(found.cause, ": ", message)
    hint = error.hint or (found.remedy if found else "")
    return Finding(Level.FAIL, message, hint, error.request_id, error.exit_code)


def _explained(message: str, service: Service) -> Explanation | None:
    """By the EC, by a sentence that is known, else by the first word that is a code."""
    ec = re.search(r"\(EC ([\d-]+)\)", message)
    words = re.findall(r"[A-Za-z0-9][\w.]+\w", message)
    whole = explain(service, said=message, ec=ec[1] if ec else "")
    return whole or next(filter(None, (explain(service, code=w) for w in words)), None)
