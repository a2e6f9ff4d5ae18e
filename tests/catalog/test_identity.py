"""Which base a name means: exact names in all their wrappings, and nothing looser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from preflight.catalog.bases import find_base, load_bases
from preflight.catalog.identity import Match, identify, nearest
from preflight.catalog.relatives import load_relatives

HUB_CACHE = "/home/me/.cache/huggingface/hub/models--"
SCOPE_CACHE = "/home/me/.cache/modelscope/hub"


@pytest.fixture(autouse=True)
def _no_user_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PREFLIGHT_BASES", raising=False)


@pytest.mark.parametrize(
    ("name", "code", "quantised"),
    [
        ("qwen3-8b", "qwen3-8b", ""),
        ("Qwen3-8B", "qwen3-8b", ""),
        (" QWEN3-8B\n", "qwen3-8b", ""),
        ("Qwen/Qwen3-8B", "qwen3-8b", ""),
        ("Qwen/Qwen3-8B@main", "qwen3-8b", ""),
        ("Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218", "qwen3-8b", ""),
        ("https://huggingface.co/Qwen/Qwen3-8B/tree/main", "qwen3-8b", ""),
        ("https://modelscope.cn/models/Qwen/Qwen3-8B/", "qwen3-8b", ""),
        ("hf://Qwen/Qwen3-8B", "qwen3-8b", ""),
        ("Qwen/Qwen3-4B-Instruct-2507", "qwen3-4b-instruct-2507", ""),
        ("Qwen/Qwen3-VL-8B-Instruct", "qwen3-vl-8b-instruct", ""),
        # re-uploads
        ("unsloth/Qwen3-8B", "qwen3-8b", ""),
        ("unsloth/Qwen2.5-7B-Instruct-bnb-4bit", "qwen2.5-7b-instruct", "bnb-4bit"),
        (
            "unsloth/qwen2.5-7b-instruct-unsloth-bnb-4bit",
            "qwen2.5-7b-instruct",
            "bnb-4bit",
        ),
        (
            "unsloth/Qwen3-4B-Instruct-2507-unsloth-bnb-4bit",
            "qwen3-4b-instruct-2507",
            "bnb-4bit",
        ),
        ("mlx-community/Qwen3-8B-4bit", "qwen3-8b", "4bit"),
        ("mlx-community/Qwen3-8B-4bit-DWQ", "qwen3-8b", "4bit"),
        ("Qwen/Qwen3-8B-MLX-8bit", "qwen3-8b", "8bit"),
        ("mlx-community/Qwen3-8B-bf16", "qwen3-8b", ""),
        ("Qwen/Qwen2.5-72B-Instruct-AWQ", "qwen2.5-72b-instruct", "AWQ"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int4", "qwen2.5-7b-instruct", "GPTQ-Int4"),
        ("Qwen/Qwen2.5-7B-Instruct-GPTQ-Int8", "qwen2.5-7b-instruct", "GPTQ-Int8"),
        ("Qwen/Qwen3-8B-FP8", "qwen3-8b", "FP8"),
        ("RedHatAI/Qwen3-8B-FP8-dynamic", "qwen3-8b", "FP8"),
        ("RedHatAI/Qwen3-8B-quantized.w4a16", "qwen3-8b", "w4a16"),
        ("unsloth/Qwen3-8B-GGUF", "qwen3-8b", "GGUF"),
        ("qwen2.5-vl-7b-instruct-awq", "qwen2.5-vl-7b-instruct", "AWQ"),
        # paths
        ("/data/models/Qwen3-8B", "qwen3-8b", ""),
        ("/data/models/Qwen3-8B/", "qwen3-8b", ""),
        ("/data/models/Qwen3-8B//.", "qwen3-8b", ""),
        ("./Qwen3-8B", "qwen3-8b", ""),
        ("../../Qwen3-8B", "qwen3-8b", ""),
        ("~/models/Qwen/Qwen2.5-VL-7B-Instruct", "qwen2.5-vl-7b-instruct", ""),
        ("models/Qwen3-8B", "qwen3-8b", ""),
        ("C:\\Users\\me\\models\\Qwen3-8B\\", "qwen3-8b", ""),
        ("D:/Qwen/Qwen2.5-14B-Instruct", "qwen2.5-14b-instruct", ""),
        ("\\\\server\\share\\Qwen3-32B", "qwen3-32b", ""),
        ("/数据/模型/Qwen3-8B", "qwen3-8b", ""),
        ("/srv/Eğitimi 2/Qwen3-8B-AWQ", "qwen3-8b", "AWQ"),
        ("/models/qwen2_5-vl-7b-instruct", "qwen2.5-vl-7b-instruct", ""),
        # caches
        (f"{HUB_CACHE}Qwen--Qwen3-8B/snapshots/b968826d9c46", "qwen3-8b", ""),
        (f"{HUB_CACHE}Qwen--Qwen3-8B", "qwen3-8b", ""),
        (
            f"{HUB_CACHE}unsloth--Qwen2.5-7B-Instruct-bnb-4bit/snapshots/5a5a/",
            "qwen2.5-7b-instruct",
            "bnb-4bit",
        ),
        (f"{SCOPE_CACHE}/Qwen/Qwen2___5-7B-Instruct", "qwen2.5-7b-instruct", ""),
        (f"{SCOPE_CACHE}/Qwen/Qwen2.5-7B-Instruct", "qwen2.5-7b-instruct", ""),
        (
            f"{SCOPE_CACHE}/models/Qwen/Qwen2___5-VL-72B-Instruct",
            "qwen2.5-vl-72b-instruct",
            "",
        ),
        (f"{SCOPE_CACHE}/models/Qwen--Qwen3-14B/snapshots/master", "qwen3-14b", ""),
    ],
)
def test_names_of_a_base(name: str, code: str, quantised: str) -> None:
    found = identify(name)
    assert found.match is Match.IMPORTABLE
    assert found.base is find_base(code)
    assert found.base is not None
    assert found.canonical == found.base.hub_id
    assert found.quantised == quantised
    assert found.given == name


@pytest.mark.parametrize(
    ("name", "canonical", "code", "same", "quantised"),
    [
        ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B", "qwen2.5-7b-instruct", True, ""),
        (
            "unsloth/Qwen2.5-7B-bnb-4bit",
            "Qwen/Qwen2.5-7B",
            "qwen2.5-7b-instruct",
            True,
            "bnb-4bit",
        ),
        (
            "./model/Qwen2-7B-Instruct",
            "Qwen/Qwen2-7B-Instruct",
            "qwen2.5-7b-instruct",
            True,
            "",
        ),
        ("qwen3-8b-base", "Qwen/Qwen3-8B-Base", "qwen3-8b", True, ""),
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B", "qwen3-4b-instruct-2507", True, ""),
        (
            "Qwen/Qwen3-4B-Thinking-2507-FP8",
            "Qwen/Qwen3-4B-Thinking-2507",
            "qwen3-4b-instruct-2507",
            True,
            "FP8",
        ),
        ("Qwen/QwQ-32B", "Qwen/QwQ-32B", "qwen2.5-32b-instruct", True, ""),
        (
            f"{HUB_CACHE}deepseek-ai--DeepSeek-R1-Distill-Qwen-14B/snapshots/1df8",
            "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
            "qwen2.5-14b-instruct",
            True,
            "",
        ),
        (
            "Qwen/Qwen2.5-VL-32B-Instruct",
            "Qwen/Qwen2.5-VL-32B-Instruct",
            "qwen2.5-vl-72b-instruct",
            False,
            "",
        ),
        (
            "Qwen/Qwen3-VL-2B-Instruct",
            "Qwen/Qwen3-VL-2B-Instruct",
            "qwen3-vl-8b-instruct",
            False,
            "",
        ),
        ("Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B", "qwen3-32b", False, ""),
        (
            f"{SCOPE_CACHE}/Qwen/Qwen2___5-0___5B-Instruct",
            "Qwen/Qwen2.5-0.5B-Instruct",
            "qwen2.5-7b-instruct",
            False,
            "",
        ),
        ("Qwen/Qwen3-Embedding-8B", "Qwen/Qwen3-Embedding-8B", None, False, ""),
    ],
)
def test_relatives(
    name: str, canonical: str, code: str | None, same: bool, quantised: str
) -> None:
    found = identify(name)
    assert found.match is Match.RELATIVE
    assert found.canonical == canonical
    assert (found.base.code if found.base else None) == code
    assert (found.same_shapes, found.quantised) == (same, quantised)
    assert canonical in found.note
    assert code is None or code in found.note


@pytest.mark.parametrize(
    "name",
    [
        "mistralai/Mistral-7B-Instruct-v0.3",
        "nvidia/Cosmos-Reason2-2B",
        "klue/roberta-base",
        "unsloth/gemma-3n-e4b-it-unsloth-bnb-4bit",
        "/content/train/gemma3-270m/google/gemma-3-270m-it",
        "meta-llama/Llama-3.1-8B",
        "Llama-3-8B",
        "Qwen/Qwen4-9B",
        "/models/Qwen1.5-7B-Chat",
        "Qwen/Qwen3.5-9B",
        "Qwen/Qwen3-9B",
        "Qwen/Qwen3-80B",  # begins like Qwen3-8B
    ],
)
def test_other_models(name: str) -> None:
    found = identify(name)
    assert (found.match, found.base) == (Match.UNKNOWN, None)
    assert found.canonical in found.note


@pytest.mark.parametrize(
    "name",
    [
        None, "", "   ", ".", "/", "..", "\\", "@main", "--",
        "model", "./model", "../base", "/mnt/output/checkpoint-100", "checkpoint-100",
        "output/base", "models/v2", "/mnt/Qwen3-8B/v1", "a/b/c", "/opt", "llama",
        "/Users/me/Arapça HTR Eğitimi/models/me-handwritten-OCR-v3",
        f"{HUB_CACHE}Qwen--Qwen3-8B/snapshots/b968/merged",
    ],
)  # fmt: skip
def test_names_that_tell_nothing(name: str | None) -> None:
    found = identify(name)
    assert (found.match, found.base) == (Match.CANNOT_TELL, None)
    assert found.given == (name or "")
    assert found.note


@pytest.mark.parametrize(
    ("name", "original", "code"),
    [
        ("my-qwen3-8b-finetune", "Qwen/Qwen3-8B", "qwen3-8b"),
        ("me/my-qwen3-8b-finetune", "Qwen/Qwen3-8B", "qwen3-8b"),
        ("/out/qwen3-14b-sft", "Qwen/Qwen3-14B", "qwen3-14b"),
        (
            "x/Qwen2.5-7B-Instruct-abliterated",
            "Qwen/Qwen2.5-7B-Instruct",
            "qwen2.5-7b-instruct",
        ),
        ("me/Qwen3-0.6B-sft", "Qwen/Qwen3-0.6B", "qwen3-4b-instruct-2507"),
        (
            "qwen2.5-vl-7b-ocr",
            "Qwen/Qwen2.5-VL-7B-Instruct",
            "qwen2.5-vl-7b-instruct",
        ),
    ],
)
def test_fine_tunes_are_no_bases(name: str, original: str, code: str) -> None:
    found = identify(name)
    assert (found.match, found.base) == (Match.CANNOT_TELL, None)
    assert f"fine-tune of {original}:" in found.note
    assert nearest(name) is find_base(code)


@pytest.mark.parametrize(
    ("name", "long"),
    [
        ("Qwen2.5-VL-7B", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("/models/Qwen3-4B-Instruct", "Qwen/Qwen3-4B-Instruct-2507"),
        ("qwen3-vl", "Qwen/Qwen3-VL-8B-Instruct"),
    ],
)
def test_shortened_names(name: str, long: str) -> None:
    found = identify(name)
    assert (found.match, found.base) == (Match.CANNOT_TELL, None)
    assert found.note.endswith(f"may be short for {long}")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("qwen3-8b", "qwen3-8b"),
        ("qwn3-8b", "qwen3-8b"),
        ("qwen3_8", "qwen3-8b"),
        ("qwen-3-8b", "qwen3-8b"),
        ("Qwen3-VL8B", "qwen3-vl-8b-instruct"),
        ("qwen2.5 72b", "qwen2.5-72b-instruct"),
        ("qwen25-7b-instruct", "qwen2.5-7b-instruct"),
        ("qwen3-30b", "qwen3-32b"),
        ("Qwen/Qwen2.5-Coder-32B-Instruct-AWQ", "qwen2.5-32b-instruct"),
        ("Qwen/Qwen3-Embedding-8B", None),
        ("llama-3-8b", None),
        ("mistral-7b-instruct", None),
        ("gpt-4", None),
        ("", None),
    ],
)
def test_nearest(text: str, code: str | None) -> None:
    found = nearest(text)
    assert (found.code if found else None) == code


def test_every_code_and_hub_id_means_its_base() -> None:
    for base in load_bases().values():
        assert identify(base.code).base is base
        assert identify(base.hub_id).base is base
        assert nearest(base.code) is base
        assert not identify(base.hub_id).note


def test_relatives_are_no_bases_and_point_to_bases() -> None:
    assert len(load_relatives()) > 80
    for hub_id, relative in load_relatives().items():
        found = identify(hub_id)
        assert (found.match, found.canonical) == (Match.RELATIVE, hub_id)
        assert find_base(hub_id) is None
        assert (found.base is None) == (relative.nearest == "")
        assert not relative.same_shapes or found.base


def test_a_user_may_make_a_relative_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = {
        "code": "qwen3-1.7b", "hub_id": "Qwen/Qwen3-1.7B", "hidden_size": 2048,
        "intermediate_size": 6144, "layers": 28, "heads": 16, "kv_heads": 8,
        "tied_embeddings": True,
    }  # fmt: skip
    file = tmp_path / "more.json"
    file.write_text(json.dumps({"family": "qwen3", "models": [model]}))
    assert identify("Qwen/Qwen3-1.7B").match is Match.RELATIVE
    monkeypatch.setenv("PREFLIGHT_BASES", str(file))
    found = identify("unsloth/Qwen3-1.7B-bnb-4bit")
    assert (found.match, found.base) == (Match.IMPORTABLE, find_base("qwen3-1.7b"))


@pytest.mark.parametrize(
    ("name", "foreign"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", True),
        ("google/gemma-2-9b-it", True),
        ("Qwen/Qwen3.5-9B", True),
        ("someone/own-8b-model", False),
        ("someone/my-qwen3-8b-finetune", False),
        ("/mnt/ckpt/final", False),
        ("Qwen/Qwen3-8B", False),
        ("Qwen/QwQ-32B", False),  # a relative: told by its match
        (None, False),
    ],
)
def test_names_that_can_only_be_another_model(name: str | None, foreign: bool) -> None:
    assert identify(name).foreign is foreign


def test_notes_of_copies() -> None:
    assert "quantised copy (AWQ)" in identify("Qwen/Qwen3-8B-AWQ").note
    assert "by its name" in identify("someone/Qwen3-8B").note


@pytest.mark.parametrize("unit", ["-4bit", "a/", "qwen3-8b-", "--", "-vl", "\\", "."])
def test_long_names_end_soon(unit: str) -> None:
    found = identify("Qwen/x" + unit * 500_000)
    assert found.match is not Match.IMPORTABLE
    assert nearest(unit * 500_000) is None or unit == "qwen3-8b-"
