"""A tokenizer's plain vocabulary, which has 150,000 entries and must not cost 100 MB.

As objects of Python a `tokenizer.json` of 11 MB takes 90 MB, most of it the merges,
which no rule reads. Here the entries are taken out of the file by msgspec, which makes
nothing of what it is not asked for, and are kept as one text.
"""

from __future__ import annotations

import codecs
import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from operator import gt
from typing import TYPE_CHECKING, Any

from preflight.findings import Unavailable
from preflight.model.configs import (
    MAX_VALUES,
    JsonObject,
    NotJson,
    count_values,
    json_object,
    parse_json,
    read_bytes,
)
from preflight.model.source import OpenFile
from preflight.model.steady import BLOCK

if TYPE_CHECKING:
    import msgspec

LIMIT = 64 << 20  # bytes of a file; those of the published models have 11 MB

_BETWEEN = b"\xff"
_NO_ID = -1  # stands for what is no whole number that an id could be
_MOST = 1 << 62
_BATCH = 4096  # entries that are written at a time
_REMEMBERED = 16  # vocabularies whose digests are
_digests: dict[bytes, tuple[str, str]] = {}


@dataclass(frozen=True)
class Vocabulary:
    """Texts and their ids, by id; -1 stands for a value that is no whole number."""

    _joined: bytes
    _ids: array[int]

    @staticmethod
    def of(entries: Mapping[str, object]) -> Vocabulary:
        """The vocabulary of a mapping of texts to ids."""
        ids = array("q", map(_as_id, entries.values()))
        texts: Iterable[str] = entries
        if any(map(gt, ids, ids[1:])):
            listed, order = list(entries), sorted(range(len(ids)), key=ids.__getitem__)
            texts, ids = (listed[n] for n in order), array("q", (ids[n] for n in order))
        # No text holds the byte between them: in UTF-8 it does not occur.
        encoded = (text.encode("utf-8", "surrogatepass") for text in texts)
        return Vocabulary(_BETWEEN.join(encoded), ids)

    def __len__(self) -> int:
        """How many entries there are."""
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        """The texts by their ids."""
        if self._ids:
            for text in self._joined.split(_BETWEEN):
                yield text.decode("utf-8", "surrogatepass")

    def items(self) -> Iterator[tuple[str, int]]:
        """Texts and ids, by id."""
        return zip(self, self._ids, strict=True)

    @cached_property
    def digests(self) -> tuple[str, str]:
        """SHA-256 of vocab.json as the ways to save it write this vocabulary, by id.

        The first is how the published models and the tokenizers library write it, the
        other how json.dump of Python does.
        """
        # The checkpoints of a run and the runs of a sweep have one tokenizer.
        sha = hashlib.sha256(len(self._joined).to_bytes(8, "big"))
        sha.update(self._joined)
        sha.update(self._ids)
        found = _digests.get(sha.digest())
        if found is None:
            found = self._digest(",", ":", ""), self._digest(", ", ": ", "\n")
            if len(_digests) >= _REMEMBERED:
                _digests.clear()
            _digests[sha.digest()] = found
        return found

    def _digest(self, comma: str, colon: str, end: str) -> str:
        sha, entries, before = hashlib.sha256(b"{"), self.items(), ""
        encode = json.JSONEncoder(ensure_ascii=False).encode
        while batch := list(islice(entries, _BATCH)):
            texts = (f"{encode(text)}{colon}{number}" for text, number in batch)
            sha.update((before + comma.join(texts)).encode("utf-8", "replace"))
            before = comma
        sha.update(f"}}{end}".encode())
        return sha.hexdigest()


def _as_id(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        return _NO_ID
    return value if 0 <= value < _MOST else _NO_ID


@dataclass(frozen=True, slots=True)
class Tokenizer:
    """`tokenizer.json` without vocabulary and merges, and the vocabulary by itself."""

    document: JsonObject | Unavailable
    vocabulary: Vocabulary | None = None


def read_tokenizer(file: OpenFile | Unavailable, name: str) -> Tokenizer:
    """A `tokenizer.json` of at most `LIMIT` bytes, read as strictly as any JSON file.

    `name` is what a reason calls the file, which is closed then.
    """
    data = read_bytes(file, name, LIMIT)
    if isinstance(data, Unavailable):
        return Tokenizer(data)
    found = _taken_apart(data)
    if found is None:
        document = json_object(data, name)
        if isinstance(document, Unavailable):
            return Tokenizer(document)
        return _split(dict(document))
    return found


def _taken_apart(data: bytes) -> Tokenizer | None:
    """The parts of a sound file; None where only a strict reading can tell."""
    import msgspec

    if count_values(data) > MAX_VALUES:
        return None
    try:
        _check_utf8(data)
        fields = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        model = msgspec.json.decode(fields.pop("model"), type=dict[str, msgspec.Raw])
        vocabulary = msgspec.json.decode(model.pop("vocab"), type=dict[str, int])
        model.pop("merges", None)
        document = {key: _parsed(raw) for key, raw in fields.items()}
        document["model"] = {key: _parsed(raw) for key, raw in model.items()}
    except (msgspec.MsgspecError, NotJson, KeyError, ValueError, RecursionError):
        return None
    return Tokenizer(document, Vocabulary.of(vocabulary))


def _parsed(raw: msgspec.Raw) -> object:
    return parse_json(bytes(raw).decode("utf-8"))


def _check_utf8(data: bytes) -> None:
    """Raise `UnicodeDecodeError` for what is no UTF-8, without a copy of it all."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    for at in range(0, len(data), BLOCK):
        decoder.decode(data[at : at + BLOCK])
    decoder.decode(b"", final=True)


def _split(document: dict[str, Any]) -> Tokenizer:
    model = document.get("model")
    if not isinstance(model, Mapping):
        return Tokenizer(document)
    entries = model.get("vocab")
    document["model"] = {k: v for k, v in model.items() if k not in ("vocab", "merges")}
    found = Vocabulary.of(entries) if isinstance(entries, Mapping) else None
    return Tokenizer(document, found)


def read_vocabulary(
    file: OpenFile | Unavailable, name: str
) -> Vocabulary | Unavailable:
    """A `vocab.json` of at most `LIMIT` bytes; the file is closed then."""
    import msgspec

    data = read_bytes(file, name, LIMIT)
    if isinstance(data, Unavailable):
        return data
    try:
        if count_values(data) <= MAX_VALUES:
            _check_utf8(data)
            return Vocabulary.of(msgspec.json.decode(data, type=dict[str, int]))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    document = json_object(data, name)
    return document if isinstance(document, Unavailable) else Vocabulary.of(document)
