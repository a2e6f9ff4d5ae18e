"""The norms of an adapter's updates, against the product made in full."""

from __future__ import annotations

import itertools
import json
import math
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import deserialize
from safetensors.numpy import load_file, save_file

from fixtures.adapters import SEVEN, build_adapter
from fixtures.faults import FAULTS
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, write_tiny_bases
from preflight.api import check
from preflight.findings import Unavailable
from preflight.model.base_choice import Request
from preflight.model.differences import NotComparable, difference
from preflight.model.headers import Container, Tensor, read_container
from preflight.model.inspection import Inspection, inspect
from preflight.model.norms import AdapterMeter, ChangeMeter, NormMeter, norm_meter
from preflight.model.scale import scale_of
from preflight.model.scan import ValueScanner
from preflight.model.steady import Calls, open_regular
from preflight.model.tensor_bytes import Place, files_of
from preflight.model.update_map import CellState, UpdateMap
from preflight.model.updates import compared
from preflight.pipeline.checked import measured
from preflight.record import Gatherer, RunRecord
from tests.cases import case
from tests.running import InProcess, tiny_adapter


def dense(directory: Path) -> dict[str, np.ndarray]:
    """Each module's update, alpha / r · B·A, as a matrix."""
    config = json.loads((directory / "adapter_config.json").read_text("utf-8"))
    tensors = load_file(directory / "adapter_model.safetensors")
    modules = {name.partition(".lora_A")[0] for name in tensors if ".lora_A" in name}
    scale = config["lora_alpha"] / config["r"]
    return {
        module: scale
        * tensors[f"{module}.lora_B.weight"].astype(np.float64)
        @ tensors[f"{module}.lora_A.weight"].astype(np.float64)
        for module in modules
    }


def adapter_map(found: Inspection) -> UpdateMap | Unavailable:
    """What `show` tells: the weights read once, in the order of the file."""
    return measured(found, Gatherer(RunRecord("show")))


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "adapter")


@pytest.fixture
def tiny_bases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tiny_bases(tmp_path / "bases")
    monkeypatch.setenv("PREFLIGHT_BASES", str(tmp_path / "bases"))


# The product of a real width, 4096, is made of its smallest module alone: the others
# would be 128 MB each.
@pytest.mark.usefixtures("tiny_bases")
@pytest.mark.parametrize(
    ("base", "targets", "dtype"),
    [
        ("qwen3-8b", ("v_proj",), "F32"),
        (TINY_TEXT, SEVEN, "F32"),
        (TINY_TEXT, SEVEN, "F16"),
        (TINY_TEXT, SEVEN, "BF16"),
    ],
)
def test_norms_are_those_of_the_products(
    tmp_path: Path, base: str, targets: tuple[str, ...], dtype: str
) -> None:
    words: dict[str, Any] = {"base": base, "targets": targets, "tiny": True}
    plain = build_adapter(tmp_path / "plain", **words)
    made = build_adapter(tmp_path / "made", dtype=dtype, **words)
    found = adapter_map(inspect(made))
    assert not isinstance(found, Unavailable)
    expected = {name: np.linalg.norm(full) for name, full in dense(plain).items()}
    assert len(expected) == 2 * len(targets)
    tolerance = {"F32": 1e-9, "F16": 1e-2, "BF16": 2e-2}[dtype]
    norms = {cell.module: cell.norm for cell in found.cells.values()}
    assert norms == pytest.approx(expected, rel=tolerance)
    total = math.sqrt(sum(norm**2 for norm in norms.values()))
    assert found.total == pytest.approx(total)
    assert {cell.state for cell in found.cells.values()} == {CellState.TRAINED}
    assert found.largest == max(norms.values())


