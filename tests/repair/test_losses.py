"""Number formats: exact without a flag, and what a flag loses is measured."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from fixtures.faults import FAULTS
from fixtures.tensors import Tensor, read_tensors, write_tensors
from tests.repair.conftest import adapter
from tests.repair.effect import effect, raw_tensors, scale, snapshot, wide
from tests.running import InProcess

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
QUIET = ("--format", "json", "--progress", "off")


def rewritten(directory: Path, dtype: str, data: dict[str, bytes]) -> None:
    """The adapter's tensors with other bytes in another format."""
    tensors = [
        Tensor(one.name, dtype, one.shape, lambda name=one.name: [data[name]])  # type: ignore[misc]
        for one in read_tensors(directory / WEIGHTS)
    ]
    write_tensors(directory / WEIGHTS, tensors, {"format": "pt"})


def e4m3(pattern: int) -> float:
    """One sign, four bits of exponent with bias 7, three of fraction."""
    exponent, fraction = pattern >> 3 & 15, pattern & 7
    size = (1 + fraction / 8) * 2.0 ** (exponent - 7) if exponent else fraction / 512
    return -size if pattern & 128 else size


def test_eight_bits_become_f32_exactly(preflight: InProcess, tmp_path: Path) -> None:
    broken, new = adapter(tmp_path / "broken"), tmp_path / "new"
    random = np.random.default_rng(0)
    patterns = {
        name: random.integers(0, 0x28, size=shape, dtype=np.uint8)
        | random.integers(0, 2, size=shape, dtype=np.uint8) << 7
        for name, (_, shape, _) in raw_tensors(broken / WEIGHTS).items()
    }
    rewritten(broken, "F8_E4M3", {n: p.tobytes() for n, p in patterns.items()})
    assert preflight("check", broken, "-q").code == 1
    done = preflight("fix", broken, "-o", new, *QUIET)
    assert (done.code, done.err) == (0, "")
    assert done.document["repair"]["losses"] == {}
    found = raw_tensors(new / WEIGHTS)
    assert found.keys() == patterns.keys()
    for name, stored in found.items():
        assert stored[0] == "F32"
        wanted = [e4m3(int(pattern)) for pattern in patterns[name].flat]
        assert wide(*stored).ravel().tolist() == wanted


def test_64_bits_are_rounded_only_where_that_is_wanted(
    preflight: InProcess, tmp_path: Path
) -> None:
    broken, new = adapter(tmp_path / "broken"), tmp_path / "new"
    thirds = {n: wide(*t) / 3 for n, t in raw_tensors(broken / WEIGHTS).items()}
    rewritten(broken, "F64", {n: values.tobytes() for n, values in thirds.items()})
    before = snapshot(broken)
    refused = preflight("fix", broken, "-o", new, "--progress", "off")
    assert refused.code == 1
    assert "cannot hold exactly" in refused.told()[0]
    assert not new.exists()
    done = preflight("fix", broken, "-o", new, "--round", *QUIET)
    assert (done.code, done.err) == (0, "")
    losses = done.document["repair"]["losses"]
    assert losses.keys() == thirds.keys()
    for name, stored in raw_tensors(new / WEIGHTS).items():
        found, wanted = wide(*stored), thirds[name]
        assert np.array_equal(found, wanted.astype(np.float32))
        relative = np.linalg.norm(found - wanted) / np.linalg.norm(wanted)
        assert losses[name] == pytest.approx(relative)
        assert 0 < relative < 2**-24
    assert snapshot(broken) == before


def test_how_much_of_the_update_is_left_out(
    preflight: InProcess, tmp_path: Path
) -> None:
    broken, new = adapter(tmp_path / "broken"), tmp_path / "new"
    FAULTS["lm-head-lora"].apply(broken)
    kept = sum(float(np.sum(each**2)) for each in effect(broken).values())
    head = {
        n[-8]: t for n, t in raw_tensors(broken / WEIGHTS).items() if "lm_head" in n
    }
    a, b = (wide(*head[f"{half}"]) for half in "AB")
    config = json.loads((broken / CONFIG).read_text("utf-8"))
    gone = float(np.sum((scale(config, "lm_head", len(a)) * (b @ a)) ** 2))
    done = preflight("fix", broken, "-o", new, "--drop-head", *QUIET)
    assert (done.code, done.err) == (0, "")
    (step,) = done.document["repair"]["steps"]
    told = re.search(r"have (\S+) of the norm of all updates", " ".join(step["told"]))
    assert told is not None
    share = np.sqrt(gone / (gone + kept))
    assert share > 0
    assert float(told[1]) == pytest.approx(share, rel=0.01)
