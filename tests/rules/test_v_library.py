from __future__ import annotations

from preflight.findings import Unavailable
from preflight.rules.v_library import older_library_reads_it
from tests.cases import case
from tests.rules.inputs import problems

ROPE = {"rope_theta": 1000000.0, "rope_type": "default"}
BY_5 = {"transformers_version": "5.23.0"}


def test_what_an_older_release_does_not_read() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        (
            {"tokenizer_config.json": {"tokenizer_class": "TokenizersBackend"}},
            "tokenizer_config.json: tokenizer_class",
        ),
        (
            {"tokenizer_config.json": {"extra_special_tokens": ["<|im_end|>"]}},
            "tokenizer_config.json: extra_special_tokens",
        ),
        ({"config.json": {"rope_parameters": ROPE}}, "config.json: rope_parameters"),
        (
            {"config.json": {"text_config": {"rope_parameters": ROPE}}},
            "config.json: text_config.rope_parameters",
        ),
        (
            {"processor_config.json": {"image_processor": {}}},
            "processor_config.json: image_processor",
        ),
    ]
    for documents, where in cases:
        with case(documents, where):
            (problem,) = problems(older_library_reads_it, documents=documents)
            assert problem.where == where
            assert "transformers 4" in problem.message
            assert problem.fix


def test_what_both_releases_read() -> None:
    cases: list[dict[str, object]] = [
        {},
        {"tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"}},
        {"tokenizer_config.json": {"extra_special_tokens": {"a": "<|im_end|>"}}},
        {"config.json": {"rope_theta": 1000000.0, "rope_parameters": ROPE}},
        {"config.json": {"rope_theta": 1000000.0}},
        {"config.json": {"rope_parameters": {"rope_type": "default"}}},
        {"config.json": Unavailable("cut short")},
        {
            "processor_config.json": {"image_processor": {}},
            "preprocessor_config.json": {},
        },
    ]
    for documents in cases:
        with case(documents):
            assert problems(older_library_reads_it, documents=documents) == []


def test_the_release_that_wrote_it_is_named() -> None:
    documents = {
        "config.json": {**BY_5, "rope_parameters": ROPE},
        "tokenizer_config.json": {"extra_special_tokens": []},
    }
    found = problems(older_library_reads_it, documents=documents)
    assert len(found) == 2
    assert all("transformers 5.23.0" in problem.message for problem in found)
    assert '"rope_theta": 1000000.0' in found[1].fix
