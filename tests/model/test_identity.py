"""Which base a name means, however it is written, and nothing that is like one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from preflight.catalog.base_models import find_base, load_bases
from preflight.catalog.relatives import load_relatives
from preflight.model.identity import Identity, Match, identify, nearest, takes_an
from tests.cases import case

HUB_CACHE = "/home/me/.cache/huggingface/hub/models--"
SCOPE_CACHE = "/home/me/.cache/modelscope/hub"


@pytest.fixture(autouse=True)
def _no_user_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("PREFLIGHT_BASES", raising=False)


def code(found: Identity) -> str:
    return found.base.code if found.base else ""


# Names of the bases themselves: on hubs, in caches, at Kaggle and Ollama, on disks.
NAMES = {
    "qwen3-8b": [
        "qwen/qwen3-8b:free",
        "Qwen/Qwen3-8B.git",
        "s3://bucket/models/Qwen3-8B",
        "/models/Qwen3-8B-sharded",
        "/home/me/Downloads/Qwen3-8B (1)",
        f"{HUB_CACHE}Qwen--Qwen3-8B/blobs/abcdef0123456789",
        f"{HUB_CACHE}Qwen--Qwen3-8B/refs/main",
        "Qwen/Qwen3-8B",
        "~/.cache/huggingface/hub/models--Qwen--Qwen3-8B/snapshots/b968826d9c46dd6066d109eabc6255188de91218/model.safetensors.index.json",
        "qwen/qwen-3-8b",
        "qwen3:8b",
        "https://huggingface.co/Qwen/Qwen3-8B/blob/main/config.json",
        "https://hf-mirror.com/Qwen/Qwen3-8B",
        "huggingface.co/Qwen/Qwen3-8B",
        "hf://Qwen/Qwen3-8B@main",
        "Qwen/Qwen3-8B@b968826d9c46dd6066d109eabc6255188de91218",
        "/mnt/nas/share/models/Qwen3-8B/original",
        "D:\\models\\Qwen\\Qwen3-8B",
        "file/Qwen3-8B/model-00001-of-00005.safetensors",
        "lmstudio-community/Qwen3-8B-MLX-bf16",
        "/data/qwen3-8b-hf",
        " QWEN3-8B\n",
        "Qwen/Qwen3-8B@main",
        "https://huggingface.co/Qwen/Qwen3-8B/tree/main",
        "https://modelscope.cn/models/Qwen/Qwen3-8B/",
        "/data/models/Qwen3-8B//.",
        "./Qwen3-8B",
        "../../Qwen3-8B",
        "/数据/模型/Qwen3-8B",
        "mlx-community/Qwen3-8B-bf16",
    ],
    "qwen3-14b": [
        "/home/y/.cache/modelscope/hub/models/Qwen/Qwen3-14B",
        "models/Qwen_Qwen3-14B",
        "/home/me/.cache/modelscope/hub/models/Qwen--Qwen3-14B/snapshots/master",
    ],
    "qwen2.5-vl-7b-instruct": [
        "/home/z/pretrained_models/Qwen2.5-VL-7B-Instruct/snapshots/cc594898137f460bfe9f0759e9844b3ce807cfb5",
        "/data2/y/.cache/huggingface/hub/Qwen-Qwen2.5-VL-7B-Instruct",
        "/kaggle/input/qwen2.5-vl/transformers/7b-instruct/1",
        "/kaggle/input/qwen2-5-vl-7b-instruct",
    ],
    "qwen2.5-7b-instruct": [
        "qwen2.5:7b",
        "ollama/qwen2.5:7b",
        "../qwen25_7b_instruct/models--Qwen--Qwen2.5-7B-Instruct/snapshots/a09a35458c702b33eeacc393d103063234e8bc28",
        "qwen2.5:7b-instruct-fp16",
        "Qwen2.5-7B-Instruct-bfloat16",
        "/mnt/autodl-tmp/qwen/Qwen2___5-7B-Instruct",
        "/openbayes/input/input0/Qwen2.5-7B-Instruct",
        "unsloth/Qwen2.5-7B-Instruct",
    ],
    "qwen3-32b": [
        "/kaggle/input/qwen-3/transformers/32b/1",
        "/kaggle/input/qwen-3/transformers/32b/1/",
        "ollama/qwen3:32b",
        "\\\\server\\share\\Qwen3-32B",
    ],
    "qwen2.5-72b-instruct": [
        "/kaggle/input/qwen2.5/transformers/72b-instruct/1",
    ],
    "qwen2.5-14b-instruct": [
        "/kaggle/input/qwen2.5/pytorch/14b-instruct/2",
        "/kaggle/input/qwen2-5-14b-instruct/transformers/default/1",
        "qwen2.5-14B-Instruct",
        "qwen-2.5-14b-instruct",
        "D:/Qwen/Qwen2.5-14B-Instruct",
    ],
    "qwen3-vl-8b-instruct": [
        "Qwen3VL-8B-Instruct",
        "/models/qwen3_vl_8b_instruct",
    ],
    "qwen2.5-32b-instruct": [
        "Qwen_Qwen2.5-32B-Instruct",
    ],
    "qwen2.5-vl-72b-instruct": [
        f"{SCOPE_CACHE}/models/Qwen/Qwen2___5-VL-72B-Instruct",
    ],
    "qwen3-4b-instruct-2507": [
        "/mnt/share/Qwen3-4B-Instruct-2507",
        "Qwen/Qwen3-4B-Instruct-2507",
    ],
}


def test_names_of_a_base() -> None:
    for base in NAMES:
        with case(base):
            for name in NAMES[base]:
                found = identify(name)
                assert (found.match, code(found)) == (Match.IMPORTABLE, base), name
                assert found.canonical == load_bases()[base].hub_id, name
                assert (found.quantised, found.doubt, found.given) == ("", "", name)


# Quantised copies, with their format.
QUANTISED = {
    "qwen3-8b@q4_k_m": ("qwen3-8b", "GGUF"),
    "/kaggle/input/qwen2.5/transformers/72b-instruct-awq/1": (
        "qwen2.5-72b-instruct",
        "AWQ",
    ),
    "OpenVINO/Qwen3-8B-int4-ov": ("qwen3-8b", "Int4-OpenVINO"),
    "models/qwen3-8b-int4-ov": ("qwen3-8b", "Int4-OpenVINO"),
    "OPEA/Qwen2.5-7B-Instruct-int4-sym-inc": ("qwen2.5-7b-instruct", "Int4"),
    "Intel/Qwen3-8B-AutoRound": ("qwen3-8b", "AutoRound"),
    "kaitchup/Qwen3-8B-autoround-4bit-gptq": ("qwen3-8b", "AutoRound-4bit"),
    "JunHowie/Qwen3-14B-GPTQ-Int4": ("qwen3-14b", "GPTQ-Int4"),
    "mobiuslabsgmbh/Qwen2.5-7B-Instruct_4bitgs64_hqq_hf": (
        "qwen2.5-7b-instruct",
        "4bit-HQQ",
    ),
    "onnx-community/Qwen2.5-7B-Instruct-ONNX": ("qwen2.5-7b-instruct", "ONNX"),
    "qwen2.5-7b-instruct-q4_k_m.gguf": ("qwen2.5-7b-instruct", "GGUF"),
    "qwen2.5:7b-instruct-q4_K_M": ("qwen2.5-7b-instruct", "GGUF"),
    "qwen3:8b-q4_K_M": ("qwen3-8b", "GGUF"),
    "hf.co/unsloth/Qwen3-8B-GGUF:Q4_K_M": ("qwen3-8b", "GGUF"),
    "Qwen3-8B-Q5_K_M.gguf": ("qwen3-8b", "GGUF"),
    "unsloth/Qwen3-8B-unsloth-bnb-4bit": ("qwen3-8b", "bnb-4bit"),
    "RedHatAI/Qwen3-32B-quantized.w4a16": ("qwen3-32b", "w4a16"),
    "nvidia/Qwen3-32B-NVFP4": ("qwen3-32b", "NVFP4"),
    "mlx-community/Qwen3-8B-4bit-DWQ": ("qwen3-8b", "4bit-DWQ"),
    "turboderp/Qwen3-8B-exl3": ("qwen3-8b", "EXL"),
    "ISTA-DASLab/Qwen3-8B-MXFP4-GPTQ": ("qwen3-8b", "MXFP4-GPTQ"),
    "amd/Qwen3-8B-awq-asym-uint4-g128-lmhead": ("qwen3-8b", "AWQ-Int4"),
    "/kaggle/input/qwen2.5-32b-instruct-gptq-w4a16/transformers/dynamic/1": (
        "qwen2.5-32b-instruct",
        "GPTQ-w4a16",
    ),
    "/models/Qwen3-8B-w8a8": ("qwen3-8b", "w8a8"),
    "Qwen3-8B-MNN-Int4": ("qwen3-8b", "MNN-Int4"),
    "models/Qwen3-8B-int8": ("qwen3-8b", "Int8"),
    "unsloth/Qwen2.5-VL-7B-Instruct-bnb-4bit": ("qwen2.5-vl-7b-instruct", "bnb-4bit"),
    "Qwen/Qwen2.5-VL-72B-Instruct-AWQ": ("qwen2.5-vl-72b-instruct", "AWQ"),
    "cyankiwi/Qwen3-VL-8B-Instruct-AWQ-4bit": ("qwen3-vl-8b-instruct", "AWQ-4bit"),
    "Qwen/Qwen3-4B-Instruct-2507-FP8": ("qwen3-4b-instruct-2507", "FP8"),
    "TheBloke/Qwen2.5-7B-Instruct-GPTQ": ("qwen2.5-7b-instruct", "GPTQ"),
    "DevQuasar/Qwen.Qwen3-14B-GGUF": ("qwen3-14b", "GGUF"),
    "bartowski/Qwen_Qwen3-14B-GGUF:Q6_K_L": ("qwen3-14b", "GGUF"),
    "mradermacher/Qwen3-8B-i1-GGUF": ("qwen3-8b", "GGUF"),
    "FP8/Qwen3-8B-fp8-block": ("qwen3-8b", "FP8"),
}


def test_quantised_copies() -> None:
    for name, (base, quantised) in QUANTISED.items():
        found = identify(name)
        assert (found.match, code(found)) == (Match.IMPORTABLE, base), name
        assert found.quantised == quantised, name
        article = "an" if takes_an(quantised) else "a"
        assert found.note == f"{article} {quantised} copy of {found.canonical}"


# Weights of a base, or of a model of its shapes, that somebody changed.
FINE_TUNES = [
    "huihui-ai/QwQ-32B-abliterated",
    "models/qwen3-4b-passthrough",
    "rinna/qwen-14b-something",
    "training/models/qwen3-8b-merged",
    "./output/qwen3-8b-finetuned",
    "/n96/home/y/model/qwen3-8b-merged",
    "Stardust00/poker-qwen3-8b-merged",
    "training/models/qwen3-8b-merged-q4-k-m.gguf",
    "output/Qwen3-8B/v0-20250601-101010/checkpoint-215-merged",
    "saves/Qwen3-8B/lora/sft",
    "saves/qwen3-8b/full/sft/checkpoint-500",
    "/data/coding/qwen3-14b/checkpoint-300-merged",
    "outputs/qwen2.5-7b-instruct-grpo",
    "Qwen3-8B-Base-GRPO",
    "me/Qwen2.5-7B-SFT",
    "trl-lib/Qwen2.5-7B-DPO",
    "wz/qwen2.5-7b-instruct-katcher-legal-anc-aw2",
    "huihui-ai/Qwen2.5-14B-Instruct-abliterated-v2",
    "huihui-ai/Qwen3-14B-abliterated",
    "huihui-ai/Qwen2.5-Coder-32B-Instruct-abliterated",
    "huihui-ai/Huihui-Qwen3-VL-8B-Instruct-abliterated",
    "mlabonne/Qwen3-8B-abliterated",
    "p-e-w/Qwen3-4B-Instruct-2507-heretic",
    "Goekdeniz-Guelmez/Josiefied-Qwen3-8B-abliterated-v1",
    "models/Qwen3-4B-medical-merged",
    "./qwen3-4b-instruct-2507-lora-merged",
    "agentica-org/DeepCoder-14B-Preview",
    "open-r1/OpenR1-Distill-7B",
    "open-r1/OlympicCoder-7B",
    "PRIME-RL/Eurus-2-7B-PRIME",
    "GAIR/LIMO",
    "Open-Reasoner-Zero/Open-Reasoner-Zero-7B",
    "Skywork/Skywork-OR1-7B",
    "arcee-ai/Virtuoso-Small-v2",
    "ByteDance-Seed/UI-TARS-1.5-7B",
    "Tesslate/UIGEN-X-8B",
    "AIDC-AI/Marco-o1",
    "NovaSky-AI/Sky-T1-32B-Preview",
    "XiaomiMiMo/qwen2.5-7b-mimo-tune",
    "Orion-zhen/Qwen2.5-7B-Instruct-Uncensored",
    "rombodawg/Rombos-LLM-V2.5-Qwen-7b",
    "EVA-UNIT-01/EVA-Qwen2.5-14B-v0.2",
    "prithivMLmods/Qwen2.5-7B-math-tuned",
    "Qwen2.5-7B-Instruct-long-cot-sft",
    "watt-ai/watt-tool-qwen2.5-7b",
    "nvidia/OpenReasoning-Nemotron-7B",
    "nvidia/OpenReasoning-Nemotron-32B",
    "Magpie-Align/qwen3-8b-chat-dpo-v0.1",
    "/kaggle/working/qwen3-8b-sft/final",
    "checkpoints/verl/qwen2.5-7b-grpo/global_step_100/actor/huggingface",
    "/workspace/axolotl/outputs/qwen3-14b-qlora/merged",
    "Jinx-org/Jinx-Qwen3-14B",
    "SakanaAI/TinySwallow-qwen2.5-7b",
    "Qwen3-32B-Uncensored-AWQ",
]


def test_fine_tunes_are_no_bases() -> None:
    for name in FINE_TUNES:
        found = identify(name)
        known = found.match is Match.FINE_TUNE
        assert known or (found.match is Match.UNKNOWN and not found.foreign), name
        assert not known or "a fine-tune of" in found.note, name


# Another model: of another line, size, kind, or maker, or one with a base's shapes.
OTHERS = [
    "Qwen/Qwen3-Coder-30B-A3B-Instruct-FP8",
    "/mnt/cfs/swe-rl/model/Qwen3-Coder-30B-A3B-Instruct",
    "/mnt/shared-models/meta-llama/Llama-3.3-70B-Instruct",
    "/mnt/pfs/x/models/Qwen3-VL-4B-SAMTok-co",
    "/mnt/d/fine-tuning/models/gemma-2-2b-it",
    "/mnt/models/Qwen3-0.6B",
    "/kaggle/input/qwen3-5-0-8b",
    "/kaggle/input/qwen35-08b",
    "/kaggle/input/qwen2-5-0-5b",
    "/kaggle/input/qwen2-5-vl-3b-instruct",
    "/kaggle/input/qwen2.5/transformers/0.5b-instruct-gptq-int4/1",
    "/kaggle/input/qwen2.5/transformers/7b/1",
    "/kaggle/input/qwen2.5-coder/transformers/7b-instruct/1",
    "/kaggle/input/qwen2.5-coder/transformers/32b-instruct-awq/1",
    "/kaggle/input/qwen2.5-math/transformers/7b-instruct/1",
    "/kaggle/input/qwen-3-coder/transformers/30b-a3b-instruct/1",
    "/kaggle/input/qwen-3-embedding/transformers/8b/1",
    "/kaggle/input/llama-3.1/transformers/8b-instruct/2",
    "/kaggle/input/gemma-2/transformers/gemma-2-9b-it/2",
    "/kaggle/input/deepseek-r1/transformers/deepseek-r1-distill-qwen-14b/1",
    "D:\\develop\\model\\hub\\models--Qwen--Qwen3-4B\\snapshots\\1cfa9a7208912126459214e8b04321603b3df60c",
    "/home/d/.cache/modelscope/hub/models/Qwen/Qwen3___5-9B-Base",
    "/home/q/.cache/modelscope/hub/models/Qwen/Qwen-Image-Edit-2511",
    "cache/models--Qwen--Qwen-Image-2512/snapshots/abc1234",
    "Skywork/Skywork-Reward-V2-Qwen3-8B",
    "someone/qwen3-8b-reranker-sft",
    "jinaai/jina-embeddings-v3",
    "meta-llama/Llama-Guard-3-8B",
    "codellama/CodeLlama-7b-hf",
    "/home/me/bases/LLaMA2",
    "NousResearch/Hermes-2-Pro-Llama-3-8B",
    "vngrs-ai/Kumru-2B-Base",  # a size that no base has
    "me/eva-qwen-3b",
    "qwen3-coder:30b",
    "qwen2.5:0.5b",
    "qwen3:0.6b",
    "qwen2.5-coder:7b",
    "qwen2.5vl:3b",
    "llama3.1:8b",
    "gemma3:27b",
    "deepseek-r1:8b",
    "mistral:7b-instruct",
    "Qwen/Qwen3Guard-Stream-0.6B",
    "Qwen/Qwen3-ASR-1.7B",
    "Qwen/Qwen3-TTS-12Hz-0.6B-Base",
    "Qwen/Qwen3-VL-Embedding-8B",
    "Qwen/Qwen3-VL-Embedding-2B",
    "Qwen/Qwen2.5-Math-RM-72B",
    "Qwen/Qwen2.5-Math-PRM-72B",
    "Qwen/Qwen2.5-Math-7B-PRM800K",
    "Qwen/CodeQwen1.5-7B",
    "Qwen/Qwen3-Coder-Next-FP8",
    "Qwen/Qwen3-Next-80B-A3B-Instruct",
    "Qwen/Qwen3.5-27B",
    "Qwen/Qwen3.5-35B-A3B",
    "Qwen/Qwen3.6-27B-FP8",
    "Qwen/Qwen1.5-14B-Chat",
    "Qwen/Qwen1.5-MoE-A2.7B",
    "Qwen/Qwen-72B-Chat",
    "Qwen/Qwen2-VL-72B-Instruct-AWQ",
    "Qwen/Qwen2-57B-A14B-Instruct",
    "Qwen/Qwen2.5-14B-Instruct-1M",
    "Qwen/Qwen3-VL-32B-Thinking",
    "Qwen/Qwen3-8B-Base",
    "Qwen/QwQ-32B-AWQ",
    "QwQ-32B",
    "qwq:32b",
    "unsloth/DeepSeek-R1-Distill-Qwen-14B-bnb-4bit",
    "deepseek-ai/deepseek-coder-6.7b-instruct",
    "LLM-Research/Meta-Llama-3-8B-Instruct",
    "shakechen/Llama-2-7b-chat-hf",
    "NousResearch/Meta-Llama-3.1-8B",
    "/mnt/models/Meta-Llama-3-8B-Instruct",
    "mistralai/Mistral-Nemo-Instruct-2407",
    "mistralai/Ministral-8B-Instruct-2410",
    "mistralai/Mixtral-8x7B-Instruct-v0.1",
    "unsloth/Devstral-Small-2505",
    "unsloth/Magistral-Small-2506-unsloth-bnb-4bit",
    "openvla/openvla-7b",
    "ZhipuAI/glm-4-9b-chat",
    "THUDM/glm-4-9b-chat",
    "zai-org/GLM-4.5-Air",
    "microsoft/phi-4",
    "unsloth/Phi-4-mini-instruct",
    "baichuan-inc/Baichuan2-7B-Chat",
    "bigscience/bloomz-7b1",
    "HuggingFaceH4/zephyr-7b-beta",
    "OpenGVLab/InternVL3-8B",
    "openbmb/MiniCPM-V-2_6",
    "openai/gpt-oss-20b",
    "unsloth/gpt-oss-20b-unsloth-bnb-4bit",
    "facebook/opt-1.3b",
    "EleutherAI/pythia-6.9b",
    "tiiuae/Falcon3-7B-Instruct",
    "HuggingFaceTB/SmolLM2-1.7B-Instruct",
    "allenai/OLMo-2-1124-7B-Instruct",
    "ibm-granite/granite-3.3-8b-instruct",
    "stabilityai/stablelm-2-1_6b",
    "CohereForAI/aya-expanse-8b",
    "moonshotai/Moonlight-16B-A3B-Instruct",
    "LiquidAI/LFM2-1.2B",
    "XiaomiMiMo/MiMo-7B-RL",
    "google-bert/bert-base-uncased",
    "sentence-transformers/all-MiniLM-L6-v2",
    "models/Qwen2.5-3B-Instruct-grpo-merged",
    "merge_qwen1.5-7b-keywords-v3",
    "huihui-ai/Qwen2.5-0.5B-Instruct-abliterated",
    "yujiepan/qwen2.5-tiny-random",
    "hf-internal-testing/tiny-random-Qwen2ForCausalLM",
    "katuni4ka/tiny-random-qwen3",
    "Alibaba-NLP/gte-Qwen2-1.5B-instruct",
    "vidore/colqwen2.5-v0.2",
    "AngelSlim/Qwen3-8B_eagle3",
    "./models/qwen2.5_1.5b_instruct",
    "Qwen2.5-1.5B",
]


def test_other_models() -> None:
    for name in OTHERS:
        found = identify(name)
        if found.base and found.base.code not in NAMES:
            continue  # of a base that came later
        assert found.match is Match.RELATIVE or found.foreign, name
        assert found.canonical in found.note, name


# No model at all, or too little of its name.
NOTHING = [
    "model",
    "./checkpoint-500",
    "/workspace/output/final",
    "../base_model",
    "/content/drive/MyDrive/model",
    "llm/base",
    "/mnt/nvme/base",
    "user/qwen",
    "qwen3",
    "Qwen/Qwen3-VL-8B",
    "qwen2.5-vl",
    "/data/finetuned/merged",
    "output/merged",
    "/opt/ml/model",
    "/repository/pretrained",
    "C:\\Users\\me\\model",
    "/scratch/tmpabcdef12",
    "lora-out",
    "",
    "   ",
    ".",
    "/",
    "..",
    "\\",
    "@main",
    "--",
    "models/v2",
    "a/b/c",
    "/opt",
    "llama",
    "/data/light/ui",
]


def test_names_that_tell_nothing() -> None:
    for name in [None, *NOTHING]:
        found = identify(name)
        assert (found.match, found.base) == (Match.CANNOT_TELL, None), name
        assert found.note, name


def test_relatives() -> None:
    cases: list[tuple[str, str, str | None, bool, str]] = [
        ("Qwen/Qwen2.5-7B", "Qwen/Qwen2.5-7B", "qwen2.5-7b-instruct", True, ""),
        (
            "unsloth/Qwen2.5-7B-bnb-4bit",
            "Qwen/Qwen2.5-7B",
            "qwen2.5-7b-instruct",
            True,
            "bnb-4bit",
        ),
        (
            "./model/Qwen2-7B-Instruct",
            "Qwen/Qwen2-7B-Instruct",
            "qwen2.5-7b-instruct",
            True,
            "",
        ),
        ("qwen3-8b-base", "Qwen/Qwen3-8B-Base", "qwen3-8b", True, ""),
        ("Qwen/Qwen3-4B", "Qwen/Qwen3-4B", "qwen3-4b-instruct-2507", True, ""),
        (
            "Qwen/Qwen3-4B-Thinking-2507-FP8",
            "Qwen/Qwen3-4B-Thinking-2507",
            "qwen3-4b-instruct-2507",
            True,
            "FP8",
        ),
        ("Qwen/QwQ-32B", "Qwen/QwQ-32B", "qwen2.5-32b-instruct", True, ""),
        (
            f"{HUB_CACHE}deepseek-ai--DeepSeek-R1-Distill-Qwen-14B/snapshots/1df8",
            "deepseek-ai/DeepSeek-R1-Distill-Qwen-14B",
            "qwen2.5-14b-instruct",
            True,
            "",
        ),
        (
            "Qwen/Qwen2.5-VL-32B-Instruct",
            "Qwen/Qwen2.5-VL-32B-Instruct",
            "qwen2.5-vl-72b-instruct",
            False,
            "",
        ),
        (
            "Qwen/Qwen3-VL-2B-Instruct",
            "Qwen/Qwen3-VL-2B-Instruct",
            "qwen3-vl-8b-instruct",
            False,
            "",
        ),
        ("Qwen3-30B-A3B", "Qwen/Qwen3-30B-A3B", "qwen3-32b", False, ""),
        (
            f"{SCOPE_CACHE}/Qwen/Qwen2___5-0___5B-Instruct",
            "Qwen/Qwen2.5-0.5B-Instruct",
            "qwen2.5-7b-instruct",
            False,
            "",
        ),
        ("Qwen/Qwen3-Embedding-8B", "Qwen/Qwen3-Embedding-8B", None, False, ""),
    ]
    for name, canonical, code, same, quantised in cases:
        with case(name, canonical, code, same, quantised):
            found = identify(name)
            assert found.match is Match.RELATIVE
            assert found.canonical == canonical
            assert (found.base.code if found.base else None) == code
            assert (found.same_shapes, found.quantised) == (same, quantised)
            assert canonical in found.note
            assert code is None or code in found.note


def test_shortened_names() -> None:
    cases: list[tuple[str, str]] = [
        ("Qwen2.5-VL-7B", "Qwen/Qwen2.5-VL-7B-Instruct"),
        ("/models/Qwen3-4B-Instruct", "Qwen/Qwen3-4B-Instruct-2507"),
        ("qwen3-vl", "Qwen/Qwen3-VL-8B-Instruct"),
    ]
    for name, long in cases:
        with case(name, long):
            found = identify(name)
            assert (found.match, found.base) == (Match.CANNOT_TELL, None)
            assert found.note.endswith(f"may be short for {long}")


def test_nearest() -> None:
    cases: list[tuple[str, str | None]] = [
        ("qwen3-8b", "qwen3-8b"),
        ("qwn3-8b", "qwen3-8b"),
        ("qwen3_8", "qwen3-8b"),
        ("qwen-3-8b", "qwen3-8b"),
        ("Qwen3-VL8B", "qwen3-vl-8b-instruct"),
        ("qwen2.5 72b", "qwen2.5-72b-instruct"),
        ("qwen25-7b-instruct", "qwen2.5-7b-instruct"),
        ("qwen3-33b", "qwen3-32b"),
        ("Qwen/Qwen2.5-Coder-32B-Instruct-AWQ", "qwen2.5-32b-instruct"),
        ("Qwen/Qwen3-Embedding-8B", None),
        ("llama-3-8b", None),
        ("mistral-7b-instruct", None),
        ("gpt-4", None),
        ("Qwen/Qwen3.5-4B", None),  # none of its line can be imported onto
        ("Qwen/Qwen3-9B", "qwen3-8b"),
        ("", None),
    ]
    for text, code in cases:
        with case(text, code):
            found, meant = nearest(text), find_base(text)  # by now it may be one
            assert (found.code if found else None) == (meant.code if meant else code)


def test_every_code_and_hub_id_means_its_base() -> None:
    for base in load_bases().values():
        assert identify(base.code).base is base
        assert identify(base.hub_id).base is base
        assert nearest(base.code) is base
        assert not identify(base.hub_id).note


def test_relatives_are_no_bases_and_point_to_bases() -> None:
    assert len(load_relatives()) > 80
    for hub_id, relative in load_relatives().items():
        if find_base(hub_id):
            continue  # one that can be imported onto by now
        found = identify(hub_id)
        assert (found.match, found.canonical) == (Match.RELATIVE, hub_id)
        assert (found.base is None) == (relative.nearest == "")
        assert not relative.same_shapes or found.base


def test_a_user_may_make_a_relative_importable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub_id = next(name for name in load_relatives() if not find_base(name))
    model = {
        "code": "own", "hub_id": hub_id, "hidden_size": 2048,
        "intermediate_size": 6144, "layers": 28, "heads": 16, "kv_heads": 8,
    }  # fmt: skip
    file = tmp_path / "more.json"
    file.write_text(json.dumps({"family": "qwen3", "models": [model]}))
    assert identify(hub_id).match is Match.RELATIVE
    monkeypatch.setenv("PREFLIGHT_BASES", str(file))
    found = identify(f"unsloth/{hub_id.split('/')[1]}-bnb-4bit")
    assert (found.match, found.base) == (Match.IMPORTABLE, find_base("own"))


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B-Instruct", "Qwen3-32B-Chat"])
def test_a_model_that_never_was_is_taken_for_the_base(name: str) -> None:
    """Qwen3 of these sizes has one model for both; people write the usual ending."""
    found = identify(name)
    assert found.match is Match.IMPORTABLE
    assert found.doubt == f"there is no such model; taken for {found.canonical}"


def test_articles_are_as_the_label_is_spoken() -> None:
    labels = ["AWQ", "FP8", "NF4", "HQQ", "ONNX", "8bit", "Int4", "AutoRound"]
    assert all(map(takes_an, labels))
    labels = ["GPTQ", "GGUF", "bnb-4bit", "4bit", "w4a16", "QAT", "TensorRT"]
    assert not any(map(takes_an, labels))


def test_a_fine_tune_knows_what_it_is_of() -> None:
    for name, near in {
        "/out/qwen3-14b-sft": "qwen3-14b",
        "x/Qwen2.5-Coder-7B-Instruct-abliterated": "qwen2.5-7b-instruct",
        "qwen2.5-vl-7b-ocr": "qwen2.5-vl-7b-instruct",
        "someone/OpenThinker-7B": "",
    }.items():
        found = identify(name)
        assert (found.match, code(found)) == (Match.FINE_TUNE, near), name
        if near:
            assert nearest(name) is found.base


def test_a_copy_is_called_one() -> None:
    assert "by its name" in identify("someone/Qwen3-8B").note
    assert not identify("Qwen/Qwen3-8B").note


def test_long_names_end_soon() -> None:
    cases: list[str] = ["-4bit", "a/", "qwen3-8b-", "--", "-vl", "\\", "."]
    for unit in cases:
        with case(unit):
            found = identify("Qwen/x" + unit * 500_000)
            assert found.match is not Match.IMPORTABLE
            assert nearest(unit * 500_000) is None or unit == "qwen3-8b-"


def test_a_copy_cut_to_a_few_layers_tells_no_base() -> None:
    """People cut a model to try a training; its name says nothing of the real one."""
    for name in ("/data/Qwen3-8B-2L", "Qwen2.5-7B-Instruct-4layers", "/m/qwen3-4b-1l"):
        found = identify(name)
        assert (found.match, found.base) == (Match.CANNOT_TELL, None), name
    assert identify("Qwen3-8B-2L-sft").match is Match.FINE_TUNE
