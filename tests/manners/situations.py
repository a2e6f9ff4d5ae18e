"""Situations that every command line tool meets, and what is good manners in each.

A situation names what each tool is called with; `None`: the tool has nothing like it.
A fact is a property of what the tool did that is good to have, whoever has it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from preflight.text import columns

TOOLS = ("ruff", "twine", "hf")
OURS = "preflight"
_SGR = re.compile(r"\x1b\[[0-9;]*m")
_SEQUENCE = re.compile(r"\x1b[\[\]()][0-9;?]*[A-Za-z]?")
_HINT = re.compile(
    r"^\s*(try|tip|hint|help|note)\b|[Tt]ry '|[Dd]id you mean|--help", re.M
)


@dataclass(frozen=True, slots=True)
class Did:
    """What a tool did: its exit code (negative: ended by that signal) and its words."""

    code: int
    out: str
    err: str = ""

    @property
    def all(self) -> str:
        """Both streams."""
        return self.out + self.err


Fact = Callable[[Did], bool]


@dataclass(frozen=True, slots=True)
class Situation:
    """One situation; `way` says how the tool is run, see `ask.py`."""

    name: str
    words: Mapping[str, Sequence[str] | None]
    facts: Mapping[str, Fact]
    way: str = "pipe"
    values: Mapping[str, str] = field(default_factory=dict)


def _no_trace(did: Did) -> bool:
    bad = ("Traceback (most recent", "Exception ignored", "panicked at")
    return not any(word in did.all for word in bad)


def _says(*words: str) -> Fact:
    return lambda did: all(word in did.all for word in words)


def _is_json(did: Did) -> bool:
    try:
        json.loads(did.out)
    except ValueError:
        return False
    return True


def _fits(width: int) -> Fact:
    def fits(did: Did) -> bool:
        lines = _SEQUENCE.sub("", did.all).replace("\r", "").split("\n")
        return max(map(columns, lines)) <= width

    return fits


def _short(most: int) -> Fact:
    return lambda did: len(did.all.strip().splitlines()) <= most


def _code(*codes: int) -> Fact:
    return lambda did: did.code in codes


def _fails(did: Did) -> bool:
    return did.code != 0


def _same(*words: str) -> dict[str, Sequence[str] | None]:
    return dict.fromkeys((OURS, *TOOLS), words)


NO_TRACE = {"no traceback": _no_trace}
PLAIN: dict[str, Fact] = {"no sequences": lambda did: "\x1b" not in did.all, **NO_TRACE}

_CHECK: dict[str, Sequence[str] | None] = {
    OURS: ("check", "good"),
    "ruff": ("check", "good.py"),
    "twine": ("check", "good-1.0-py3-none-any.whl"),
    "hf": ("cache", "ls"),
}
_BAD: dict[str, Sequence[str] | None] = {
    OURS: ("check", "broken"),
    "ruff": ("check", "bad.py"),
    "twine": ("check", "bad-1.0-py3-none-any.whl"),
    "hf": ("upload", "a/b", "nowhere"),
}
_MISSING: dict[str, Sequence[str] | None] = {
    OURS: ("check", "nowhere"),
    "ruff": ("check", "nowhere"),
    "twine": ("check", "nowhere"),
    "hf": ("upload", "a/b", "nowhere"),
}
_HELP: dict[str, Sequence[str] | None] = {
    OURS: ("push", "--help"),
    "ruff": ("check", "--help"),
    "twine": ("upload", "--help"),
    "hf": ("upload", "--help"),
}
# Calls that wait for a server that never answers.
_WAITING: dict[str, Sequence[str] | None] = {
    OURS: ("jobs",),
    "ruff": ("check", "-"),
    "twine": ("upload", "--repository-url", "URL", "good-1.0-py3-none-any.whl"),
    "hf": ("download", "a/b"),
}

SITUATIONS = (
    Situation(
        "no arguments",
        _same(),
        {
            "is no success": _fails,
            "names the commands": lambda did: did.all.count("\n  ") > 2,
            **NO_TRACE,
        },
    ),
    Situation(
        "an unknown command",
        {
            OURS: ("chek",),
            "ruff": ("chek",),
            "twine": ("chek",),
            "hf": ("downlod",),
        },
        {
            "exit code 2": _code(2),
            "the one that was meant": lambda did: bool(
                re.search(
                    r"(did you mean|similar|closest).*(check|download)", did.all, re.I
                )
            ),
            "on standard error": lambda did: not did.out,
            "at most eight lines": _short(8),
            **NO_TRACE,
        },
    ),
    Situation(
        "an unknown flag",
        {
            OURS: ("check", "good", "--strickt"),
            "ruff": ("check", "--ouput-format", "json"),
            "twine": ("check", "x", "--strickt"),
            "hf": ("download", "a/b", "--revison", "x"),
        },
        {
            "exit code 2": _code(2),
            "the one that was meant": lambda did: bool(
                re.search(
                    r"(did you mean|similar).*(--strict\b|--output|--revision)",
                    did.all,
                    re.I,
                )
            ),
            "at most eight lines": _short(8),
            **NO_TRACE,
        },
    ),
    Situation(
        "an unknown value",
        {
            OURS: ("check", "good", "--format", "jsn"),
            "ruff": ("check", "--output-format", "jsn"),
            "twine": None,
            "hf": ("download", "a/b", "--repo-type", "modell"),
        },
        {
            "exit code 2": _code(2),
            "names what there is, or what was meant": lambda did: bool(
                re.search(r"\b(json|model)\b", did.all)
            ),
            "the one that was meant": lambda did: bool(
                re.search(r"(did you mean|similar).*(json|model)", did.all, re.I)
            ),
            **NO_TRACE,
        },
    ),
    Situation(
        "a file that is not there",
        _MISSING,
        {
            "is no success": _fails,
            "names it": _says("nowhere"),
            "says what to do": lambda did: bool(_HINT.search(did.all)),
            "nothing on standard output": lambda did: not did.out.strip(),
            **NO_TRACE,
        },
    ),
    Situation("a sound input", _CHECK, {"exit code 0": _code(0), **NO_TRACE}),
    Situation(
        "a bad input",
        _BAD,
        {
            "exit code 1, not that of a wrong command line": _code(1),
            "at most twenty-four lines": _short(24),
            **NO_TRACE,
        },
    ),
    Situation(
        "quiet",
        {
            OURS: ("check", "good", "-q"),
            "ruff": ("check", "-q", "good.py"),
            "twine": None,
            "hf": ("cache", "ls", "-q"),
        },
        {"exit code 0": _code(0), "at most one line": _short(1)},
    ),
    Situation(
        "a bad input in a terminal",
        _BAD,
        {"in colour": lambda did: bool(_SGR.search(did.all)), **NO_TRACE},
        way="terminal",
    ),
    Situation(
        "NO_COLOR in a terminal",
        _BAD,
        {"no colour": lambda did: not re.search(r"\x1b\[[0-9;]*3\dm", did.all)},
        way="terminal",
        values={"NO_COLOR": "1"},
    ),
    Situation("TERM=dumb", _BAD, PLAIN, way="terminal", values={"TERM": "dumb"}),
    Situation("a pipe", _BAD, PLAIN),
    Situation(
        "FORCE_COLOR in a pipe",
        _BAD,
        {"in colour": lambda did: bool(_SGR.search(did.all))},
        values={"FORCE_COLOR": "1"},
    ),
    Situation(
        "the C locale",
        _BAD,
        {"letters of ASCII alone": lambda did: did.all.isascii(), **NO_TRACE},
        values={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ),
    Situation("a pipe that nobody reads", _HELP, dict(NO_TRACE), way="closed"),
    Situation(
        "a full disk",
        _HELP,
        {"is no success": _fails, **NO_TRACE},
        way="full",
    ),
    Situation(
        "Ctrl-C",
        _WAITING,
        {
            "ends as one that was interrupted": _code(130, -2),
            "says so": lambda did: bool(
                re.search("interrupt|abort|cancel", did.all, re.I)
            ),
            **NO_TRACE,
        },
        way="interrupted",
    ),
    Situation(
        "a home that cannot be written",
        _CHECK,
        {"exit code 0": _code(0), **NO_TRACE},
        values={"HOME": "/dev/null/home", "HF_HOME": "/dev/null/home"},
    ),
    Situation(
        "--help in sixty columns",
        _HELP,
        {"exit code 0": _code(0), "fits": _fits(60)},
        way="narrow",
    ),
    Situation(
        "examples in --help",
        _HELP,
        {
            "examples": lambda did: bool(
                re.search("^ *examples?\\b", did.out, re.I | re.M)
            )
        },
    ),
    Situation(
        "exit codes in --help",
        _same("--help"),
        {
            "exit codes": lambda did: bool(
                re.search("exit (codes?|status)", did.out, re.I)
            )
        },
    ),
    Situation("-h", _same("-h"), {"exit code 0": _code(0)}),
    Situation("help as a word", _same("help"), {"exit code 0": _code(0)}),
    Situation(
        "help of a command by its name",
        {
            OURS: ("help", "check"),
            "ruff": ("help", "check"),
            "twine": ("help", "check"),
            "hf": ("help", "download"),
        },
        {"exit code 0": _code(0), "of that command": _says("--")},
    ),
    Situation(
        "--version",
        _same("--version"),
        {
            "exit code 0": _code(0),
            "on standard output": lambda did: bool(re.search(r"\d+\.\d+", did.out)),
            "one line": _short(1),
        },
    ),
    Situation(
        "a document of a success",
        {
            OURS: ("check", "good", "--format", "json"),
            "ruff": ("check", "--output-format", "json", "good.py"),
            "twine": None,
            "hf": ("cache", "ls", "--format", "json"),
        },
        {"JSON": _is_json},
    ),
    Situation(
        "a document of a failure",
        {
            OURS: ("check", "nowhere", "--format", "json"),
            "ruff": ("check", "--output-format", "json", "nowhere"),
            "twine": None,
            "hf": ("cache", "verify", "a/b", "--format", "json"),
        },
        {"JSON": _is_json, "is no success": _fails, **NO_TRACE},
    ),
    Situation(
        "completion for bash",
        {
            OURS: ("completion", "bash"),
            "ruff": ("generate-shell-completion", "bash"),
            "twine": None,
            "hf": ("--show-completion",),
        },
        {"a script": lambda did: did.code == 0 and "complete" in did.out},
        values={"SHELL": "/bin/bash"},
    ),
)

# Where ours lacks what another has, and why it stays so.
REASONS: dict[tuple[str, str], str] = {}
