from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from preflight.catalog.trainers import (
    UNUSABLE,
    Condition,
    Form,
    load_signatures,
    recognise,
)
from tests.cases import case

SIGNATURES = load_signatures()
DIRECTORY = Path("/models/run 1")


def ids(*names: str, documents: dict[str, object] | None = None) -> list[str]:
    """What is told of a directory with these entries, as `folder:id`."""
    found = recognise(names, documents or {})
    return [f"{one.folder}:{one.signature.id}" for one in found]


def test_every_signature_is_whole() -> None:
    assert len({one.id for one in SIGNATURES}) == len(SIGNATURES)
    for one in SIGNATURES:
        assert one.all_of or one.any_of
        assert urlsplit(one.source).scheme == "https"
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", one.date)
        assert not one.what.endswith(".")
        patterns = (*one.all_of, *one.any_of, *one.none_of)
        assert all(p and "/" not in p and p.strip("*") for p in patterns), one.id
        # Whoever is told that weights lie in vain is told what to do about it.
        assert one.form not in UNUSABLE or one.command or one.note, one.id


def test_the_trainers_people_use_are_there() -> None:
    known = {one.trainer for one in SIGNATURES}
    assert known >= {
        "PEFT", "TRL", "LLaMA-Factory", "ms-swift", "Axolotl", "Unsloth", "torchtune",
        "LitGPT", "verl", "OpenRLHF", "Megatron", "NeMo", "DeepSpeed", "FSDP",
        "mergekit", "MLX", "Tinker", "llama.cpp", "AutoAWQ", "AutoGPTQ",
    }  # fmt: skip


def test_commands_are_lines_that_a_shell_can_read() -> None:
    for one in SIGNATURES:
        (found, *_) = [
            trace
            for trace in recognise(_example(one.id), _documents(one.document))
            if trace.signature is one
        ]
        line = found.command(DIRECTORY)
        assert bool(line) == bool(one.command)
        assert not re.search(r"\{(directory|parent|name|file)\}", line)
        shlex.split(line)
        if line:
            subprocess.run(["sh", "-n", "-c", line], check=True)
        if "python -c" in line:
            words = shlex.split(line)
            compile(words[words.index("-c") + 1], one.id, "exec")


def _example(wanted: str) -> list[str]:
    """Names that fit the globs of one signature, and none that it must not have."""
    (one,) = [one for one in SIGNATURES if one.id == wanted]
    return [_fit(pattern) for pattern in (*one.all_of, *one.any_of[:1])]


def _fit(pattern: str) -> str:
    return pattern.replace("[0-9]*", "7").replace("*", "7")


def _documents(condition: Condition | None) -> dict[str, object]:
    if condition is None:
        return {}
    value: object = condition.values[0] if condition.values else "something"
    for part in reversed(condition.key.split(".")):
        value = {part: value}
    return {condition.file: value}


def test_recognised() -> None:
    cases: list[tuple[list[str], str]] = [
        (["model_world_size_4_rank_0.pt", "fsdp_config.json"], ":verl-fsdp"),
        (["config.json", "../model_world_size_2_rank_1.pt"], "..:verl-fsdp"),
        (["actor/model_world_size_2_rank_1.pt"], "actor:verl-fsdp"),
        (["dist_ckpt/a", "huggingface/config.json"], ":verl-megatron"),
        ([".metadata", "__0_0.distcp", "__1_0.distcp"], ":fsdp-dcp"),
        (["iter_0000100/__0_0.distcp", "iter_0000100/common.pt"],
         "iter_0000100:megatron-dist"),
        (["i/__0_0.distcp", "i/common.pt", "i/run_config.yaml"], "i:megatron-bridge"),
        (["pytorch_model_fsdp_0/__0_0.distcp"], ":fsdp-accelerate"),
        (["pytorch_model_fsdp.bin"], ":fsdp-whole"),
        (["pytorch_model_fsdp_rank0.bin"], ":fsdp-local"),
        (["zero_to_fp32.py", "latest", "global_step5/mp_rank_00_model_states.pt"],
         ":deepspeed-zero"),
        (["bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt"], ":deepspeed-step"),
        (["weights/__0_0.distcp", "context/model.yaml"], ":nemo-2"),
        (["qwen.nemo"], ":nemo-archive"),
        (["lit_model.pth", "model_config.yaml"], ":litgpt-full"),
        (["lit_model.pth.lora"], ":litgpt-lora"),
        (["ft-model-00001-of-00004.safetensors"], ":torchtune-prefixed"),
        (["adapters.safetensors", "adapter_config.json"], ":mlx-adapter"),
        (["0000100_adapters.safetensors"], ":mlx-adapter"),
        (["weights.npz"], ":mlx-arrays"),
        (["model-Q4_K_M.gguf"], ":gguf"),
        (["adapter_model.bin"], ":peft-pickle"),
        (["adapter_model.bin", "config.json"], ":openrlhf-adapter"),
        (["pytorch_model-00001-of-00002.bin"], ":transformers-pickle"),
        (["adapter_config.json", "pytorch_model.bin"], ":trl-value-head"),
        (["value_head.safetensors"], ":llamafactory-value-head"),
        (["non_lora_state_dict.bin"], ":llava-beside"),
        (["non_lora_trainables.bin"], ":llava-beside"),
        (["vit.safetensors"], ":swift-tower"),
        (["mca_config.json"], ":mcore-adapter"),
        (["iter_500.pth"], ":xtuner-pth"),
        (["gptq_model-4bit-128g.safetensors"], ":gptq-files"),
    ]  # fmt: skip
    for names, told in cases:
        with case(names, told):
            assert told in ids(*names)


