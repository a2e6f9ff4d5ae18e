"""One reading of a directory, and what becomes of what is not there."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.full import build_full
from preflight.errors import UsageError
from preflight.findings import Unavailable, WeightType
from preflight.model.base_choice import Request
from preflight.model.inspection import inspect
from preflight.model.reference import WrongReference


@pytest.fixture(autouse=True)
def _no_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))


def test_adapter(tmp_path: Path) -> None:
    found = inspect(build_adapter(tmp_path / "a", base="qwen3-8b", tiny=True))
    assert found.weight_type is WeightType.LORA
    assert not isinstance(found.base, Unavailable)
    assert (found.base.code, found.compared) == ("qwen3-8b", found.base)
    assert found.candidates == (found.base,)
    assert isinstance(found.config, Unavailable)
    assert isinstance(found.reference, Unavailable)
    assert "Qwen/Qwen3-8B" in found.reference.reason


def _nameless(directory: Path) -> Path:
    path = directory / "adapter_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"base_model_name_or_path": "/mnt/x"}))
    return directory


def test_nameless_adapter_is_compared_with_the_only_base_it_fits(
    tmp_path: Path,
) -> None:
    found = inspect(_nameless(build_adapter(tmp_path / "a", base="qwen3-8b")))
    assert isinstance(found.base, Unavailable)
    assert not isinstance(found.compared, Unavailable)
    assert found.compared.code == "qwen3-8b"


def test_nameless_adapter_that_fits_two(tmp_path: Path) -> None:
    """Text and vision models of Qwen2.5-7B have the same language layers."""
    adapter = build_adapter(
        tmp_path / "a", base="qwen2.5-7b-instruct", tiny=True, trainer="peft-0.15"
    )
    found = inspect(_nameless(adapter))
    assert isinstance(found.compared, Unavailable)
    assert len(found.candidates) == 2


def test_given_base_tells_which_of_two_it_is(tmp_path: Path) -> None:
    adapter = build_adapter(
        tmp_path / "a", base="qwen2.5-7b-instruct", tiny=True, trainer="peft-0.15"
    )
    base = build_full(tmp_path / "base", base="qwen2.5-vl-7b-instruct")
    found = inspect(_nameless(adapter), Request(base_dir=base))
    assert not isinstance(found.compared, Unavailable)
    assert found.compared.code == "qwen2.5-vl-7b-instruct"
    assert isinstance(found.base, Unavailable)


def test_a_request_that_cannot_be_met_is_compared_with_nothing(tmp_path: Path) -> None:
    adapter = build_adapter(tmp_path / "a", base="qwen3-8b", tiny=True)
    found = inspect(adapter, Request(base_model="Qwen/QwQ-32B"))
    assert isinstance(found.compared, Unavailable)
    assert found.candidates == ()


def test_full_weights_of_145_gb(tmp_path: Path) -> None:
    found = inspect(build_full(tmp_path / "m", base="qwen2.5-72b-instruct"))
    assert found.weight_type is WeightType.FULL
    assert not isinstance(found.tensors, Unavailable)
    assert len(found.tensors) == 963
    assert sum(tensor.size for tensor in found.tensors) == 145_412_407_296
    assert not isinstance(found.compared, Unavailable)
    assert found.compared.code == "qwen2.5-72b-instruct"
    assert isinstance(found.base, Unavailable)


def test_whatever_would_be_uploaded_is_read(tmp_path: Path) -> None:
    directory = build_full(tmp_path / "m", base="qwen3-8b")
    (directory / "model.safetensors-1-of-2.safetensors").write_bytes(b"cut short")
    (directory / "model_old.safetensors").write_bytes(b"not uploaded")
    found = inspect(directory)
    assert not isinstance(found.containers, Unavailable)
    names = {container.file for container in found.containers}
    assert "model.safetensors-1-of-2.safetensors" in names
    assert "model_old.safetensors" not in names
    assert [reading.file for reading in found.spare] == ["model_old.safetensors"]
    assert isinstance(found.tensors, Unavailable)


def test_wrong_base_dir_is_no_reference(tmp_path: Path) -> None:
    adapter = build_adapter(tmp_path / "a", base="qwen3-8b", tiny=True)
    other = build_full(tmp_path / "base", base="qwen3-14b")
    found = inspect(adapter, Request(base_dir=other))
    assert isinstance(found.reference, WrongReference)
    assert "hidden_size is 5120, not 4096" in found.reference.reason


@pytest.mark.parametrize("make", [False, True])
def test_no_directory(make: bool, tmp_path: Path) -> None:
    path = tmp_path / "nothing"
    if make:
        path.write_text("a file")
    with pytest.raises(UsageError, match="directory"):
        inspect(path)
