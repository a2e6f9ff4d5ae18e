"""The words in models' names and what they tell: data from one file, no parsing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from msgspec import Struct

from preflight.catalog._decode import decode, read_json
from preflight.catalog.base import Text

_FILE = Path(__file__).parent / "data" / "names.json"

Words = frozenset[Text]


class _Quantised(Struct, forbid_unknown_fields=True):
    """Words of one format, separated by spaces, and how people write it."""

    words: Text
    label: Text


class NameWords(Struct, frozen=True, forbid_unknown_fields=True, dict=True):
    """Lower-case words by what they tell of a model; `makers` are organisations.

    `pointed_versions` and `pointed_sizes` are numbers that lose their point in file
    names (`qwen25`, `qwen2-5-0-5b`). `lines` are the lines of Qwen models. `kinds`
    tell which of a line's models it is, with a word on what they are for; they stand
    between line and size, some of them in front or behind, too. `stages` and `editions`
    are parts of the makers' own names. `wrappings` change nothing, `tuned` tell that
    the weights were changed, `tunes` are well-known fine-tunes whose names do not tell
    of what. `families` are others' lines, some of them only in front. A folder in
    `folders` is no organisation, one in `transparent` is looked through.
    """

    date: Text
    source: Text
    pointed_versions: Words
    pointed_sizes: Words
    lines: Words
    kinds: dict[Text, Text]
    kinds_in_front: Words
    kinds_behind: Words
    stages: Words
    editions: Words
    wrappings: Words
    quantised: tuple[_Quantised, ...]
    tuned: Words
    tunes: Words
    families: Words
    families_in_front: Words
    makers: Words
    folders: Words
    transparent: Words

    def formats(self) -> Mapping[str, str]:
        """Each word of a quantised format, with the format's usual spelling."""
        return MappingProxyType(
            {word: each.label for each in self.quantised for word in each.words.split()}
        )


@lru_cache(maxsize=1)
def load_words() -> NameWords:
    """The words, read once in a process."""
    return decode(NameWords, read_json(_FILE), str(_FILE))
