"""The safetensors library itself, which has the last word on a container."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from preflight.findings import Unavailable
from preflight.model.steady import open_regular
from preflight.text import shortened


def oracle_accepts(path: Path) -> bool | str:
    """True if the safetensors library opens the file, otherwise its message.

    Reads the header only. Needs numpy, which the library imports to open a file.
    """
    file = open_regular(path)
    if isinstance(file, Unavailable):
        return file.reason  # the library would wait for a FIFO's writer
    with closing(file):
        return library_accepts(file.path)


def library_accepts(path: Path) -> bool | str:
    """The same of a path that is known to lead to a regular file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return True
    except (SafetensorError, OSError, ValueError) as error:
        return shortened(str(error), 500)