@pytest.mark.parametrize(
    ("fault", "states"),
    [
        ("b-all-zero", {CellState.ZERO}),
        ("nan-all", {CellState.NOT_FINITE}),
        ("nan-first", {CellState.NOT_FINITE, CellState.TRAINED}),
        ("b-some-zero", {CellState.ZERO, CellState.TRAINED}),
    ],
)
def test_cells_that_are_zero_or_not_finite(
    adapter: Path, fault: str, states: set[CellState]
) -> None:
    FAULTS[fault].apply(adapter)
    found = adapter_map(inspect(adapter))
    assert not isinstance(found, Unavailable)
    assert {cell.state for cell in found.cells.values()} == states
    assert math.isfinite(found.total)


def test_a_half_that_lacks_the_other_and_a_layer_that_is_not_there(
    adapter: Path,
) -> None:
    path = adapter / "adapter_model.safetensors"
    tensors = load_file(path)
    first = next(name for name in tensors if ".layers.0." in name and "lora_A" in name)
    del tensors[first]
    moved = {
        name.replace(".layers.1.", ".layers.2."): value
        for name, value in tensors.items()
    }
    save_file(moved, path)
    found = adapter_map(inspect(adapter))
    assert not isinstance(found, Unavailable)
    assert found.layers == (0, 1, 2)
    assert {found.at(1, kind).state for kind in found.kinds} == {CellState.MISSING}
    states = [found.at(0, kind).state for kind in found.kinds]
    assert states.count(CellState.MISSING) == 1


