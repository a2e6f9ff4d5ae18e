"""What the parts of the judge share: questions, answers and stable words."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

LOADS, DEAD, REFUSES = "loads", "loads but dead", "refuses"
Answer = tuple[str, str]
_LONGEST = 160  # characters of what a loader says
_LARGE = 1 << 27  # bytes of weights; larger models are compared without values
IDS = [list(range(96))]  # every token of the invented vocabulary, in one text


@dataclass(frozen=True, slots=True)
class Question:
    """One directory, what it is said to be, and a full model that is its base."""

    fixture: str
    directory: str
    kind: str
    base: str

    @property
    def is_large(self) -> bool:
        """Whether the base is too large to be held with its values."""
        return weights_size(self.base) > _LARGE

    @property
    def is_vision(self) -> bool:
        """Whether the base is a vision model."""
        return "vision_config" in base_config(self.base)


def weights_size(directory: str) -> int:
    """Bytes of the safetensors files of a directory."""
    return sum(path.stat().st_size for path in Path(directory).glob("*.safetensors"))


@lru_cache(maxsize=64)
def base_config(directory: str) -> dict[str, Any]:
    """The config.json of a good model."""
    found: dict[str, Any] = json.loads(Path(directory, "config.json").read_text())
    return found


def guarded(load: Callable[[], Answer], question: Question) -> Answer:
    """What `load` finds; an error of a loader is its refusal."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return load()
    # Rust panics are no Exception; whatever a loader raises is what it says.
    except BaseException as error:  # noqa: BLE001
        return REFUSES, stable(f"{type(error).__name__}: {error}", question)


def stable(text: str, question: Question) -> str:
    """Words without what differs from run to run: paths, addresses, line breaks."""
    for path, name in ((question.directory, "DIR"), (question.base, "BASE")):
        text = text.replace(path, name)
    text = re.sub(r"0x[0-9a-f]{6,}", "0x", text)
    # Which of two tensors in one place is named depends on the order of a hash table.
    text = re.sub(r"(?<=invalid offset for tensor )`.*?`", "`…`", text)
    text = re.sub(r"https?://\S+", "URL", text)
    text = re.sub(r"(?<![\w.])(/[\w.@+-]+){2,}", "PATH", text)
    text = "".join(c if c.isprintable() else " " for c in text)
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def some(names: Collection[str], what: str) -> Iterable[str]:
    """`3 keys WHAT, such as NAME`, if there are any."""
    if names:
        keys = "key" if len(names) == 1 else "keys"
        yield f"{len(names)} {keys} {what}, such as {min(names)}"


def verdict(complaints: Iterable[str], question: Question) -> Answer:
    """Dead if there is a complaint."""
    said = "; ".join(complaints)
    return (DEAD, stable(said, question)) if said else (LOADS, "")
