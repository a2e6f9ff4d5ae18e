"""What each client's script shares: its steps, and one line of JSON about them.

Runs in the client's own environment, so it knows the standard library alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path

BUCKET = os.environ["CLIENT_BUCKET"]
KEY_ID = os.environ["OSS_ACCESS_KEY_ID"]
SECRET = os.environ["OSS_ACCESS_KEY_SECRET"]
REGION = os.environ["OSS_REGION"]
ENDPOINT = os.environ["OSS_ENDPOINT"]
PREFIX = os.environ["CLIENT_PREFIX"]  # ends in a slash
KEY, COPY = f"{PREFIX}one.bin", f"{PREFIX}two.bin"
SOURCE = Path(os.environ["CLIENT_FILE"])
DATA = SOURCE.read_bytes()


def report(package: str, steps: Mapping[str, Callable[[], None]]) -> None:
    """Take the steps in order, and print what became of each."""
    found = {}
    for name, step in steps.items():
        found[name] = _outcome(step)
    told = {"version": version(package), "steps": found}
    sys.stdout.write(json.dumps(told) + "\n")


def _outcome(step: Callable[[], None]) -> str:
    try:
        step()
    except Exception as exc:  # noqa: BLE001 - that is what is reported
        text = " ".join(str(exc).split())[:300]
        return f"{type(exc).__name__}: {text}"
    return "works"


def must(good: object, what: str) -> None:
    """Fail the step unless it holds."""
    if not good:
        raise AssertionError(what)
