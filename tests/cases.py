"""Many cases of one convention in one test: what fails says which case it was."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest


@contextlib.contextmanager
def case(*name: object) -> Iterator[None]:
    """One case of a list; whatever fails within is told with its name."""
    try:
        yield
    except (Exception, pytest.fail.Exception) as error:
        told = ", ".join(str(word) for word in name)
        raise AssertionError(f"{told}: {error}") from error
