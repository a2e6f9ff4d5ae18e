"""`show` and `diff` as their users see them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, write_tiny_bases
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
    assert "LoRA rank 16" in lines[0]
    assert lines[2].split() == ["layer", "q_proj", "v_proj"]
    assert [line.split()[0] for line in lines[3:5]] == ["0", "1"]
    assert "000" in lines[3]
    assert "█" in lines[4]
    assert "0 zero" in lines[-2]
    assert lines[-1].endswith("zero")
    found = preflight("show", adapter, "--format", "json").document["map"]
    assert found["measure"] == "update"
    assert len(found["modules"]) == len(found["layers"]) * len(found["kinds"])


def test_what_has_no_map_says_why(preflight: InProcess, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "config.json").write_text("{}")
    for directory, hint in ((tmp_path, "preflight check"), ("full", "--base-dir")):
        done = preflight("show", tmp_path / directory)
        assert (done.code, done.out) == (2, "")
        assert "has no map" in done.told()[0]
        assert hint in done.told()[1]


def test_what_differs_between_two_checkpoints(
    preflight: InProcess, tmp_path: Path
) -> None:
    one = tiny_adapter(tmp_path / "one")
    other = tiny_adapter(tmp_path / "other", seed=7)
    config = json.loads((other / "adapter_config.json").read_text("utf-8"))
    config["lora_alpha"] = 64
    config["target_modules"] = ["o_proj", "v_proj"]
    (other / "adapter_config.json").write_text(json.dumps(config), "utf-8")
    done = preflight("diff", one, other)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert "config  lora_alpha: 32 -> 64" in lines
    assert "config  target_modules: A has q_proj; B has o_proj" in lines
    whole = next(line for line in lines if line.startswith("all "))
    assert whole.split()[-1].startswith(("0.0", "-0.0"))  # of noise and noise
    assert len([line for line in lines if line.startswith("layer ")]) == 4
    found = preflight("diff", one, other, "--format", "json").document["difference"]
    assert len(found["modules"]) == 4
    same = preflight("diff", one, one)
    assert same.out.endswith("\nno difference in 4 modules\n")
    refused = preflight("diff", one, tmp_path)
    assert refused.code == 2


def test_full_weights_beside_their_base(
    preflight: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tiny_bases(tmp_path / "bases")
    monkeypatch.setenv("PREFLIGHT_BASES", str(tmp_path / "bases"))
    base, one, other = (
        build_full(
            tmp_path / str(seed),
            base=TINY_TEXT,
            sparse=False,
            template=TINY_TEMPLATE,
            seed=seed,
        )
        for seed in range(3)
    )
    flags = ("--base-model", TINY_TEXT, "--base-dir", base)
    shown = preflight("show", one, *flags)
    assert shown.code == 0, shown.err
    assert "of the base's norm" in shown.out.splitlines()[-1]
    found = preflight("show", one, *flags, "--format", "json").document["map"]
    assert found["measure"] == "change"
    for words, measure in ((flags, "change"), (flags[:2], "weights")):
        told = preflight("diff", one, other, *words, "--format", "json").document
        assert told["difference"]["measure"] == measure
    page = tmp_path / "page.html"
    checked = preflight("check", one, *flags, "--output", page)
    assert checked.code in (0, 1), checked.err
    assert "moved each module from the base" in page.read_text("utf-8")
    assert preflight("check", one, *flags[:2], "--output", page).code in (0, 1)
    assert "No map of what training changed: the base is not" in page.read_text("utf-8")
