"""The base models' figures, names and sums; the user's own files."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from math import prod
from pathlib import Path

import pytest

from preflight.catalog.base_models import BaseModel, find_base, load_bases
from preflight.errors import ConfigurationError
from preflight.findings import WeightType

Write = Callable[..., Path]

# code: tensors, parameters, of these in the vision tower, hidden, intermediate, layers,
# heads, kv heads; parameters as in the models' own index files and hub pages, see the
# sources in the data files.
FIGURES = {
    "qwen3-32b": (707, 32_762_123_264, 0, 5120, 25600, 64, 64, 8),
    "qwen3-14b": (443, 14_768_307_200, 0, 5120, 17408, 40, 40, 8),
    "qwen3-8b": (399, 8_190_735_360, 0, 4096, 12288, 36, 32, 8),
    "qwen3-4b-instruct-2507": (398, 4_022_468_096, 0, 2560, 9728, 36, 32, 8),
    "qwen3-vl-8b-instruct": (
        750, 8_767_123_696, 576_388_336, 4096, 12288, 36, 32, 8,
    ),
    "qwen2.5-72b-instruct": (963, 72_706_203_648, 0, 8192, 29568, 80, 64, 8),
    "qwen2.5-32b-instruct": (771, 32_763_876_352, 0, 5120, 27648, 64, 40, 8),
    "qwen2.5-14b-instruct": (579, 14_770_033_664, 0, 5120, 13824, 48, 40, 8),
    "qwen2.5-7b-instruct": (339, 7_615_616_512, 0, 3584, 18944, 28, 28, 4),
    "qwen2.5-vl-72b-instruct": (
        1353, 73_410_777_344, 704_573_696, 8192, 29568, 80, 64, 8,
    ),
    "qwen2.5-vl-7b-instruct": (
        729, 8_292_166_656, 676_550_144, 3584, 18944, 28, 28, 4,
    ),
}  # fmt: skip
# Keys of an adapter on all seven projections of the language model, and its parameters
# at rank 16, as PEFT writes them.
LORA = {
    "qwen3-32b": (896, 134_217_728), "qwen3-14b": (560, 64_225_280),
    "qwen3-8b": (504, 43_646_976), "qwen3-4b-instruct-2507": (504, 33_030_144),
    "qwen3-vl-8b-instruct": (504, 43_646_976),
    "qwen2.5-72b-instruct": (1120, 210_534_400),
    "qwen2.5-32b-instruct": (896, 134_217_728),
    "qwen2.5-14b-instruct": (672, 68_812_800), "qwen2.5-7b-instruct": (392, 40_370_176),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _no_user_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv("PREFLIGHT_BASES", raising=False)


@pytest.fixture
def user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    def write(content: object, name: str = "mine.json") -> Path:
        file = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content)
        file.write_text(text, "utf-8")
        monkeypatch.setenv("PREFLIGHT_BASES", str(file))
        return file

    return write


def base(code: str) -> BaseModel:
    found = find_base(code)
    assert found is not None
    return found


def entry(**changes: object) -> dict[str, object]:
    small = {
        "code": "own-1.7b", "hub_id": "me/Own-1.7B", "hidden_size": 2048,
        "intermediate_size": 6144, "layers": 28, "heads": 16, "kv_heads": 8,
        "tied_embeddings": True, "source": "its hub page",
    }  # fmt: skip
    return {**small, **changes}


def document(*models: object, **more: object) -> dict[str, object]:
    return {"family": "qwen3", "date": "2026-12", "models": list(models), **more}


def test_figures_sums_and_counts() -> None:
    for code in FIGURES:
        tensors, parameters, visual, *dimensions = FIGURES[code]
        model = base(code)
        specs = model.checkpoint_tensors()
        assert len(specs) == len({spec.name for spec in specs}) == tensors
        assert sum(prod(spec.shape) for spec in specs) == model.parameters == parameters
        assert model.total_bytes_bf16 == 2 * parameters
        seen = [s for s in specs if "visual" in s.name.split(".")]
        assert sum(prod(s.shape) for s in seen) == model.vision_parameters == visual
        assert (model.vision is not None) == bool(visual)
        assert dimensions == [
            model.hidden_size, model.intermediate_size, model.layers, model.heads,
            model.kv_heads,
        ]  # fmt: skip
        assert model.head_dim == 128
        assert not any("{" in spec.name for spec in specs)


def test_linear_shapes_give_the_size_of_an_adapter() -> None:
    for code in LORA:
        keys, parameters = LORA[code]
        model = base(code)
        shapes = [linear.shape for linear in model.linears.values()]
        assert len(shapes) == 7
        assert 2 * len(shapes) * model.layers == keys
        sides = sum(sum(shape) for shape in shapes)
        assert 16 * sides * model.layers == parameters


def test_linear_shape() -> None:
    for code, module, shape in [
        ("qwen3-32b", "self_attn.q_proj", (8192, 5120)),  # wider than the hidden size
        ("qwen3-4b-instruct-2507", "self_attn.o_proj", (2560, 4096)),
        ("qwen2.5-7b-instruct", "self_attn.k_proj", (512, 3584)),
        # The same name exists in its vision tower with other sizes.
        ("qwen2.5-vl-7b-instruct", "mlp.gate_proj", (18944, 3584)),
        ("qwen2.5-vl-7b-instruct", "attn.qkv", None),
        ("qwen3-vl-8b-instruct", "mlp.linear_fc1", None),
        ("qwen3-8b", "input_layernorm", None),
        ("qwen3-8b", "self_attn.up_proj", None),
    ]:
        found = base(code).linears.get(module)
        assert (found.shape if found else None) == shape


def test_names_on_disk() -> None:
    for code, name, shape in [
        ("qwen3-8b", "model.layers.35.self_attn.q_norm.weight", (128,)),
        ("qwen2.5-72b-instruct", "model.layers.79.self_attn.k_proj.bias", (1024,)),
        ("qwen2.5-vl-7b-instruct", "visual.merger.mlp.2.weight", (3584, 5120)),
        (
            "qwen2.5-vl-72b-instruct",
            "visual.blocks.31.mlp.down_proj.weight",
            (1280, 3456),
        ),
        (
            "qwen3-vl-8b-instruct",
            "model.visual.deepstack_merger_list.2.norm.bias",
            (4608,),
        ),
        (
            "qwen3-vl-8b-instruct",
            "model.visual.patch_embed.proj.weight",
            (1152, 3, 2, 16, 16),
        ),
        (
            "qwen3-vl-8b-instruct",
            "model.language_model.layers.0.mlp.up_proj.weight",
            (12288, 4096),
        ),
    ]:
        assert {s.name: s.shape for s in base(code).checkpoint_tensors()}[name] == shape


def test_tied_model_has_no_output_layer_on_disk() -> None:
    for code in FIGURES:
        names = {spec.name for spec in base(code).checkpoint_tensors()}
        assert ("lm_head.weight" in names) == (code != "qwen3-4b-instruct-2507")


def test_tokens() -> None:
    for code in FIGURES:
        model = base(code)
        last = "</think>" if code.startswith("qwen3") else "<|file_sep|>"
        assert model.tokenizer_length == 151643 + len(model.added_tokens)
        assert model.added_tokens[last] == model.tokenizer_length - 1
        assert model.added_tokens["<|endoftext|>"] == model.pad_token_id
        assert model.added_tokens["<|im_end|>"] == model.eos_token_id == 151645
        assert model.added_tokens["<|vision_pad|>"] == 151654
        assert model.added_tokens["<|file_sep|>"] == 151664
        assert model.generation_eos == (151645, 151643)
        assert model.tokenizer_length == (
            151669 if code.startswith("qwen3") else 151665
        )
        assert model.vocab_size == (151936 if code.startswith("qwen3") else 152064)


def test_templates() -> None:
    for prefix, code, start, size, newline in [
        ("qwen3-", "qwen3-32b", "a55ee1b1", 4168, False),
        ("qwen3-4b", "qwen3-4b-instruct-2507", "64f85b19", 2630, False),
        ("qwen2.5-", "qwen2.5-7b-instruct", "cd8e9439", 2507, True),
        ("qwen2.5-vl", "qwen2.5-vl-7b-instruct", "a0bc6f6f", 1017, False),
        ("qwen3-vl", "qwen3-vl-8b-instruct", "3636d0f0", 5292, True),
    ]:
        model = base(code)
        assert code.startswith(prefix)
        assert [digest[:8] for digest in model.template_sha256] == [start]
        assert (model.template_bytes, model.template_ends_with_newline) == (
            size,
            newline,
        )


def test_prefixes_of_adapters() -> None:
    text = "base_model.model.model.layers."
    inner = "base_model.model.model.language_model.layers."
    assert base("qwen3-8b").lora_prefixes == (text,)
    assert set(base("qwen2.5-vl-7b-instruct").lora_prefixes) == {inner, text}
    assert base("qwen3-vl-8b-instruct").lora_prefixes == (inner,)


def test_weight_types() -> None:
    only_lora = {"qwen3-4b-instruct-2507", "qwen3-vl-8b-instruct"}
    for code in FIGURES:
        model = base(code)
        assert WeightType.LORA in model.importable
        assert (WeightType.FULL in model.importable) == (code not in only_lora)


def test_config_of_a_text_model() -> None:
    assert base("qwen3-8b").config() == {
        "architectures": ["Qwen3ForCausalLM"], "attention_bias": False,
        "attention_dropout": 0.0, "bos_token_id": 151643, "eos_token_id": 151645,
        "head_dim": 128, "hidden_act": "silu", "hidden_size": 4096,
        "initializer_range": 0.02, "intermediate_size": 12288,
        "max_position_embeddings": 40960, "max_window_layers": 36,
        "model_type": "qwen3", "num_attention_heads": 32, "num_hidden_layers": 36,
        "num_key_value_heads": 8, "rms_norm_eps": 1e-06, "rope_scaling": None,
        "rope_theta": 1000000, "sliding_window": None, "tie_word_embeddings": False,
        "torch_dtype": "bfloat16", "use_cache": True, "use_sliding_window": False,
        "vocab_size": 151936,
    }  # fmt: skip


def test_config_differs_where_the_models_differ() -> None:
    small = base("qwen3-4b-instruct-2507").config()
    assert small["rope_theta"] == 5_000_000
    assert small["max_position_embeddings"] == 262_144
    assert small["tie_word_embeddings"] is True
    assert "head_dim" not in base("qwen2.5-7b-instruct").config()
    assert base("qwen2.5-7b-instruct").config()["max_window_layers"] == 28
    assert base("qwen2.5-14b-instruct").config()["max_window_layers"] == 70
    seeing = base("qwen2.5-vl-72b-instruct").config()
    assert seeing["vision_config"]["out_hidden_size"] == 8192
    assert seeing["rope_scaling"]["mrope_section"] == [16, 24, 24]
    inner = base("qwen3-vl-8b-instruct").config()
    assert inner["text_config"]["num_hidden_layers"] == 36
    assert inner["vision_config"]["deepstack_visual_indexes"] == [8, 16, 24]
    assert "hidden_size" not in inner


def test_config_is_a_copy_that_may_be_changed() -> None:
    config = base("qwen3-vl-8b-instruct").config()
    config["vision_config"]["depth"] = 1
    config["vision_config"]["deepstack_visual_indexes"].append(0)
    again = base("qwen3-vl-8b-instruct").config()["vision_config"]
    assert (again["depth"], again["deepstack_visual_indexes"]) == (27, [8, 16, 24])


def test_every_model_tells_its_source_and_date() -> None:
    for model in load_bases().values():
        assert "hub page" in model.source
        assert "importable: " in model.source
        assert model.date.startswith("2026")


def test_find_base() -> None:
    for name, code in [
        ("qwen3-8b", "qwen3-8b"),
        ("QWEN3-8B ", "qwen3-8b"),
        ("qwen/qwen2.5-vl-7b-INSTRUCT", "qwen2.5-vl-7b-instruct"),
        ("qwen2.5-7b", None),
        ("", None),
    ]:
        found = find_base(name)
        assert (found.code if found else None) == code


def test_a_user_adds_a_model_with_one_entry(user_file: Write) -> None:
    before = len(load_bases())
    user_file(document(entry(parameters=1_720_574_976)))
    added = base("own-1.7b")
    assert added.parameters == 1_720_574_976
    assert added.linears["mlp.down_proj"].shape == (2048, 6144)
    assert added.template_sha256 == base("qwen3-8b").template_sha256
    assert added.date == "2026-12"
    assert len(load_bases()) == before + 1


def test_a_user_replaces_single_fields(user_file: Write) -> None:
    known, before = len(load_bases()), base("qwen3-8b")
    digests = [*before.template_sha256, "0" * 64]
    change = {"code": "Qwen3-8B", "template_sha256": digests, "config": {"x": 1}}
    file = user_file(document(change))
    after = base("qwen3-8b")
    assert after.template_sha256 == (*before.template_sha256, "0" * 64)
    assert after.parameters == before.parameters
    assert after.config() == {**before.config(), "x": 1}
    assert str(file) in after.source
    assert len(load_bases()) == known
    assert base("qwen3-14b").template_sha256 == before.template_sha256


def test_a_user_brings_a_family(user_file: Write) -> None:
    tensors = {"embed.weight": "vocab hidden", "layers.{layer}.mlp.fc.weight": "q kv"}
    shared = {
        "architecture": "TinyForCausalLM", "model_type": "tiny", "head_dim": 2,
        "vocab_size": 10, "vocab_entries": 6, "added_tokens": ["<a>", "<b>"],
        "vocab_sha256": "a" * 64, "merges_sha256": "b" * 64, "importable": ["full"],
        "template_sha256": ["c" * 64], "template_bytes": 3, "bos_token_id": 0,
        "template_ends_with_newline": False, "eos_token_id": 6, "pad_token_id": 7,
        "generation_eos": [6], "lora_prefixes": ["base_model.model.layers."],
        "tensors": tensors, "config": {"layers": "$layers"},
    }  # fmt: skip
    model = entry(code="tiny-1", hub_id="me/tiny-1", layers=3)
    user_file({"family": "tiny", "shared": shared, "models": [model]})
    tiny = base("me/Tiny-1")
    assert tiny.parameters == 10 * 2048 + 3 * (32 * 16)
    assert tiny.linears["mlp.fc"].shape == (32, 16)
    assert dict(tiny.added_tokens) == {"<a>": 6, "<b>": 7}
    assert tiny.config() == {"layers": 3}
    assert tiny.importable == {WeightType.FULL}
    assert tiny.date == "undated"


def test_the_configuration_directory_and_then_the_variable(
    tmp_path: Path, user_file: Write
) -> None:
    directory = tmp_path / "config" / "preflight" / "bases"
    directory.mkdir(parents=True)
    first = document(entry(source="one"), entry(code="extra", hub_id="me/extra"))
    (directory / "a.json").write_text(json.dumps(first))
    (directory / "note.txt").write_text("not read")
    user_file(document({"code": "own-1.7b", "source": "two"}))
    assert base("own-1.7b").source == "two"
    assert base("extra").hub_id == "me/extra"


def test_the_variable_may_name_a_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFLIGHT_BASES", str(tmp_path))
    with pytest.raises(ConfigurationError, match=r"PREFLIGHT_BASES.*no directory"):
        load_bases()
    text = "\ufeff" + json.dumps(document(entry()))  # as Windows editors write
    (tmp_path / "b.json").write_text(text, "utf-8")
    assert base("own-1.7b").layers == 28


# Changes of an entry, and the field that the error names.
MALFORMED: list[tuple[dict[str, object], str]] = [
    ({"hidden_size": "2048"}, "hidden_size"),
    ({"hidden_size": 0}, "hidden_size"),
    ({"layers": True}, "layers"),
    ({"heads": None}, "heads"),
    ({"code": ""}, "code"),
    ({"source": 5}, "source"),
    ({"tied_embeddings": "no"}, "tied_embeddings"),
    ({"importable": ["lora", "qlora"]}, "importable"),
    ({"importable": []}, "importable"),
    ({"importable": "lora"}, "importable"),
    ({"added_tokens": ["<a>", "<a>"]}, "added_tokens"),
    ({"template_sha256": ["abc"]}, "template_sha256"),
    ({"vocab_sha256": "A" * 64}, "vocab_sha256"),
    ({"generation_eos": [1, "2"]}, "generation_eos"),
    ({"tensors": {"a.weight": "hiden"}}, "tensors"),
    ({"tensors": {"a.{block}.weight": "hidden"}}, "tensors"),
    ({"tensors": {"a.weight": 3}}, "tensors"),
    ({"tensors": {"a.weight": "v_hidden"}}, "tensors"),
    ({"tensors": {"a.{expert}.weight": "hidden"}}, "tensors"),
    ({"counters": {"layer": 3}}, "counters"),
    ({"counters": {"expert": 0}}, "counters"),
    ({"sizes": {"wide": "1"}}, "sizes"),
    ({"config": {"a": {"b": ["$no_figure"]}}}, "config"),
    ({"config": []}, "config"),
    ({"vision": {"depth": 1}}, "vision.hidden_size"),
    ({"parameters": 1}, "parameters"),
    ({"vocab_size": 151_668}, "vocab_size"),
    ({"hiden_size": 1}, "hiden_size"),
]


def test_a_malformed_entry_is_named(user_file: Write) -> None:
    for index, (changes, named) in enumerate(MALFORMED):
        file = user_file(document(entry(**changes)), f"{index}.json")
        with pytest.raises(ConfigurationError) as caught:
            load_bases()
        assert f"{file}: models[0].{named}" in caught.value.message
        assert caught.value.hint


def test_a_typing_error_gets_a_suggestion(user_file: Write) -> None:
    user_file(document(entry(hiden_size=1)))
    with pytest.raises(ConfigurationError) as caught:
        load_bases()
    assert caught.value.hint == "did you mean hidden_size"


def test_a_malformed_file_is_named(user_file: Write) -> None:
    for index, (content, said) in enumerate(
        [
            ("{", "cannot be read as JSON"),
            ("[" * 100_000, "cannot be read as JSON"),
            ("[]", "expected `object`"),
            ({}, ".family is missing"),
            ({"family": "qwen3"}, ".models is missing"),
            ({"family": "qwen3", "models": [3]}, "models[0] is not as it must be"),
            ({"family": "qwen3", "models": [{}]}, "models[0].code is missing"),
            (
                {"family": "qwen3", "models": [], "shard": {}},
                ".shard is no known field",
            ),
            (
                {"family": "q", "models": [{"code": "a"}]},
                "models[0].hub_id is missing",
            ),
            (
                {"family": "q", "shared": 1, "models": []},
                ".shared is not as it must be",
            ),
        ]
    ):
        file = user_file(content, f"{index}.json")
        with pytest.raises(ConfigurationError) as caught:
            load_bases()
        assert str(file) in caught.value.message
        assert said in caught.value.message


def test_a_file_that_is_missing_or_not_text(
    tmp_path: Path, user_file: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_file("").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match=r"mine\.json cannot be read"):
        load_bases()
    monkeypatch.setenv("PREFLIGHT_BASES", str(tmp_path / "none.json"))
    with pytest.raises(ConfigurationError, match=r"none\.json is no file"):
        load_bases()


def test_models_are_made_once() -> None:
    assert load_bases() is load_bases()
    assert (
        base("qwen3-8b").checkpoint_tensors() is base("qwen3-8b").checkpoint_tensors()
    )


def test_loading_needs_no_heavy_import() -> None:
    code = (
        "import sys; import preflight.model.identity as i; i.identify('qwen3-8b');"
        "print({'oss2', 'requests', 'numpy', 'difflib'} & {*sys.modules})"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("set()", "")


def test_configuration_directory_of_another_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a container with a user id of its own the home may not be looked into."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / ("x" * 300)))
    assert "qwen3-8b" in load_bases()
