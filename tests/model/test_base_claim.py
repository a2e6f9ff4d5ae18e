"""What a directory says of its base, and which bases it can be of without a word."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from preflight.catalog.base_models import load_bases
from preflight.findings import Unavailable, WeightType
from preflight.model.base_choice import Request
from preflight.model.base_claim import (
    BaseClaim,
    choose_base,
    named_by,
    named_path,
    read_claim,
)
from preflight.model.configs import JsonObject
from preflight.model.guess import guess_bases
from preflight.model.headers import Tensor
from preflight.model.identity import Match
from preflight.model.inspection import inspect
from preflight.model.lora import lora_view
from tests.cases import case

NONE = Unavailable("it is not there")
FIELD = "base_model_name_or_path"


def _claim(name: object, **args: object) -> BaseClaim:
    documents: dict[str, Any] = {"adapter_config.json": {FIELD: name}}
    if args:
        documents["args.json"] = args
    return read_claim(documents, WeightType.LORA)


def test_claim() -> None:
    cases: list[tuple[object, dict[str, object], Match]] = [
        ("Qwen/Qwen3-8B", {}, Match.IMPORTABLE),
        ("/mnt/ckpt", {"model": "Qwen/Qwen3-8B"}, Match.IMPORTABLE),
        (None, {"model_id_or_path": "Qwen/Qwen3-8B"}, Match.IMPORTABLE),
        ("google/gemma-2-9b", {"model": "Qwen/Qwen3-8B"}, Match.UNKNOWN),
        ("/mnt/ckpt", {"model": 7}, Match.CANNOT_TELL),
        ("Qwen/QwQ-32B", {}, Match.RELATIVE),
    ]
    for name, args, match in cases:
        with case(name, args, match):
            found = _claim(name, **args).identity
            assert found is not None
            assert found.match is match


def test_mlx_names_the_base_in_a_field_of_its_own() -> None:
    documents = {"adapter_config.json": {"model": "mlx-community/Qwen3-8B-4bit"}}
    found = read_claim(documents, WeightType.LORA)
    assert found.where == "adapter_config.json: model"
    assert found.identity is not None
    assert found.identity.quantised == "4bit"


def test_no_claim() -> None:
    cases: list[object] = [None, "", "  ", 8, ["Qwen/Qwen3-8B"], {}]
    for name in cases:
        with case(name):
            assert _claim(name).identity is None


def test_claim_of_full_weights() -> None:
    documents = {"config.json": {"_name_or_path": "Qwen/Qwen3-8B"}}
    found = read_claim(documents, WeightType.FULL)
    assert found.where == "config.json: _name_or_path"
    assert read_claim(documents, WeightType.LORA).identity is None


def test_chosen_base() -> None:
    claim = _claim("Qwen/Qwen3-8B")
    assert choose_base(None, claim)[1] is load_bases()["qwen3-8b"]
    asked, base = choose_base("qwen3-14b", claim)
    assert not isinstance(asked, Unavailable)
    assert base is load_bases()["qwen3-14b"]
    for requested, said in ((None, _claim("/mnt/x")), ("nonsense", claim)):
        assert isinstance(choose_base(requested, said)[1], Unavailable)


def test_named_path(tmp_path: Path) -> None:
    assert named_path(_claim(str(tmp_path))) == tmp_path
    for name in (str(tmp_path / "gone"), "relative", "a\0b", "/" + "x" * 5000, ""):
        assert named_path(_claim(name)) is None
    assert named_path(BaseClaim()) is None
    assert named_path(_claim(str(tmp_path)), tmp_path) is None
    qwq = tmp_path / "QwQ-32B"
    qwq.mkdir()
    assert named_path(_claim(str(qwq))) == qwq


def test_the_named_base_is_looked_up(tmp_path: Path) -> None:
    named, model = tmp_path / "my-base", tmp_path / "model"
    named.mkdir()
    config = load_bases()["qwen3-14b"].config()
    (named / "config.json").write_text(json.dumps(config))
    model.mkdir()
    (model / "adapter_config.json").write_text(json.dumps({FIELD: str(named)}))
    found = inspect(model, Request(base_model="qwen3-8b")).claim.config
    assert found == config
    (named / "config.json").unlink()
    assert isinstance(inspect(model).claim.config, Unavailable)


def test_name_of_the_given_directory() -> None:
    nameless, known = _claim("/mnt/x"), _claim("Qwen/Qwen3-8B")
    assert named_by(Path("/models/Qwen3-14B"), nameless) == "Qwen/Qwen3-14B"
    assert named_by(Path("/models/Qwen3-14B"), known) is None
    assert named_by(Path("/models/Qwen3-14B-AWQ"), nameless) is None
    assert named_by(Path("/models/x"), nameless) is None
    assert named_by(None, nameless) is None


def _half(module: str, half: str, shape: tuple[int, int]) -> Tensor:
    name = f"base_model.model.{module}.lora_{half}.weight"
    return Tensor(name, "F32", shape, 0, 0)


def _pair(leaf: str, out: int, into: int, layer: int = 0) -> list[Tensor]:
    module = f"model.layers.{layer}.self_attn.{leaf}"
    return [_half(module, "A", (8, into)), _half(module, "B", (out, 8))]


def _codes(tensors: list[Tensor], config: JsonObject | Unavailable = NONE) -> list[str]:
    found = guess_bases(BaseClaim(), config, NONE, lora_view(tensors))
    return sorted(base.code for base in found)


def test_likely_base_of_an_adapter() -> None:
    """Other bases of these shapes may come to the catalogue; those of others do not."""
    one, both = _pair("q_proj", 4096, 4096), _pair("q_proj", 3584, 3584)
    small, vision = "qwen2.5-7b-instruct", "qwen2.5-vl-7b-instruct"
    others = {"qwen3-14b", "qwen3-vl-8b-instruct", "qwen2.5-14b-instruct"}
    known = {"qwen3-8b", small, vision, *others}
    assert set(_codes(one)) & known == {"qwen3-8b"}
    assert set(_codes(both)) & known == {small, vision}
    config = load_bases()["qwen2.5-vl-7b-instruct"].config()
    assert set(_codes(both, config)) & known == {vision}
    assert _codes(both, {"model_type": "gpt2"}) == _codes(both)


def test_adapter_that_fits_none() -> None:
    cases: list[list[Tensor]] = [
        [],
        _pair("q_proj", 4096, 4095),
        _pair("q_proj", 4096, 4096, layer=36),
        _pair("w1", 4096, 4096),
        [_half("visual.blocks.0.attn.qkv", "A", (8, 8))],
    ]
    for tensors in cases:
        with case(tensors):
            assert _codes(tensors) == []


def _full(code: str, without: str = "never") -> tuple[Tensor, ...]:
    specs = load_bases()[code].checkpoint_tensors()
    return tuple(
        Tensor(s.name, "BF16", s.shape, 0, 0) for s in specs if without not in s.name
    )


def test_likely_base_of_full_weights() -> None:
    cases: list[str] = [
        "qwen3-8b",
        "qwen3-32b",
        "qwen2.5-vl-7b-instruct",
        "qwen3-vl-8b-instruct",
    ]
    for code in cases:
        with case(code):
            base = load_bases()[code]
            for config, tensors in (
                (base.config(), NONE),
                (base.config(), ()),
                (NONE, _full(code)),
                ({}, _full(code, "layers.1.self_attn")),
            ):
                assert guess_bases(BaseClaim(), config, tensors, NONE) == (base,)


def test_full_weights_that_are_like_none() -> None:
    few = _full("qwen3-8b", "layers")
    assert guess_bases(BaseClaim(), NONE, few, NONE) == ()
    assert guess_bases(BaseClaim(), NONE, NONE, NONE) == ()
    assert guess_bases(BaseClaim(), {"model_type": ["odd"]}, (), NONE) == ()


def test_another_models_name_is_believed() -> None:
    claim = _claim("deepseek-ai/DeepSeek-R1-0528-Qwen3-8B")
    assert guess_bases(claim, NONE, _full("qwen3-8b"), NONE) == ()
