"""Vocabulary and chat template: the base model's, wherever they stand."""

from __future__ import annotations

import pytest

from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.jobs import Status
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import (
    assert_refused,
    imported,
)
from tests.sandbox.studio.models import tiny, to_json


@pytest.mark.parametrize(
    ("template", "status"),
    [
        (models.TEMPLATE, Status.SUCCEEDED),
        (models.TEMPLATE.rstrip("\n"), Status.SUCCEEDED),
        (models.TEMPLATE.replace("\n", "\r\n"), Status.SUCCEEDED),
        (models.TEMPLATE.replace("content", "text"), Status.FAILED),
        ("", Status.FAILED),
    ],
)
@pytest.mark.parametrize(
    "place",
    ["chat_template.jinja", "chat_template.json", "tokenizer_config.json", "named"],
)
def test_the_chat_template_is_the_base_models(
    oss: OssState, place: str, template: str, status: Status
) -> None:
    content = to_json({"chat_template": template})
    if place == "chat_template.jinja":
        content = template.encode()
    if place == "named":
        listed = [{"name": "default", "template": template}]
        place, content = "tokenizer_config.json", to_json({"chat_template": listed})
    job, reason = imported(oss, models.lora(tiny()) | {place: content})
    assert job.status is status
    assert status is Status.SUCCEEDED or f"{place}: the chat template" in reason


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("added_tokens.json", {"<|end|>": 30, "<|start|>": 31}, ""),
        ("added_tokens.json", {"<|end|>": 30, "<|new|>": 32}, "<|new|>"),
        ("added_tokens.json", {"<|end|>": 33}, "<|end|>"),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"30": {"content": "<|end|>"}}},
            "",
        ),
        (
            "tokenizer_config.json",
            {"added_tokens_decoder": {"32": {"content": "<x>"}}},
            "<x>",
        ),
        ("tokenizer_config.json", {"extra_special_tokens": ["<|end|>"]}, ""),
        ("tokenizer_config.json", {"extra_special_tokens": ["<x>"]}, "<x>"),
        ("tokenizer_config.json", {"extra_special_tokens": {"a": "<x>"}}, "<x>"),
        ("special_tokens_map.json", {"additional_special_tokens": ["<x>"]}, "<x>"),
        ("tokenizer.json", models.tokenizer(tiny()), ""),
        ("tokenizer.json", models.tokenizer(tiny(vocabulary=31)), "31 vocabulary"),
        ("vocab.json", {"a": 0}, "1 vocabulary entries, not 30"),
        ("config.json", models.config(tiny()), ""),
        ("config.json", models.config(tiny(vocab_size=33)), "vocab_size is 33"),
        ("config.json", {"text_config": {"vocab_size": 33}}, "vocab_size is 33"),
        ("config.json", {"model_type": "llama"}, "model_type"),
        ("config.json", {"hidden_size": 65}, "hidden_size is 65"),
        ("config.json", {"quantization_config": {"bits": 4}}, "quantised"),
    ],
)
def test_the_vocabulary_is_the_base_models(
    oss: OssState, name: str, value: object, word: str
) -> None:
    result = imported(oss, models.lora(tiny()) | {name: to_json(value)})
    if word:
        assert_refused(result, name, word)
    else:
        assert result[0].status is Status.SUCCEEDED
