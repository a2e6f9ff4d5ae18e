"""Where a copy of the base is found, and what is taken from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL, write_tiny_bases
from preflight.catalog.base_models import BaseModel, load_bases
from preflight.errors import UsageError
from preflight.findings import Unavailable, WeightType
from preflight.model.base_choice import Request
from preflight.model.base_config import GeneratedFile, base_config
from preflight.model.base_lookup import find_reference
from preflight.model.inspection import inspect
from preflight.model.reference import Reference, WrongReference

HUB_NAME = "models--fixtures--Tiny-Text"


@pytest.fixture(autouse=True)
def _own_caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(tmp_path / "bases")))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))


@pytest.fixture
def tiny(_own_caches: None) -> BaseModel:
    del _own_caches
    return load_bases()[TINY_TEXT]


def _copy(directory: Path, base: str = TINY_TEXT) -> Path:
    return build_full(
        directory, base=base, sparse=False, shard_bytes=60_000, template=TINY_TEMPLATE
    )


def _snapshot(root: Path, revision: str, *, main: bool = False) -> Path:
    folder = root / HUB_NAME
    if main:
        (folder / "refs").mkdir(parents=True, exist_ok=True)
        (folder / "refs" / "main").write_text(revision)
    return _copy(folder / "snapshots" / revision)


def test_nothing_at_hand(tiny: BaseModel) -> None:
    found = find_reference(None, tiny)
    assert isinstance(found, Unavailable)
    assert "fixtures/Tiny-Text" in found.reason


def test_base_dir_is_read(tiny: BaseModel, tmp_path: Path) -> None:
    found = find_reference(_copy(tmp_path / "base"), tiny)
    assert isinstance(found, Reference)
    assert isinstance(found.shapes, dict)
    assert set(found.shapes) == {spec.name for spec in tiny.checkpoint_tensors()}
    assert [t.text for t in found.templates] == [TINY_TEMPLATE]
    document = found.tokenizer.document
    assert not isinstance(document, Unavailable)
    assert len(document["added_tokens"]) == 26


def test_base_dir_without_config(tiny: BaseModel, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no config\.json"):
        find_reference(tmp_path, tiny)


def test_base_dir_of_another_model(tiny: BaseModel, tmp_path: Path) -> None:
    other = find_reference(_copy(tmp_path / "vl", TINY_VL), tiny)
    assert isinstance(other, WrongReference)
    assert "type qwen2_5_vl, tiny-text is qwen3" in other.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"hidden_size": 128}, "hidden_size is 128, not 64"),
        ({"quantization_config": {"bits": 4}}, "is a quantised model"),
    ],
)
def test_base_dir_of_a_changed_copy(
    tiny: BaseModel, tmp_path: Path, change: dict[str, object], words: str
) -> None:
    directory = _copy(tmp_path / "base")
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    found = find_reference(directory, tiny)
    assert isinstance(found, WrongReference)
    assert words in found.reason


def test_base_dir_whose_name_is_another_models(tmp_path: Path) -> None:
    base = load_bases()["qwen2.5-7b-instruct"]
    directory = build_full(tmp_path / "Qwen2.5-Coder-7B-Instruct", base=base)
    found = find_reference(directory, base)
    assert isinstance(found, WrongReference)
    assert "by its name Qwen/Qwen2.5-Coder-7B-Instruct" in found.reason


def test_snapshot_of_main_comes_first(tiny: BaseModel, tmp_path: Path) -> None:
    _snapshot(tmp_path / "hf", "aaaa")
    main = _snapshot(tmp_path / "hf", "bbbb", main=True)
    _snapshot(tmp_path / "hf", "cccc")
    found = find_reference(None, tiny)
    assert isinstance(found, Reference)
    assert found.directory == main
    assert found.origin == "the Hugging Face cache"


def test_any_snapshot_does_without_a_ref(tiny: BaseModel, tmp_path: Path) -> None:
    only = _snapshot(tmp_path / "hf", "aaaa")
    (tmp_path / "hf" / HUB_NAME / "snapshots" / "empty").mkdir()
    found = find_reference(None, tiny)
    assert isinstance(found, Reference)
    assert found.directory == only


def test_hf_home(
    tiny: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_HUB_CACHE")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    only = _snapshot(tmp_path / "home" / "hub", "aaaa")
    found = find_reference(None, tiny)
    assert isinstance(found, Reference)
    assert found.directory == only


@pytest.mark.parametrize(
    "place",
    [
        "modelscope/hub/models/fixtures/Tiny-Text",
        "modelscope/models/fixtures/Tiny-Text",
        "modelscope/hub/fixtures/Tiny-Text",
        "modelscope/fixtures/Tiny-Text",
    ],
)
def test_modelscope(tiny: BaseModel, tmp_path: Path, place: str) -> None:
    _copy(tmp_path / place)
    found = find_reference(None, tiny)
    assert isinstance(found, Reference)
    assert found.origin == "the ModelScope cache"


def test_modelscope_spells_dots_otherwise(tmp_path: Path) -> None:
    base = load_bases()["qwen2.5-7b-instruct"]
    directory = tmp_path / "modelscope/hub/models/Qwen/Qwen2___5-7B-Instruct"
    build_full(directory, base=base)
    found = find_reference(None, base)
    assert isinstance(found, Reference)
    assert found.directory == directory


def test_cached_copy_of_another_model_is_passed_over(
    tiny: BaseModel, tmp_path: Path
) -> None:
    path = _snapshot(tmp_path / "hf", "aaaa") / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "hidden_size": 1}))
    assert isinstance(find_reference(None, tiny), Unavailable)


def test_partial_snapshot_serves_for_the_rest(tiny: BaseModel, tmp_path: Path) -> None:
    directory = _snapshot(tmp_path / "hf", "aaaa")
    sorted(directory.glob("model-*.safetensors"))[-1].unlink()
    found = find_reference(None, tiny)
    assert isinstance(found, Reference)
    assert isinstance(found.shapes, Unavailable)
    assert "lacks model-" in found.shapes.reason
    for path in directory.glob("model*"):
        path.unlink()
    found = find_reference(None, tiny)
    assert isinstance(found, Reference)
    assert isinstance(found.shapes, Unavailable)
    assert [t.text for t in found.templates] == [TINY_TEMPLATE]


def test_broken_shard_of_the_base(tiny: BaseModel, tmp_path: Path) -> None:
    directory = _copy(tmp_path / "base")
    sorted(directory.glob("model-*.safetensors"))[0].write_bytes(b"short")
    found = find_reference(directory, tiny)
    assert isinstance(found, Reference)
    assert isinstance(found.shapes, Unavailable)
    assert isinstance(found.containers, Unavailable)


def _adapter(directory: Path, base: str) -> Path:
    directory.mkdir()
    config = {"r": 8, "base_model_name_or_path": base}
    (directory / "adapter_config.json").write_text(json.dumps(config))
    return directory


def test_path_that_the_adapter_names(tiny: BaseModel, tmp_path: Path) -> None:
    base = _copy(tmp_path / "Tiny-Text")
    found = inspect(_adapter(tmp_path / "adapter", str(base)))
    assert found.base is tiny
    assert isinstance(found.reference, Reference)
    assert found.reference.directory == base


def test_name_of_base_dir_tells_the_base(tiny: BaseModel, tmp_path: Path) -> None:
    base = _copy(tmp_path / "Tiny-Text")
    adapter = _adapter(tmp_path / "adapter", "/mnt/ckpt/final")
    assert isinstance(inspect(adapter).base, Unavailable)
    assert inspect(adapter, Request(base_dir=base)).base is tiny


def test_config_for_an_adapter(tiny: BaseModel, tmp_path: Path) -> None:
    adapter = _adapter(tmp_path / "adapter", "fixtures/Tiny-Text")
    made = base_config(inspect(adapter))
    assert isinstance(made, GeneratedFile)
    assert json.loads(made.content) == tiny.config()
    assert made.name == "config.json"
    assert "catalog" in made.origin
    copied = _snapshot(tmp_path / "hf", "aaaa") / "config.json"
    made = base_config(inspect(adapter))
    assert isinstance(made, GeneratedFile)
    assert made.content == copied.read_bytes()
    assert made.origin == "the Hugging Face cache"


def test_no_config_where_none_is_missing(tmp_path: Path) -> None:
    full = _copy(tmp_path / "full")
    assert isinstance(base_config(inspect(full)), Unavailable)
    nameless = _adapter(tmp_path / "adapter", "/mnt/ckpt/final")
    assert isinstance(base_config(inspect(nameless)), Unavailable)
    shutil.copy(full / "config.json", nameless)
    request = Request(WeightType.LORA, base_model=TINY_TEXT)
    own = base_config(inspect(nameless, request))
    assert isinstance(own, Unavailable)
    assert "of its own" in own.reason


def test_caches_that_may_not_be_looked_into_hold_nothing(
    tiny: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another user's home does: asking for a file there is an error, not a no."""
    closed = tmp_path / ("x" * 300)  # too long a name fails for root, too
    monkeypatch.setenv("MODELSCOPE_CACHE", str(closed))
    assert isinstance(find_reference(None, tiny), Unavailable)
    with pytest.raises(UsageError):
        find_reference(closed, tiny)
