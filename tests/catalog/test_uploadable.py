from __future__ import annotations

from preflight.catalog.uploadable import Role, role_of, why_excluded
from preflight.findings import WeightType

LORA, FULL = WeightType.LORA, WeightType.FULL


def test_the_list_knows_what_an_import_uses() -> None:
    for name, lora, full in [
        ("adapter_model.safetensors", Role.WEIGHTS, None),
        ("adapter_config.json", Role.KEY_CONFIG, None),
        ("config.json", Role.KEY_CONFIG, Role.KEY_CONFIG),
        ("model.safetensors", None, Role.WEIGHTS),
        ("model-00001-of-00002.safetensors", None, Role.WEIGHTS),
        ("model.safetensors-00001-of-00002.safetensors", None, Role.WEIGHTS),
        ("model.safetensors.index.json", None, Role.SUPPORT),
        ("tokenizer.json", Role.SUPPORT, Role.SUPPORT),
        ("chat_template.jinja", Role.SUPPORT, Role.SUPPORT),
        ("LICENSE", Role.SUPPORT, Role.SUPPORT),
        ("NOTICE.txt", Role.SUPPORT, Role.SUPPORT),
        ("LICENSE.pem", None, None),
        ("Config.json", None, None),
        ("sub/config.json", None, None),
        ("checkpoint-5/adapter_model.safetensors", None, None),
        ("optimizer.pt", None, None),
        (".env", None, None),
        ("adapter_model.bin", None, None),
        ("consolidated.safetensors", None, None),
    ]:
        assert (role_of(name, LORA), role_of(name, FULL)) == (lora, full), name


def test_junk_is_called_by_its_kind() -> None:
    for name, words in [
        ("optimizer.pt", "optimizer or trainer state"),
        ("rng_state_0.pth", "optimizer or trainer state"),
        ("latest", "optimizer or trainer state"),
        ("pytorch_model.bin", "pickle or another format than safetensors"),
        ("model.gguf", "pickle or another format than safetensors"),
        ("checkpoint-500/adapter_model.safetensors", "in a checkpoint's directory"),
        ("global_step10/mp_rank_00.pt", "in a checkpoint's directory"),
        ("runs/a/events.out.tfevents.1", "log"),
        ("train.log", "log"),
        (".gitattributes", "hidden file"),
        (".cache/x", "hidden file"),
        (".env", "may hold a secret"),
        (".cache/.env.local", "may hold a secret"),
        ("server.PEM", "may hold a secret"),
        ("id_ed25519", "may hold a secret"),
        ("checkpoint-5/credentials.json", "may hold a secret"),
        ("modeling.py", "program"),
        ("extra/config.json", "in a sub-directory"),
        ("model.safetensors", "belongs to another kind of import"),
        ("notes.docx", "not needed"),
        ("configuration.json", "not needed"),
        ("tokenizer.json.orig", "not needed"),
    ]:
        assert why_excluded(name) == words, name
