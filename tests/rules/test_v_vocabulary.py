"""The vocabulary, its added tokens, and the ids that begin and end a text."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from fixtures.tokenizer import tokenizer_json
from preflight.catalog.base_models import BaseModel
from preflight.findings import CannotTell, Severity, Unavailable
from preflight.model.tokenizer import ENTRIES
from preflight.model.vocabulary import Vocabulary
from preflight.rules.v_special_tokens import special_tokens_unchanged
from preflight.rules.v_vocabulary import no_token_added, vocabulary_size_unchanged
from tests.cases import case
from tests.rules.inputs import base, problems, severities, tensor, told
from tests.rules.inputs_full import NONE, reference

QWEN3, QWEN25 = base("qwen3-8b"), base("qwen2.5-7b-instruct")
TOKEN = "<|my_tool|>"


def _size(
    config: object = NONE,
    rows: int | None = None,
    candidates: tuple[BaseModel, ...] = (QWEN3,),
) -> str:
    found = [] if rows is None else [tensor("model.embed_tokens.weight", (rows, 8))]
    facts: dict[str, object] = {"config": config, "tensors": tuple(found)}
    return told(vocabulary_size_unchanged, candidates=candidates, **facts)


def test_vocabulary_size() -> None:
    cases: list[tuple[object, int | None, str]] = [
        ({"vocab_size": 151936}, 151936, ""),
        (NONE, 151936, ""),
        ({"vocab_size": 151936}, None, ""),
        ({"text_config": {"vocab_size": 151936}}, 151936, ""),
        ({"vocab_size": 151935}, None, "is 151,935, qwen3-8b has 151,936"),
        (NONE, 151937, "151,937 rows, qwen3-8b has 151,936"),
        ({"vocab_size": 151669}, 151669, "cut to the tokenizer's length"),
        (NONE, 151671, "cut to the length of a tokenizer with added tokens"),
        ({"vocab_size": "151936"}, None, "no whole number"),
        ({"vocab_size": True}, None, "no whole number"),
        ({"vocab_size": [1]}, None, "no whole number"),
    ]
    for config, rows, words in cases:
        with case(config, rows, words):
            found = _size(config, rows)
            assert (words in found) if words else not found


def test_known_cut_lengths_of_qwen25() -> None:
    for rows, words in ((151665, "the tokenizer's length"), (151666, "added tokens")):
        assert words in _size(NONE, rows, (QWEN25,))


def test_without_a_base_config_and_tensors_must_agree() -> None:
    assert "config.json says 7" in _size({"vocab_size": 7}, 8, ())
    assert not _size({"vocab_size": 8}, 8, ())
    assert not _size({"vocab_size": 152064}, 152064, (QWEN3, QWEN25))


def test_nothing_tells_the_size() -> None:
    rule = vocabulary_size_unchanged
    answers = list(rule.check(config=NONE, tensors=NONE, candidates=(QWEN3,)))
    assert [type(answer) for answer in answers] == [CannotTell]


def _read(documents: dict[str, Any]) -> dict[str, Any]:
    """The documents and the vocabularies in them, as an inspection has them."""
    found: dict[str, Vocabulary] = {}
    tokenizer = documents.get("tokenizer.json")
    model = tokenizer.get("model") if isinstance(tokenizer, dict) else None
    if model and "vocab" in model:
        found[ENTRIES] = Vocabulary.of(model["vocab"])
    if "vocab.json" in documents:
        plain = Vocabulary.of(documents["vocab.json"])
        if plain != found.get(ENTRIES):
            found["vocab.json"] = plain
    return {"documents": documents, "vocabularies": found}


def _good(model: BaseModel = QWEN3) -> dict[str, Any]:
    return tokenizer_json(model.added_tokens)


def _with(*added: tuple[int, str]) -> dict[str, Any]:
    tokenizer = _good()
    tokenizer["added_tokens"] += [{"id": n, "content": t} for n, t in added]
    return tokenizer


def _in(name: str, field: str, value: object) -> dict[str, Any]:
    return {name: {field: value}}


CONFIG, MAP = "tokenizer_config.json", "special_tokens_map.json"
DECODER, MORE = "added_tokens_decoder", "additional_special_tokens"


def _tokens(
    documents: dict[str, Any],
    candidates: tuple[BaseModel, ...] = (QWEN3,),
    of: object = NONE,
) -> str:
    facts = {**_read(documents), "candidates": candidates, "reference": of}
    return told(no_token_added, **facts)


def test_tokens() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({}, ""),
        ({"tokenizer.json": _good()}, ""),
        ({"added_tokens.json": dict(QWEN3.added_tokens)}, ""),
        ({"tokenizer.json": _with((151669, TOKEN))}, "(id 151,669) is added"),
        ({"tokenizer.json": _with((100, "!"))}, ""),
        ({"tokenizer.json": _with((151645, "<end>"))}, "the id 151,645 is '<end>'"),
        ({"tokenizer.json": _good(QWEN25)}, "lacks 4 tokens of qwen3-8b"),
        ({"tokenizer.json": {"added_tokens": {TOKEN: 1}}}, "is a dict, not a list"),
        ({"tokenizer.json": {"added_tokens": [7, None]}}, "has no content or id"),
        ({"tokenizer.json": Unavailable("cut off")}, "tokenizer.json: cut off"),
        ({"tokenizer.json": {"model": {"vocab": {"x": 151643}}}}, "has 1 entries"),
        ({"tokenizer.json": {"model": {"vocab": {"x": 151642}}}}, ""),
        ({"tokenizer.json": {"model": {"vocab": {"x": "1"}}}}, "has 1 entries"),
        ({"tokenizer.json": {"model": None}}, ""),
        ({"vocab.json": {"x": 151643}}, "vocab.json: has 1 entries"),
        ({"added_tokens.json": {TOKEN: 151669}}, "(id 151,669) is added"),
        ({"added_tokens.json": {"<think>": 151669}}, "in qwen3-8b it has 151,667"),
        ({"added_tokens.json": {TOKEN: "x"}}, "is no number"),
        (
            _in(CONFIG, DECODER, {"151669": {"content": TOKEN}}),
            "(id 151,669) is added",
        ),
        ({"tokenizer_config.json": {"added_tokens_decoder": {"x": 1}}}, "is no token"),
        ({"tokenizer_config.json": {"added_tokens_decoder": [1]}}, "not an object"),
        ({"tokenizer_config.json": {"pad_token": "<|PAD|>"}}, "no token of qwen3-8b"),
        ({"tokenizer_config.json": {"pad_token": {"content": "<|endoftext|>"}}}, ""),
        ({"tokenizer_config.json": {"pad_token": None, "bos_token": 7}}, ""),
        ({"tokenizer_config.json": {"extra_special_tokens": [TOKEN]}}, "no token of"),
        (_in(CONFIG, "extra_special_tokens", {"a": TOKEN}), "no token of"),
        (
            _in(MAP, MORE, [{"content": TOKEN}]),
            "no token of",
        ),
        ({"special_tokens_map.json": {"additional_special_tokens": "x"}}, ""),
        ({"special_tokens_map.json": {"pad_token": "<|vision_pad|>"}}, ""),
    ]  # fmt: skip
    for documents, words in cases:
        with case(documents, words):
            found = _tokens(documents)
            assert (words in found) if words else not found


def test_one_token_in_many_files_is_one_problem() -> None:
    documents = {
        "tokenizer.json": _with((151669, TOKEN)),
        "added_tokens.json": {TOKEN: 151669},
        "tokenizer_config.json": {"pad_token": TOKEN},
    }
    found = _tokens(documents)
    assert len(found.splitlines()) == 1
    assert "so also added_tokens.json" in found


def test_tokens_of_qwen3_are_too_many_for_qwen25() -> None:
    documents = {"tokenizer.json": _good()}
    assert "'<think>' (id 151,667) is added" in _tokens(documents, (QWEN25,))
    assert not _tokens(documents, (QWEN3, base("qwen3-14b")))


def test_lacking_tokens_are_a_warning() -> None:
    facts = {"candidates": (QWEN3,), "reference": NONE}
    documents = {"tokenizer.json": _good(QWEN25)}
    found = severities(no_token_added, **_read(documents), **facts)
    assert found == [Severity.WARNING]


def test_tokens_without_a_base_are_not_judged() -> None:
    documents = {"added_tokens.json": {TOKEN: 151669}}
    facts: dict[str, object] = {"candidates": (), "reference": NONE}
    answers = list(no_token_added.check(**_read(documents), **facts))
    assert [type(answer) for answer in answers] == [CannotTell]


def test_vocabulary_is_compared_with_a_copy_of_the_base(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text('{"model": {"vocab": {"a": 0, "b": 1}}}')
    copy = reference(directory=tmp_path)
    for vocabulary, words in (
        ({"a": 0, "b": 1}, ""),
        ({"a": 0}, "1 entries are missing"),
        ({"a": 1, "b": 0}, "2 entries are missing or have other ids, 0 are new"),
    ):
        documents = {"tokenizer.json": {"model": {"vocab": vocabulary}}}
        found = _tokens(documents, of=copy)
        assert (words in found) if words else not found


def _small(vocabulary: dict[str, int], separators: tuple[str, str] | None) -> BaseModel:
    text = json.dumps(vocabulary, ensure_ascii=False, separators=separators)
    text += "" if separators else "\n"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return replace(QWEN3, vocab_entries=len(vocabulary), vocab_sha256=digest)


@pytest.mark.parametrize("separators", [(",", ":"), None])
def test_vocabulary_is_known_by_its_digest(
    separators: tuple[str, str] | None,
) -> None:
    model = _small({"Ġa": 0, "b": 1, "c": 2}, separators)
    for name, wrap in (
        ("tokenizer.json", lambda found: {"model": {"vocab": found}}),
        ("vocab.json", dict),
    ):
        for vocabulary, words in (
            ({"Ġa": 0, "b": 1, "c": 2}, ""),
            ({"b": 1, "c": 2, "Ġa": 0}, ""),
            ({"Ġa": 1, "b": 0, "c": 2}, "as many entries, with other texts or ids"),
            ({"Ġa": 0, "b": 1, "d": 2}, "as many entries, with other texts or ids"),
        ):
            found = _tokens({name: wrap(vocabulary)}, (model,))
            assert (words in found) if words else not found


def test_vocabulary_cut_short_is_not_proven() -> None:
    facts: dict[str, object] = {"candidates": (QWEN3,), "reference": NONE}
    answers = list(no_token_added.check(**_read({"tokenizer.json": _good()}), **facts))
    assert [type(answer) for answer in answers] == [CannotTell]
    assert isinstance(answers[0], CannotTell)
    assert "256 of the base's 151,643 entries" in answers[0].reason


def _special(
    config: object = NONE, generation: object = NONE, tokenizer: object = NONE
) -> str:
    facts = {
        "config": config,
        "generation_config": generation,
        "tokenizer_config": tokenizer,
    }
    return told(special_tokens_unchanged, compared=QWEN3, **facts)


def test_special_ids() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({}, ""),
        ({"eos_token_id": 151645, "pad_token_id": 151643, "bos_token_id": 151643}, ""),
        ({"eos_token_id": [151645, 151643], "pad_token_id": 151645}, ""),
        ({"eos_token_id": 151645, "pad_token_id": None, "bos_token_id": None}, ""),
        ({"text_config": {"eos_token_id": 151645}}, ""),
        ({"eos_token_id": 151643}, "without 151645 (<|im_end|>)"),
        ({"eos_token_id": 7}, "is 7; qwen3-8b uses 151643 (<|endoftext|>), 151645"),
        ({"pad_token_id": 151669}, "pad_token_id: is 151669"),
        ({"pad_token_id": 151654}, ""),  # <|vision_pad|>
        ({"pad_token_id": 7}, "pad_token_id: is 7"),
        ({"pad_token_id": "151643"}, "which is no id"),
        ({"eos_token_id": [None]}, "which is no id"),
        ({"eos_token_id": True}, "which is no id"),
    ]
    for config, words in cases:
        with case(config, words):
            for found in (_special(config=config), _special(generation=config)):
                assert (words in found) if words else not found


def test_special_names() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"}, ""),
        ({"eos_token": {"content": "<|im_end|>"}, "pad_token": "<|im_end|>"}, ""),
        ({"eos_token": "<|endoftext|>"}, "end with 151645 (<|im_end|>)"),
        ({"pad_token": "<|vision_pad|>"}, ""),
        ({"pad_token": "<|PAD|>"}, ""),  # V02 tells of it
        ({"eos_token": ["x"]}, ""),
    ]
    for tokenizer, words in cases:
        with case(tokenizer, words):
            found = _special(tokenizer=tokenizer)
            assert (words in found) if words else not found


def test_special_tokens_are_warnings() -> None:
    config = {"eos_token_id": 7}
    facts = {"generation_config": NONE, "tokenizer_config": NONE, "compared": QWEN3}
    found = severities(special_tokens_unchanged, config=config, **facts)
    assert found == [Severity.WARNING]
    assert not problems(special_tokens_unchanged, config=NONE, **facts)
