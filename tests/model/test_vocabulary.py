"""A tokenizer's vocabulary, read in little memory and as strictly as anything else."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflight.findings import Unavailable
from preflight.model.configs import read_json_object
from preflight.model.steady import open_regular
from preflight.model.vocabulary import Vocabulary, read_tokenizer, read_vocabulary
from tests.cases import case
from tests.depth import examples

TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
MADE = settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


@MADE
@given(st.dictionaries(TEXTS, st.integers(0, 50)))
def test_texts_ids_and_digests_are_kept(entries: dict[str, int]) -> None:
    found = Vocabulary.of(entries)
    ordered = dict(sorted(entries.items(), key=lambda entry: entry[1]))
    assert list(found) == list(ordered)
    assert dict(found.items()) == entries
    assert len(found) == len(entries)
    texts = [
        json.dumps(ordered, ensure_ascii=False, separators=(",", ":")),
        json.dumps(ordered, ensure_ascii=False) + "\n",
    ]
    wanted = [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    assert list(found.digests) == wanted


def test_what_is_no_id_and_no_character_is_kept_apart() -> None:
    entries = {"a": "1", "b": True, "c": -5, "d": 1 << 70, "\ud800": 3, "": 4}
    found = dict(Vocabulary.of(entries).items())
    assert found == {"a": -1, "b": -1, "c": -1, "d": -1, "\ud800": 3, "": 4}
    assert len(set(Vocabulary.of(entries).digests)) == 2


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3)
    ),
    max_leaves=8,
)
MODELS = st.fixed_dictionaries(
    {},
    optional={
        "type": TEXTS,
        "vocab": st.dictionaries(TEXTS, st.integers(0, 99)) | JSON,
        "merges": st.lists(st.lists(TEXTS, min_size=2, max_size=2)) | JSON,
        "unk_token": JSON,
    },
)


@MADE
@given(st.dictionaries(TEXTS, JSON, max_size=3), MODELS | JSON)
def test_a_tokenizer_is_read_as_any_json_file_is(
    tmp_path: Path, document: dict[str, Any], model: object
) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({**document, "model": model}), "utf-8")
    found = read_tokenizer(open_regular(path), path.name)
    wanted = read_json_object(open_regular(path), path.name)
    assert not isinstance(wanted, Unavailable)
    entries = model.get("vocab") if isinstance(model, dict) else None
    if isinstance(model, dict):
        left = {k: v for k, v in model.items() if k not in ("vocab", "merges")}
        wanted = {**wanted, "model": left}
    assert found.document == wanted
    if isinstance(entries, dict):
        assert found.vocabulary == Vocabulary.of(entries)
    else:
        assert found.vocabulary is None


def test_a_fault_anywhere_in_a_tokenizer_is_told(tmp_path: Path) -> None:
    cases: list[str] = [
        '{"model": {"vocab": {"a": 0}, "merges": [NaN]}}',
        '{"model": {"vocab": {"a": 0}, "merges": ["\\q"]}}',
        '{"model": {"vocab": {"a": 0,}}}',
        '{"model": {"vocab": {"a": 0}}} x',
        '{"model": {"vocab": {"a": 0}',
        '{"model": {"vocab": {"a": 0}}, "x": "\\ud800"}',
        '{"model": {"vocab": {"a": 0}}, "x": 1e999}',
        '\ufeff{"model": {"vocab": {"a": 0}}}',
        "[]",
        "",
        '{"model": {"vocab": {"a": 0}, "x": ' + "[" * 200 + "]" * 200 + "}}",
    ]
    for text in cases:
        with case(text):
            path = tmp_path / "tokenizer.json"
            path.write_text(text, "utf-8")
            wanted = read_json_object(open_regular(path), path.name)
            assert isinstance(wanted, Unavailable)
            assert read_tokenizer(open_regular(path), path.name).document == wanted


def test_bytes_that_are_no_text_are_told_by_place(tmp_path: Path) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(b'{"model": {"vocab": {"a": 0}, "merges": ["\xff"]}}')
    words = "tokenizer.json is not UTF-8: byte 0xff at offset 42 (line 1)"
    assert read_tokenizer(open_regular(path), path.name).document == Unavailable(words)
    path.write_bytes(b'{"\xff": 1}')
    words = "vocab.json is not UTF-8: byte 0xff at offset 2 (line 1)"
    assert read_vocabulary(open_regular(path), "vocab.json") == Unavailable(words)


def test_vocab_json(tmp_path: Path) -> None:
    path = tmp_path / "vocab.json"
    for text, wanted in (
        ('{"a": 0, "b": 1}', Vocabulary.of({"a": 0, "b": 1})),
        ('{"a": "x"}', Vocabulary.of({"a": "x"})),
        ("[1]", Unavailable("vocab.json is a list, not an object")),
        ("", Unavailable("vocab.json is empty (0 bytes)")),
    ):
        path.write_text(text)
        assert read_vocabulary(open_regular(path), path.name) == wanted
    gone = open_regular(tmp_path / "gone")
    words = "vocab.json does not exist"
    assert read_vocabulary(gone, "vocab.json") == Unavailable(words)
