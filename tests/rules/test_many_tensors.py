"""An adapter on all experts of a large mixture has 40,000 tensors and more."""

from __future__ import annotations

import json
import time
from pathlib import Path

from preflight.findings import Result
from preflight.model.base_choice import Request
from preflight.model.inspection import inspect
from preflight.rules import STATIC_RULES, run_rules
from tests.depth import examples
from tests.model.safetensors_bytes import container

LEAVES = ("gate_proj", "up_proj", "down_proj", "q", "k", "v", "o")
# What grows with the square of the tensors shows with 10,000; `make fuzz` takes all.
EXPERTS = 20 if examples(1) == 1 else 80
SECONDS = EXPERTS * 0.15  # of CPU time; on an idle machine it takes a tenth


def test_all_rules_stay_quick(tmp_path: Path) -> None:
    prefix, end = "base_model.model.model.layers", 0
    header: dict[str, object] = {}
    for number in range(36 * EXPERTS):
        layer, expert = divmod(number, EXPERTS)
        for leaf in LEAVES:
            module = f"{prefix}.{layer}.mlp.experts.{expert}.{leaf}"
            for half, shape in (("A", [8, 16]), ("B", [16, 8])):
                span = [end, end + 256]
                entry = {"dtype": "BF16", "shape": shape, "data_offsets": span}
                header[f"{module}.lora_{half}.weight"] = entry
                end += 256
    data = container(json.dumps(header))
    with (tmp_path / "adapter_model.safetensors").open("wb") as file:
        file.write(data)
        file.truncate(len(data) + end)
    config = {"peft_type": "LORA", "r": 8, "lora_alpha": 16, "target_modules": LEAVES}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    found = inspect(tmp_path, Request(base_model="qwen3-8b"))
    assert isinstance(found.tensors, tuple)
    assert len(found.tensors) == 36 * EXPERTS * 14
    began = time.process_time()
    outcomes = run_rules(STATIC_RULES, found, found.weight_type)
    assert time.process_time() - began < SECONDS
    failed = {outcome.code for outcome in outcomes if outcome.result is Result.FAILED}
    assert "K03" in failed  # this base has no experts
    assert not failed & {"S01", "S02", "S03", "S04"}
