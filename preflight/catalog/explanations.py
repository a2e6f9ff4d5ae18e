"""What an error code of the services means and what to do: `explanations.json`."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path

from preflight.language import known

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
    """One cause with its remedy.

    `ecs`, `sentences` or `codes` are what the service says; OSS's EC is the finest.
    """

    service: Service
    codes: tuple[str, ...]
    sentences: tuple[str, ...]
    cause: str
    remedy: str
    source: str
    ecs: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def load_explanations() -> tuple[Explanation, ...]:
    """All explanations, in the order of the file."""
    rows = json.loads(_DATA.read_text("utf-8"))["explanations"]
    return tuple(
        Explanation(
            Service(row["service"]),
            tuple(row["codes"]),
            tuple(row["sentences"]),
            known(row["cause"]),
            known(row["remedy"]),
            row["source"],
            tuple(row.get("ecs", ())),
        )
        for row in rows
    )


def _by_code(rows: tuple[Explanation, ...], code: str) -> Explanation | None:
    """The row of a code, or of its parent: `Throttling.New` is a `Throttling`."""
    while code:
        for row in rows:
            if code in (each.casefold() for each in row.codes):
                return row
        code = code.rpartition(".")[0]
    return None


def _by_sentence(rows: tuple[Explanation, ...], text: str) -> Explanation | None:
    said = (row for row in rows if any(s.casefold() in text for s in row.sentences))
    return next(said, None)


def _by_ec(rows: tuple[Explanation, ...], ec: str) -> Explanation | None:
    return next((row for row in rows if ec and ec in row.ecs), None)


def explain(
    service: Service, *, code: str = "", said: str = "", ec: str = ""
) -> Explanation | None:
    """What a refusal means: by its EC, then its sentence, then its code; or None.

    One code, AccessDenied, has a dozen causes; the EC and the sentence tell which. Case
    does not matter; an unknown sub-code is explained as its parent code.
    """
    said, code = (" ".join(text.split()).casefold() for text in (said, code))
    for asked in (service, *_ALSO.get(service, ())):
        rows = tuple(row for row in load_explanations() if row.service is asked)
        found = (
            _by_ec(rows, ec.strip()) or _by_sentence(rows, said) or _by_code(rows, code)
        )
        if found:
            return found
    return None


def explain_code(service: Service, text: str) -> Explanation | None:
    """The same for a code, a sentence or "CODE: sentence", not taken apart."""
    first_word = text.split(maxsplit=1)[0].rstrip(":,;.") if text.split() else ""
    whole = explain(service, code=text) if " " not in text.strip() else None
    return whole or explain(service, code=first_word, said=text)