def test_recognised_by_what_a_file_says() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"config.json": {"quantization_config": {"quant_method": "awq"}}},
         "quantised-config"),
        ({"config.json": {"quantization": {"bits": 4}}}, "mlx-quantised"),
        ({"args.json": {"swift_version": "4.6.0"}}, "swift-run"),
        ({"adapter_config.json": {"target_modules": "all-linear"}}, "tinker-adapter"),
        ({"adapter_config.json": {"auto_mapping": {"unsloth_fixed": True}}},
         "unsloth-adapter"),
    ]  # fmt: skip
    for document, told in cases:
        with case(document, told):
            assert f":{told}" in ids(*document, documents=document)
            assert f":{told}" not in ids(*document, documents=dict.fromkeys(document))


def test_a_plain_adapter_is_only_that() -> None:
    names = ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    names += ["tokenizer.json", "tokenizer_config.json", "chat_template.jinja"]
    config: dict[str, object] = {"adapter_config.json": {"peft_type": "LORA"}}
    assert ids(*names, documents=config) == [":peft-adapter"]


def test_a_plain_full_model_is_nothing() -> None:
    names = ["config.json", "generation_config.json", "model.safetensors"]
    names += ["tokenizer.json", "model-00001-of-00002.safetensors"]
    assert ids(*names, documents={"config.json": {"model_type": "qwen3"}}) == []


def test_the_directory_itself_comes_first() -> None:
    names = ["b/weights.npz", "../x.gguf", "weights.npz", "a/b/weights.npz"]
    folders = [one.folder for one in recognise(names, {})]
    assert folders == ["", "..", "b", "a/b"]


def test_the_command_names_the_folder_where_it_lies() -> None:
    (found,) = recognise(["../model_world_size_1_rank_0.pt"], {})
    words = shlex.split(found.command(DIRECTORY / "huggingface"))
    assert str(DIRECTORY) in words
    assert found.signature.form is Form.SHARDS
    assert found.first == "../model_world_size_1_rank_0.pt"


def test_many_names_take_little_work() -> None:
    names = [f"images/{n}/{m}.jpg" for n in range(200) for m in range(200)]
    assert ids(*names) == []


def test_the_pickle_command_makes_an_adapter(tmp_path: Path) -> None:
    (found,) = recognise(["adapter_model.bin"], {})
    program = shlex.split(found.command(tmp_path))
    assert program[-2:] == [
        str(tmp_path / "adapter_model.bin"),
        str(tmp_path / "adapter_model.safetensors"),
    ]


def test_the_file_has_no_field_that_nobody_reads() -> None:
    path = Path(load_signatures.__wrapped__.__globals__["_DATA"])
    known = set(SIGNATURES[0].__slots__)
    for trainer in json.loads(path.read_text("utf-8"))["trainers"]:
        assert set(trainer) == {"name", "traces"}
        for row in trainer["traces"]:
            assert set(row) <= known