def test_full_weights_have_no_map(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert isinstance(adapter_map(inspect(tmp_path)), Unavailable)


def test_the_scale_is_what_peft_multiplies_with() -> None:
    cases: list[tuple[object, float]] = [
        ({"lora_alpha": 32}, 2.0),
        ({"lora_alpha": 32, "use_rslora": True}, 8.0),
        ({"lora_alpha": 32, "alpha_pattern": {"q_proj": 16}}, 1.0),
        ({"lora_alpha": 32, "alpha_pattern": {"v_proj": 16}}, 2.0),
        ({"lora_alpha": 32, "alpha_pattern": {"(": 16}}, 2.0),
        ({"lora_alpha": "many"}, 1.0),
        ({"lora_alpha": True}, 1.0),
        ({}, 1.0),
        (None, 1.0),
    ]
    for config, scale in cases:
        with case(config, scale):
            assert scale_of(config, "model.layers.0.self_attn.q_proj", 16) == scale


@pytest.mark.usefixtures("tiny_bases")
def test_two_adapters_are_compared_by_norm_and_direction(tmp_path: Path) -> None:
    one = build_adapter(tmp_path / "one", base=TINY_TEXT)
    other = build_adapter(tmp_path / "other", base=TINY_TEXT, seed=7)
    first, second = dense(one), dense(other)
    pairs = {pair.module: pair for pair in compared(inspect(one), inspect(other))}
    assert set(pairs) == set(first)
    for module, pair in pairs.items():
        norms = np.linalg.norm(first[module]), np.linalg.norm(second[module])
        cosine = np.sum(first[module] * second[module]) / (norms[0] * norms[1])
        assert (pair.before, pair.after) == pytest.approx(norms)
        assert pair.cosine == pytest.approx(cosine, abs=1e-9)
    for pair in compared(inspect(one), inspect(one)):
        assert pair.cosine == pytest.approx(1.0)


# Bytes in any order


def fed(
    meter: NormMeter, container: Container, path: Path, pieces: list[tuple[int, int]]
) -> UpdateMap:
    """The map, after a scanner was given these pieces of the file."""
    scanner = ValueScanner(container, meter.take)
    data = path.read_bytes()
    for start, stop in pieces:
        scanner.feed(start, memoryview(data)[start:stop])
    found = meter.result()
    meter.close()
    assert isinstance(found, UpdateMap)
    return found


def cut_up(size: int, seed: int) -> list[tuple[int, int]]:
    """Pieces that cover a file, in any order, some of them twice."""
    generator = random.Random(seed)  # noqa: S311
    ends = sorted({0, size, *(generator.randrange(size) for _ in range(300))})
    pieces = list(itertools.pairwise(ends))
    pieces += [(start, min(size, stop + 5_000)) for start, stop in pieces[::7]]
    generator.shuffle(pieces)
    return pieces


@pytest.mark.parametrize("dtype", ["F32", "BF16"])
def test_the_order_of_the_bytes_makes_no_difference(tmp_path: Path, dtype: str) -> None:
    directory = tiny_adapter(tmp_path / "adapter", dtype=dtype)
    found = inspect(directory)
    expected = adapter_map(found)
    assert isinstance(expected, UpdateMap)
    assert not isinstance(found.containers, Unavailable)
    (container,) = found.containers
    assert isinstance(container, Container)
    path = directory / container.file
    for seed in range(3):
        meter = norm_meter(found)
        assert not isinstance(meter, Unavailable)
        made = fed(meter, container, path, cut_up(container.size, seed))
        for key, cell in made.cells.items():
            assert cell.norm == pytest.approx(expected.cells[key].norm, rel=1e-12)


def test_of_an_adapter_no_more_is_kept_than_what_is_on_its_way(tmp_path: Path) -> None:
    found = inspect(tiny_adapter(tmp_path / "adapter"))
    meter = norm_meter(found)
    assert isinstance(meter, AdapterMeter)
    assert not isinstance(found.containers, Unavailable)
    (container,) = found.containers
    assert isinstance(container, Container)
    path = tmp_path / "adapter" / container.file
    fed(meter, container, path, [(0, container.size)])
    assert not meter._halves
    assert not meter._grams


@pytest.mark.parametrize("command", ["check", "push"])
def test_each_byte_of_the_weights_is_read_once(
    tmp_path: Path,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The map on the page is made of the bytes that are scanned, or sent."""
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys)
    directory = tiny_adapter(tmp_path / "adapter")
    weights = directory / "adapter_model.safetensors"
    seen = np.zeros(weights.stat().st_size, np.uint8)
    read = Calls.read

    def counting(self: Calls, file: int, view: memoryview, offset: int) -> int:
        count = read(self, file, view, offset)
        if os.fstat(file).st_ino == weights.stat().st_ino:
            seen[offset : offset + count] += 1
        return count

    monkeypatch.setattr(Calls, "read", counting)
    page = tmp_path / "report.html"
    where = ("--sandbox",) if command == "push" else ()
    done = preflight(command, directory, *where, "--output", page)
    assert done.code == 0, done.err
    assert "4 of 4 modules trained" in page.read_text("utf-8")
    container = read_container(open_regular(weights), weights.name)
    assert isinstance(container, Container)
    assert set(seen[container.data_start :]) == {1}


# Full weights against the base


def full(directory: Path, *, seed: int, dtype: str = "BF16") -> Path:
    return build_full(
        directory, base=TINY_TEXT, sparse=False, template=TINY_TEMPLATE, seed=seed,
        dtype=dtype,
    )  # fmt: skip


def values_of(directory: Path) -> dict[str, np.ndarray]:
    """All tensors as the library reads them, in 64 bits."""
    found = {}
    for path in directory.glob("model*.safetensors"):
        for name, told in deserialize(path.read_bytes()):  # type: ignore[no-untyped-call]
            if told["dtype"] == "BF16":
                words = np.frombuffer(told["data"], "<u2").astype("<u4") << 16
                values = words.view("<f4")
            else:
                values = np.frombuffer(told["data"], "<f4")
            found[name] = values.astype(np.float64)
    return found


@pytest.mark.usefixtures("tiny_bases")
@pytest.mark.parametrize("dtype", ["BF16", "F32"])
def test_the_change_against_the_base_is_a_share_of_its_norm(
    tmp_path: Path, dtype: str
) -> None:
    base = full(tmp_path / "base", seed=0)
    tuned = full(tmp_path / "tuned", seed=1, dtype=dtype)
    found = adapter_map(inspect(tuned, Request(base_model=TINY_TEXT, base_dir=base)))
    assert isinstance(found, UpdateMap)
    assert found.relative
    mine, wanted = values_of(tuned), values_of(base)
    seen = {}
    for (layer, kind), cell in found.cells.items():
        name = f"model.layers.{layer}.{kind}.weight"
        share = np.linalg.norm(mine[name] - wanted[name]) / np.linalg.norm(wanted[name])
        assert cell.norm == pytest.approx(share, rel=1e-9)
        seen[name] = cell.state
    assert set(seen) == {name for name in mine if ".layers." in name}
    assert CellState.CHANGED in seen.values()
    beside = {other.kind: other.state for other in found.others}
    assert beside["model.embed_tokens"] is CellState.CHANGED
    whole = sum(np.sum((mine[name] - wanted[name]) ** 2) for name in mine)
    norm = sum(np.sum(wanted[name] ** 2) for name in mine)
    assert found.total == pytest.approx(math.sqrt(whole / norm), rel=1e-9)


@pytest.mark.usefixtures("tiny_bases")
def test_the_base_itself_is_unchanged_and_what_one_alone_has_is_told(
    tmp_path: Path,
) -> None:
    base = full(tmp_path / "base", seed=0)
    same = full(tmp_path / "same", seed=0)
    found = adapter_map(inspect(same, Request(base_model=TINY_TEXT, base_dir=base)))
    assert isinstance(found, UpdateMap)
    assert {cell.state for cell in found.cells.values()} == {CellState.UNCHANGED}
    assert found.total == 0
    places = {
        name: Place(files_of(tmp_path), "gone", Tensor(name, "F32", (2,), 0, 8))
        for name in ("model.layers.0.a.weight", "model.layers.1.a.weight")
    }
    first, second = places
    meter = ChangeMeter({first: places[first]}, {second: places[second]})
    told = meter.result()
    assert isinstance(told, UpdateMap)
    assert told.at(0, "a").state is CellState.NOT_IN_BASE
    assert told.at(1, "a").state is CellState.MISSING


@pytest.mark.usefixtures("tiny_bases")
def test_full_weights_are_measured_only_where_that_is_asked_for(tmp_path: Path) -> None:
    base, tuned = full(tmp_path / "base", seed=0), full(tmp_path / "tuned", seed=1)
    words: dict[str, Any] = {"base_model": TINY_TEXT, "base_dir": base}
    for measure, kind in ((False, Unavailable), (True, UpdateMap)):
        record = check(tuned, measure=measure, **words).record
        assert record.checked is not None
        assert isinstance(record.checked.updates, kind)


# Full weights against each other


@pytest.mark.usefixtures("tiny_bases")
def test_two_full_models_are_compared_with_and_without_their_base(
    tmp_path: Path,
) -> None:
    base, one, other = (full(tmp_path / str(seed), seed=seed) for seed in range(3))
    values = [values_of(each) for each in (one, other, base)]
    name = "model.layers.1.mlp.up_proj"
    for request, shift in (
        (Request(base_model=TINY_TEXT), 0.0),
        (Request(base_model=TINY_TEXT, base_dir=base), values[2][f"{name}.weight"]),
    ):
        found = difference(inspect(one, request), inspect(other, request))
        pair = next(p for p in found.pairs if p.kind == "mlp.up_proj" and p.layer == 1)
        a, b = (side[f"{name}.weight"] - shift for side in values[:2])
        whole = np.linalg.norm(shift) if np.any(shift) else 1.0
        assert pair.before == pytest.approx(np.linalg.norm(a) / whole)
        assert pair.after == pytest.approx(np.linalg.norm(b) / whole)
        cosine = np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)
        assert pair.cosine == pytest.approx(cosine, abs=1e-9)
        change = np.linalg.norm(a - b) / np.linalg.norm(a)
        assert pair.change == pytest.approx(change, rel=1e-6)
    assert difference(inspect(one), inspect(one)).same


@pytest.mark.usefixtures("tiny_bases")
def test_an_adapter_and_full_weights_are_not_compared(
    adapter: Path, tmp_path: Path
) -> None:
    weights = full(tmp_path / "full", seed=0)
    empty = tmp_path / "empty"
    empty.mkdir()
    for pair in ((adapter, weights), (adapter, empty), (empty, empty)):
        with pytest.raises(NotComparable):
            difference(*map(inspect, pair))
