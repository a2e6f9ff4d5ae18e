"""The words that choose and weigh rules, and the config that a push adds."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from fixtures.adapters import build_adapter
from preflight.catalog.base_models import load_bases
from preflight.cli import main


@pytest.fixture
def rslora(tmp_path: Path) -> Path:
    """A sound adapter with a setting that only earns a warning."""
    directory = build_adapter(tmp_path / "adapter", base="qwen3-8b", rank=8, tiny=True)
    config = directory / "adapter_config.json"
    words = json.loads(config.read_text("utf-8"))
    config.write_text(json.dumps({**words, "use_rslora": True}), "utf-8")
    return directory


def checked(
    capsys: pytest.CaptureFixture[str], directory: Path, *words: str
) -> dict[str, Any]:
    code = main(["check", str(directory), "--format", "json", *words])
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["exit_code"] == code
    return document


def outcome(document: dict[str, Any], code: str) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = [o for o in document["outcomes"] if o["code"] == code]
    return found


def test_a_warning_lets_the_check_pass_and_strict_does_not(
    capsys: pytest.CaptureFixture[str], rslora: Path
) -> None:
    plain = checked(capsys, rslora)
    assert (plain["exit_code"], plain["verdict"]) == (0, "warn")
    strict = checked(capsys, rslora, "--strict")
    assert (strict["exit_code"], strict["verdict"]) == (1, "fail")
    assert outcome(strict, "C10")["severity"] == "error"


def test_an_ignored_rule_is_shown_with_its_reason(
    capsys: pytest.CaptureFixture[str], rslora: Path
) -> None:
    found = checked(capsys, rslora, "--ignore", "C10=alpha was folded in", "--strict")
    assert (found["exit_code"], found["verdict"]) == (0, "pass")
    assert outcome(found, "C10")["result"] == "skipped"
    assert outcome(found, "C10")["reason"] == "ignored: alpha was folded in"


def test_only_the_selected_rules_are_in_the_report(
    capsys: pytest.CaptureFixture[str], rslora: Path
) -> None:
    found = checked(capsys, rslora, "--select", "K02,D", "--select", "c10")
    families = {o["code"][0] for o in found["outcomes"]}
    assert families == {"K", "D", "C"}
    assert [o["code"] for o in found["outcomes"] if o["code"][0] != "D"] == [
        "C10",
        "K02",
    ]


def test_an_error_is_not_ignored_without_a_reason(
    capsys: pytest.CaptureFixture[str], rslora: Path
) -> None:
    assert main(["check", str(rslora), "--ignore", "C02"]) == 2
    assert "only with a reason" in capsys.readouterr().err


def state(directory: Path) -> dict[str, tuple[int, str]]:
    return {
        path.name: (
            path.stat().st_mtime_ns,
            hashlib.sha256(path.read_bytes()).hexdigest(),
        )
        for path in directory.iterdir()
    }


@pytest.fixture
def adapter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return build_adapter(tmp_path / "plain", base="qwen3-8b", rank=8, tiny=True)


def test_a_push_adds_the_base_s_config_and_leaves_the_directory_alone(
    capsys: pytest.CaptureFixture[str], adapter: Path
) -> None:
    before = state(adapter)
    assert main(["push", str(adapter), "oss://b1b/m/", "-n", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    sizes = {f["key"]: f["size"] for f in document["plan"]["files"]}
    figures = json.dumps(load_bases()["qwen3-8b"].config(), indent=2) + "\n"
    assert sizes["m/config.json"] == len(figures.encode())
    (note,) = document["notes"]
    assert note.startswith("added config.json of Qwen/Qwen3-8B (--no-base-config")
    assert state(adapter) == before


def test_the_config_is_the_local_copy_s_own_where_there_is_one(
    capsys: pytest.CaptureFixture[str], adapter: Path, tmp_path: Path
) -> None:
    base = tmp_path / "base"
    base.mkdir()
    content = json.dumps(load_bases()["qwen3-8b"].config()) + "\n\n"
    (base / "config.json").write_text(content, "utf-8")
    words = ["push", str(adapter), "oss://b1b/m/", "-n", "--format", "json"]
    assert main([*words, "--base-dir", str(base)]) == 0
    document = json.loads(capsys.readouterr().out)
    sizes = {f["key"]: f["size"] for f in document["plan"]["files"]}
    assert sizes["m/config.json"] == len(content)
    told = f"added config.json of Qwen/Qwen3-8B, from {base} (--no-base-config "
    assert document["notes"] == [f"{told}leaves it out)"]


def test_the_config_is_left_out_on_request_and_never_replaces_one(
    capsys: pytest.CaptureFixture[str], adapter: Path
) -> None:
    words = ["push", str(adapter), "oss://b1b/m/", "-n", "--format", "json"]
    assert main([*words, "--no-base-config"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert "notes" not in document
    assert "m/config.json" not in {f["key"] for f in document["plan"]["files"]}
    own = json.dumps(load_bases()["qwen3-8b"].config(), indent=8)
    (adapter / "config.json").write_text(own, "utf-8")
    assert main(words) == 0
    document = json.loads(capsys.readouterr().out)
    sizes = {f["key"]: f["size"] for f in document["plan"]["files"]}
    assert sizes["m/config.json"] == len(own)
