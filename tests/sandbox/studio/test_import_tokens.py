"""Vocabulary and chat template: the base model's, wherever they stand."""

from __future__ import annotations

from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.jobs import Status
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import (
    assert_refused,
    imported,
)
from tests.sandbox.studio.models import tiny, to_json


def test_the_chat_template_is_the_base_models(oss: OssState) -> None:
    """In each of the places where trainers write it, with any line ends."""
    good, line = models.TEMPLATE, "\n"
    for template, status in (
        (good, Status.SUCCEEDED),
        (good.rstrip(line), Status.SUCCEEDED),
        (good.replace(line, "\r\n"), Status.SUCCEEDED),
        (good.replace("content", "text"), Status.FAILED),
        ("", Status.FAILED),
    ):
        plain = to_json({"chat_template": template})
        listed = [{"name": "default", "template": template}]
        for name, content in (
            ("chat_template.jinja", template.encode()),
            ("chat_template.json", plain),
            ("tokenizer_config.json", plain),
            ("tokenizer_config.json", to_json({"chat_template": listed})),
        ):
            job, reason = imported(oss, models.lora(tiny()) | {name: content})
            assert job.status is status, (name, template)
            failed = status is Status.FAILED
            assert (f"{name}: the chat template" in reason) is failed


def test_the_vocabulary_is_the_base_models(oss: OssState) -> None:
    for name, value, word in [
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
    ]:
        result = imported(oss, models.lora(tiny()) | {name: to_json(value)})
        if word:
            assert_refused(result, name, word)
        else:
            assert result[0].status is Status.SUCCEEDED
