from __future__ import annotations

import shlex

from preflight.catalog.trainers import recognise
from preflight.findings import Problem, Severity, Unavailable, WeightType
from preflight.model.headers import Broken, Cause, Container, Reading, Tensor
from preflight.rules import Rule
from preflight.rules.d_weights import (
    adapter_is_merged,
    adapter_is_safetensors,
    no_trained_weights_left_behind,
    weights_are_safetensors,
)
from tests.cases import case
from tests.rules.inputs import HERE, ROOT, entry, files, problems, severities, walk

LORA, FULL = WeightType.LORA, WeightType.FULL
UNKNOWN = Unavailable("neither adapter nor full weights")
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
TOP = "model.safetensors"


def facts(
    *names: str,
    kind: WeightType | Unavailable = LORA,
    above: tuple[str, ...] = (),
    spare: tuple[Reading, ...] = (),
) -> dict[str, object]:
    """A directory of files of 5,000 bytes, as the rules of this file read it."""
    made = [entry(name, size=5000) for name in names]
    told = recognise((*names, *above), {})
    return {
        "location": HERE,
        "walk": walk(*made),
        "files": files(*made),
        "traces": told,
        "spare": spare,
        "tensors": UNKNOWN,
        "index": UNKNOWN,
        "weight_type": kind,
        "requested": UNKNOWN,
    }


def found(rule: Rule, given: dict[str, object]) -> list[Problem]:
    return problems(rule, **{name: given[name] for name in rule.reads})


def test_adapter_must_not_be_a_pickle() -> None:
    cases: list[tuple[list[str], int]] = [
        ([WEIGHTS, "adapter_model.bin"], 0),
        (["adapter_model.bin"], 1),
        (["adapter_model.pt", "adapter_model.bin"], 2),
        (["training_args.bin"], 0),
    ]
    for names, count in cases:
        with case(names, count):
            assert len(found(adapter_is_safetensors, facts(*names))) == count


def test_the_pickle_comes_with_the_command_that_converts_it() -> None:
    (told,) = found(adapter_is_safetensors, facts("adapter_model.bin", CONFIG))
    words = shlex.split(told.details[0])
    assert words[-2:] == [str(ROOT / "adapter_model.bin"), str(ROOT / WEIGHTS)]
    assert "safetensors" in words[2]


# What lies there, what the message has to say of it, and what the command or the
# remedy has to name.
FORMS = [
    (["pytorch_model.bin"], "transformers pickled", "save_pretrained"),
    (["pytorch_model-00001-of-00002.bin"], "transformers pickled", "save_pretrained"),
    (["pytorch_model_fsdp_0/__0_0.distcp"], "FSDP", "accelerate merge-weights"),
    (["pytorch_model_fsdp_rank0.bin"], "FSDP", "FULL_STATE_DICT"),
    (["__0_0.distcp", ".metadata"], "FSDP", "accelerate merge-weights"),
    (["global_step5/a", "zero_to_fp32.py"], "DeepSpeed", "--safe_serialization"),
    (["mp_rank_00_model_states.pt"], "DeepSpeed", "--tag 'run 1'"),
    (
        ["model_world_size_2_rank_0.pt"],
        "verl",
        "verl.model_merger merge --backend fsdp",
    ),
    (["dist_ckpt/a", "huggingface/b"], "verl", "--backend megatron"),
    (["iter_0000010/__0_0.distcp", "iter_0000010/common.pt"], "Megatron", "AutoBridge"),
    (["weights/__0_0.distcp", "context/model.yaml"], "NeMo", "nemo llm export"),
    (["model.nemo"], "NeMo", "nemo llm export"),
    (["lit_model.pth"], "LitGPT", "litgpt convert_from_litgpt"),
    (["lit_model.pth.lora"], "LitGPT", "litgpt merge_lora"),
    (["iter_500.pth"], "XTuner", "xtuner convert pth_to_hf"),
    (["adapters.safetensors"], "MLX", "mlx_lm.fuse"),
    (["weights.npz"], "MLX", "mlx_lm.fuse"),
    (["model-q4_k_m.gguf"], "llama.cpp", "converted from"),
    (["ft-model-00001-of-00002.safetensors"], "torchtune", "mv"),
    (["gptq_model-4bit-128g.safetensors"], "GPTQ", "before quantising"),
    (["model.tar.gz"], "archive", "Unpack"),
    (["weights.pt"], "pickled by torch", "save_pretrained"),
]


def test_other_forms_are_named_with_their_exporter() -> None:
    for names, form, remedy in FORMS:
        with case(names, form, remedy):
            for kind in (FULL, UNKNOWN):
                (told,) = found(weights_are_safetensors, facts(*names, kind=kind))
                assert form.lower() in f"{told.where} {told.message}".lower()
                assert f"{TOP} is needed" in told.message
                fix = told.fix or weights_are_safetensors.fix
                assert remedy in " ".join((*told.details, fix))
            beside = facts(*names, TOP, kind=FULL)
            assert found(weights_are_safetensors, beside) == []


def test_states_and_data_are_no_weights() -> None:
    cases: list[str] = [
        "optimizer.pt",
        "training_args.bin",
        "rng_state_0.pth",
        "train_data.bin",
    ]
    for name in cases:
        with case(name):
            assert found(weights_are_safetensors, facts(name, kind=FULL)) == []
            assert found(no_trained_weights_left_behind, facts(name, WEIGHTS)) == []


