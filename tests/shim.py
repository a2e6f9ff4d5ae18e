"""The library of `shim.c`, compiled once; a test is skipped where that cannot be."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("shim.c")


def built(directory: Path) -> Path:
    """The library, in `directory`."""
    compiler = shutil.which("cc")
    if sys.platform != "linux" or compiler is None:
        pytest.skip("needs Linux and a C compiler")
    library = directory / "shim.so"
    flags = ["-shared", "-fPIC", "-O1", "-Wall", "-ldl"]
    words = [compiler, "-o", str(library), str(SOURCE), *flags]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the C compiler makes nothing of it: {done.stderr}")
    return library
