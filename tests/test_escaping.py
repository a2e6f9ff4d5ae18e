"""Whatever files and services say, a terminal obeys none of it: all commands, all ways.

Each command runs on names and values that would clear a screen, set a window's title
or turn the direction of a line; `test_chinese.py` walks over every fixture.
"""

from __future__ import annotations

import json
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.tensors import rewrite
from preflight.commands import COMMANDS
from preflight.sandbox import Sandbox
from tests.running import InProcess, Run, tiny_adapter

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e\x9b31m\u2028\r"
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made


def assert_harmless(done: Run | str) -> None:
    for text in [done] if isinstance(done, str) else [done.out, done.err]:
        kinds = {unicodedata.category(char) for char in text if char != "\n"}
        assert not kinds & {"Cc", "Cf", "Cs", "Zl", "Zp"}, text.encode()


def hostile_adapter(directory: Path) -> Path:
    """Every text that preflight shows of an adapter is hostile."""
    tiny_adapter(directory)
    path = directory / CONFIG
    config = json.loads(path.read_text("utf-8"))
    config |= {
        "base_model_name_or_path": f"/models/{HOSTILE}",
        "target_modules": [HOSTILE, "q_proj"],
        "rank_pattern": {HOSTILE: HOSTILE},
        "lora_alpha": HOSTILE,
        HOSTILE: HOSTILE,
    }
    path.write_text(json.dumps(config), "utf-8")
    rewrite(
        directory / WEIGHTS,
        lambda found: [replace(found[0], name=HOSTILE + found[0].name), *found[1:]],
    )
    for name in (f"{HOSTILE}.bin", f"chat_template{HOSTILE}.jinja", f"{HOSTILE}.json"):
        (directory / name).write_text(HOSTILE, "utf-8")
    (directory / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": HOSTILE, "eos_token": HOSTILE}), "utf-8"
    )
    (directory / os.fsdecode(b"LICENSE\xff.txt")).write_bytes(b"x")
    return directory


FLAGS = [(), ("-v",), ("-vv",), ("--format", "json"), ("-q",)]


@pytest.mark.parametrize("flags", FLAGS, ids=["plain", "-v", "-vv", "json", "-q"])
def test_check_and_push_of_a_hostile_directory(
    preflight: InProcess, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    adapter = hostile_adapter(tmp_path / f"a{HOSTILE}")
    for more in ((), ("--base-model", HOSTILE), ("--base-dir", adapter)):
        assert_harmless(preflight("check", adapter, *flags, *more))
    done = preflight("push", "--sandbox", adapter, *flags)
    assert done.code in (1, 2)
    assert_harmless(done)
    missing = preflight("check", tmp_path / f"no{HOSTILE}", *flags)
    assert missing.code == 2
    assert_harmless(missing)


def test_the_base_that_a_config_names_is_shown_escaped_and_told_raw(
    preflight: InProcess, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    named = f"Llama-3-8B{HOSTILE}"
    path = adapter / CONFIG
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "base_model_name_or_path": named}), "utf-8")
    shown = preflight("check", adapter)
    assert r"\x1b]0;owned\x07\x1b[2J\u202e" in shown.out
    told = preflight("check", adapter, "--format", "json").document
    assert "\x1b]0;owned\x07" in json.dumps(told, ensure_ascii=False).encode().decode(
        "unicode_escape"
    )


def test_what_a_run_did_is_shown_harmlessly(
    preflight: InProcess, box: Sandbox, tmp_path: Path
) -> None:
    preflight.use(box)
    adapter = tiny_adapter(tmp_path / "one\x1b[31m\u202e")
    url = f"oss://{box.bucket}/models/one/"
    done = preflight("push", adapter, url, "--poll-interval", "0.02", "-v")
    assert done.code == 0
    assert_harmless(done)
    (job,) = box.studio.jobs()
    hostile = hostile_adapter(tmp_path / f"h{HOSTILE}")
    words = [
        ("show", adapter),
        ("show", hostile),
        ("diff", adapter, hostile),
        ("fix", hostile, "-o", tmp_path / f"new{HOSTILE}"),
        ("verify", url),
        ("verify", adapter),
        ("verify", hostile, "--manifest", f"no{HOSTILE}"),
        ("bases", HOSTILE),
        ("schema", HOSTILE),
        ("mk", HOSTILE),
        ("completion", HOSTILE),
        ("check", hostile),
        ("status",),
        ("status", adapter),
        ("status", "--format", "json"),
        ("jobs",),
        ("jobs", job.id),
        ("jobs", f"no{HOSTILE}"),
        ("wait", f"no{HOSTILE}"),
        ("push", adapter, url, "--again", "--poll-interval", "0.02"),
        ("clean", url),
        ("doctor", url),
        ("delete", job.id),
        ("import", url, "--base-model", HOSTILE),
        ("explain", HOSTILE),
        ("check", adapter, f"--no-such{HOSTILE}"),
        ("jobs", "--status", HOSTILE),
        ("sandbox", "--seed-bucket", HOSTILE),
        ("sandbox", "--faults", f"no{HOSTILE}"),
        (f"no-command{HOSTILE}",),
    ]
    for each in words:
        assert_harmless(preflight(*each))
    assert {str(each[0]) for each in words} >= set(COMMANDS)
