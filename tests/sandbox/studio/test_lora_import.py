"""An adapter: what is imported, and what breaks which documented rule."""

from __future__ import annotations

from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.importable import Family
from preflight.sandbox.studio.jobs import Status
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import (
    assert_refused,
    imported,
    studio_on,
    with_tensors,
)
from tests.sandbox.studio.models import lora_shapes, tiny, to_json

ROOT = "base_model.model.model.layers.0."


def test_an_adapter_of_an_allowed_rank_is_imported(oss: OssState) -> None:
    for rank in [8, 16, 32, 64]:
        job, reason = imported(oss, models.lora(tiny(), rank))
        assert (job.status, job.error_code, reason) == (Status.SUCCEEDED, "", "")


def test_other_ranks_are_refused(oss: OssState) -> None:
    for rank in [4, 12, 128]:
        assert_refused(imported(oss, models.lora(tiny(), rank)), f"rank r is {rank}")


def test_a_broken_adapter_config(oss: OssState) -> None:
    for config, word in [
        (b'{"r": "8"}', "rank r is '8'"),
        (b'{"r": true}', "rank r is True"),
        (b"{}", "rank r is None"),
        (b'["r", 8]', "not a JSON object"),
        (b'{"r": 8,}', "not valid JSON"),
        (b'\xef\xbb\xbf{"r": 8}', "not valid JSON"),
        (b'{"r": 8, "lora_alpha": NaN}', "not valid JSON"),
        (b'{"r": 8, "r": 16}', "twice"),
        (b'{"r": 8, "peft_type": "LOHA"}', "peft_type"),
        (b"", "not valid JSON"),
    ]:
        files = models.lora(tiny()) | {"adapter_config.json": config}
        assert_refused(imported(oss, files), word)


def test_both_files_are_required(oss: OssState) -> None:
    for name in ["adapter_model.safetensors", "adapter_config.json"]:
        files = models.lora(tiny())
        del files[name]
        assert_refused(imported(oss, files), "missing", name)


def test_files_in_a_subdirectory_are_not_found(oss: OssState) -> None:
    files = {f"final/{n}": text for n, text in models.lora(tiny()).items()}
    job, reason = imported(oss, files)
    assert job.error_code.startswith("Failed to get files from OSS")
    assert "no file directly under" in reason
    assert_refused(imported(oss, files | {"README.md": b"x"}), "missing")


def test_other_files_do_no_harm(oss: OssState) -> None:
    extra = {"global_step8/optim.pt": b"x", "README.md": b"", "optimizer.pt": b"x"}
    job, _ = imported(oss, models.lora(tiny()) | extra)
    assert job.status is Status.SUCCEEDED


def test_base_config_is_required_by_the_strict_reading_only(oss: OssState) -> None:
    models.put(oss, models.lora(tiny()))
    studio = studio_on(oss)
    studio.policy.require_base_config = True
    job = models.run(studio, models.request())
    assert_refused((job, studio.reasons[job.id]), "missing: config.json")
    models.put(oss, {"config.json": to_json(models.config(tiny()))})
    assert models.run(studio, models.request()).status is Status.SUCCEEDED


def test_a_tensor_that_does_not_belong(oss: OssState) -> None:
    for name, shape, word in [
        (ROOT + "self_attn.q_proj.lora_A.weight", (16, 64), "rank 16, not 8"),
        (ROOT + "self_attn.q_proj.lora_B.weight", (64, 16), "rank 16, not 8"),
        (ROOT + "self_attn.q_proj.lora_A.weight", (8, 65), "65 features, not 64"),
        (ROOT + "mlp.down_proj.lora_B.weight", (65, 8), "65 features, not 64"),
        (ROOT + "mlp.down_proj.lora_B.weight", (64, 8, 1), "3 dimensions"),
        (ROOT + "self_attn.q_proj.lora_magnitude_vector", (64,), "no LoRA tensor"),
        (ROOT + "self_attn.q_proj.lora_A.default.weight", (8, 64), "no LoRA tensor"),
        (ROOT + "self_attn.qkv.lora_A.weight", (8, 64), "no LoRA tensor"),
        (ROOT.replace("0", "2") + "mlp.up_proj.lora_A.weight", (8, 64), "no place"),
        ("module." + ROOT + "mlp.up_proj.lora_A.weight", (8, 64), "no place"),
        ("base_model.model.visual.blocks.0.attn.qkv.lora_A.weight", (8, 9), "vision"),
        ("visual.merger.lora_A.weight", (8, 9), "vision"),
        ("base_model.model.model.embed_tokens.weight", (40, 64), "vocabulary"),
        ("base_model.model.lm_head.lora_A.weight", (8, 64), "vocabulary"),
    ]:
        files = with_tensors(lora_shapes(tiny()) | {name: shape})
        assert_refused(imported(oss, files), word, name)


def test_a_tensor_without_its_partner(oss: OssState) -> None:
    shapes = lora_shapes(tiny())
    del shapes[ROOT + "mlp.up_proj.lora_B.weight"]
    assert_refused(imported(oss, with_tensors(shapes)), "up_proj.lora_A", "no partner")


def test_weights_are_plain_floats(oss: OssState) -> None:
    for dtype, status in [("float16", Status.SUCCEEDED), ("int8", Status.FAILED)]:
        job, _ = imported(oss, with_tensors(lora_shapes(tiny()), dtype))
        assert job.status is status


def test_names_by_family(oss: OssState) -> None:
    for family, root, status in [
        (Family.QWEN25_VL, "base_model.model.model.layers.", Status.SUCCEEDED),
        (Family.QWEN25_VL, "base_model.model.model.language_model.layers.", "ok"),
        (Family.QWEN3_VL, "base_model.model.model.language_model.layers.", "ok"),
        (Family.QWEN3_VL, "base_model.model.model.layers.", Status.FAILED),
        (Family.QWEN3, "base_model.model.model.language_model.layers.", Status.FAILED),
    ]:
        base = tiny(family)
        job, _ = imported(oss, with_tensors(lora_shapes(base, root=root)), base=base)
        assert job.status is (Status.SUCCEEDED if status == "ok" else status)
