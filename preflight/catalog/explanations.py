"""What an error code of the services means and what to do: `explanations.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

_DATA = Path(__file__).with_name("explanations.json")


class Service(str, Enum):
    """Who said the code: the API, OSS, or a failed job in its `error_code`."""

    STUDIO = "studio"
    OSS = "oss"
    JOB = "job"


# A failed job may carry a code of the platform or, said by proxy, one of OSS.
_ALSO = {Service.JOB: (Service.STUDIO, Service.OSS)}


@dataclass(frozen=True, slots=True)
class Explanation:
    """One cause with its remedy; `codes` or `sentences` are what the service says."""

    service: Service
    codes: tuple[str, ...]
    sentences: tuple[str, ...]
    cause: str
    remedy: str
    source: str


@lru_cache(maxsize=1)
def load_explanations() -> tuple[Explanation, ...]:
    """All explanations, in the order of the file."""
    rows = json.loads(_DATA.read_text("utf-8"))["explanations"]
    return tuple(
        Explanation(
            Service(row["service"]),
            tuple(row["codes"]),
            tuple(row["sentences"]),
            row["cause"],
            row["remedy"],
            row["source"],
        )
        for row in rows
    )


def _by_code(rows: tuple[Explanation, ...], code: str) -> Explanation | None:
    """The row of a code, or of its parent: `Throttling.New` is a `Throttling`."""
    while code:
        for row in rows:
            if code in (known.casefold() for known in row.codes):
                return row
        code = code.rpartition(".")[0]
    return None


def _by_sentence(rows: tuple[Explanation, ...], text: str) -> Explanation | None:
    said = (row for row in rows if any(s.casefold() in text for s in row.sentences))
    return next(said, None)


def _explain(service: Service, text: str) -> Explanation | None:
    rows = tuple(row for row in load_explanations() if row.service is service)
    first_word = text.split(maxsplit=1)[0].rstrip(":,;.") if text else ""
    # A sentence says more than the code before it ("AccessDenied: … endpoint …").
    return (
        _by_code(rows, text)
        or _by_sentence(rows, text)
        or (_by_code(rows, first_word) if first_word != text else None)
    )


def explain_code(service: Service, code_or_sentence: str) -> Explanation | None:
    """The explanation of a code, a sentence, or "CODE: sentence"; None if unknown.

    Case does not matter; an unknown sub-code is explained as its parent code.
    """
    text = " ".join(code_or_sentence.split()).casefold()
    for asked in (service, *_ALSO.get(service, ())):
        if found := _explain(asked, text):
            return found
    return None
