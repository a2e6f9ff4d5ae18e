"""Pages of reports, as the tests of them are given them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from preflight.record import ErrorRecord, RunRecord
from preflight.report.several import Several
from tests.report.runs import imported, uploaded
from tests.report.runs import run as record
from tests.report.test_formats import FAILED, HOSTILE, PASSED, WARNED

MARKUP = f"{HOSTILE}/'\"><img src=x onerror=alert(1)>"


def hostile() -> RunRecord:
    """Every text that comes from elsewhere tries to be markup."""
    run = record(PASSED, WARNED, FAILED, command="push")
    run.directory = MARKUP
    run.uploaded = uploaded()
    run.imported = imported(HOSTILE, job={"model_name": HOSTILE})
    run.stages = {"inspect": 0.2, "scan": 61.5}
    return run


def hostile_several() -> Several:
    """The same among others."""
    lost = RunRecord("check", MARKUP, error=ErrorRecord(HOSTILE), exit_code=2)
    return Several.of([hostile(), lost], 1, MARKUP)


def uneven(directory: Path) -> None:
    """Updates that grow towards the upper layers and peak, as trained ones do."""
    path = directory / "adapter_model.safetensors"
    tensors = load_file(path)
    generator = np.random.default_rng(5)
    for name in tensors:
        if "lora_B" not in name:
            continue
        layer = int(name.partition(".layers.")[2].partition(".")[0])
        height = 0.25 + np.exp(-(((layer - 24) / 9) ** 2))
        weight = 0.7 if "k_proj" in name or "v_proj" in name else 1.0
        noise = 1 + 0.12 * generator.standard_normal()
        tensors[name] = (tensors[name] * height * weight * noise).astype(np.float32)
    save_file(tensors, path, {"format": "pt"})
