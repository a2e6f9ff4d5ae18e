"""`show` and `diff` as their users see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from tests.running import InProcess, tiny_adapter


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys)


def test_the_map_has_a_line_a_layer(preflight: InProcess, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    FAULTS["b-some-zero"].apply(adapter)
    done = preflight("show", adapter)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].split()[0] == "layer"
    assert [line.split()[0] for line in lines[1:3]] == ["0", "1"]
    assert "000" in lines[1]
    assert "█" in lines[2]
    assert lines[-1].endswith("zero; 0 zero")
    found = preflight("show", adapter, "--format", "json").document["map"]
    assert len(found["modules"]) == len(found["layers"]) * len(found["kinds"])


def test_what_is_no_adapter_has_no_map(preflight: InProcess, tmp_path: Path) -> None:
    done = preflight("show", tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "no adapter" in done.told()[0]


def test_what_differs_between_two_checkpoints(
    preflight: InProcess, tmp_path: Path
) -> None:
    one = tiny_adapter(tmp_path / "one")
    other = tiny_adapter(tmp_path / "other", seed=7)
    config = json.loads((other / "adapter_config.json").read_text("utf-8"))
    config["lora_alpha"] = 64
    (other / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    done = preflight("diff", one, other)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0] == "config  lora_alpha: 32 -> 64"
    assert lines[1].split() == [
        "module",
        "norm",
        "in",
        "A",
        "norm",
        "in",
        "B",
        "cosine",
    ]
    assert lines[-1].startswith("4 modules in both, mean cosine ")
    same = preflight("diff", one, one)
    assert same.out == "no difference in 4 modules\n"
    refused = preflight("diff", one, tmp_path)
    assert refused.code == 2