def test_shards_one_directory_up_are_told_from_below() -> None:
    above = tuple(f"../model_world_size_2_rank_{n}.pt" for n in (0, 1))
    given = facts("config.json", "tokenizer.json", kind=FULL, above=above)
    (told,) = found(weights_are_safetensors, given)
    assert "one directory up (2 entries)" in told.message
    assert f"--local_dir {ROOT.parent}" in told.details[0]


def test_what_lies_above_does_not_matter_beside_weights() -> None:
    given = facts(WEIGHTS, CONFIG, above=("../model_world_size_1_rank_0.pt",))
    assert found(weights_are_safetensors, given) == []
    assert found(no_trained_weights_left_behind, given) == []


def test_of_a_checkpoint_within_a_checkpoint_the_outer_one_tells() -> None:
    names = ["a/zero_to_fp32.py", "a/latest", "a/global_step5/x_optim_states.pt"]
    (told,) = found(weights_are_safetensors, facts(*names, kind=FULL))
    assert told.where == "a/zero_to_fp32.py"
    # Where usable weights lie below, another rule names those.
    names.append(f"a/{WEIGHTS}")
    assert found(weights_are_safetensors, facts(*names, kind=FULL)) == []


BESIDE = [
    "non_lora_state_dict.bin", "non_lora_trainables.bin", "mm_projector.bin",
    "value_head.bin", "trainable_params.bin", "extra_embeddings.pt", "embeddings.pth",
    "pytorch_model.bin", "projector_weights.pt", "visual_merger.pth",
]  # fmt: skip


def test_trained_weights_beside_an_adapter_are_told() -> None:
    for name in BESIDE:
        with case(name):
            given = facts(WEIGHTS, CONFIG, name)
            (told,) = found(no_trained_weights_left_behind, given)
            assert told.where == name
            assert told.message.endswith("an adapter import does not take this file")
            rule = no_trained_weights_left_behind
            facts_of = {key: given[key] for key in rule.reads}
            assert severities(rule, **facts_of) == [Severity.WARNING]


def container(name: str, *tensors: str) -> Container:
    made = tuple(
        Tensor(each, "BF16", (8,), 16 * n, 16) for n, each in enumerate(tensors)
    )
    return Container(name, 4096, 8, made, None)


LORA_NAME = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"


def test_a_readable_file_is_judged_by_its_tensors() -> None:
    cases: list[tuple[WeightType, list[str], list[Severity]]] = [
        (LORA, ["visual.blocks.0.attn.qkv.weight"], [Severity.ERROR]),
        (LORA, ["base_model.model.model.visual.merger.mlp.0.weight"], [Severity.ERROR]),
        (LORA, ["v_head.summary.weight"], [Severity.WARNING]),
        (LORA, [LORA_NAME], []),  # another save of an adapter
        (LORA, [], []),
        (FULL, ["visual.blocks.0.attn.qkv.weight"], [Severity.WARNING]),
        (FULL, [LORA_NAME], []),
    ]
    for kind, tensors, expected in cases:
        with case(kind, tensors, expected):
            spare = (container("vit.safetensors", *tensors),)
            top = [WEIGHTS, CONFIG] if kind is LORA else [TOP]
            given = facts(*top, "vit.safetensors", kind=kind, spare=spare)
            rule = no_trained_weights_left_behind
            assert (
                severities(rule, **{name: given[name] for name in rule.reads})
                == expected
            )


def test_a_file_that_cannot_be_read_holds_nothing() -> None:
    spare = (Broken("x.safetensors", Cause.TOO_SMALL, "has 0 bytes"),)
    assert found(no_trained_weights_left_behind, facts(WEIGHTS, spare=spare)) == []


def test_copies_and_what_the_index_names_are_not_left_behind() -> None:
    copy = container("model_old.safetensors", "model.norm.weight")
    given = facts(TOP, "model_old.safetensors", kind=FULL, spare=(copy,))
    assert len(found(no_trained_weights_left_behind, given)) == 1
    same = {**given, "tensors": copy.tensors}
    assert found(no_trained_weights_left_behind, same) == []
    named = {"weight_map": {"model.norm.weight": copy.file}}
    assert found(no_trained_weights_left_behind, {**given, "index": named}) == []


def test_an_adapter_below_full_weights_is_asked_about() -> None:
    cases: list[str] = ["lora_adapter", "adapter", "default", "a/b"]
    for folder in cases:
        with case(folder):
            given = facts(TOP, "config.json", f"{folder}/{WEIGHTS}", kind=FULL)
            (told,) = found(adapter_is_merged, given)
            assert told.where == f"{folder}/{WEIGHTS}"
            assert f"run 1/{folder}" in told.details[0]
            assert ("verl" in told.message) is (folder == "lora_adapter")


def test_full_weights_alone_are_not_asked_about() -> None:
    below = facts(TOP, "checkpoint-5/model.safetensors", kind=FULL)
    assert found(adapter_is_merged, below) == []
    assert found(adapter_is_merged, facts(f"a/{WEIGHTS}", kind=FULL)) == []
