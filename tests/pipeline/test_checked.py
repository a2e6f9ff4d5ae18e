"""The check as a stage, called as a program would: what is known when."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from preflight.crc import crc64
from preflight.errors import UsageError
from preflight.findings import Result, Unavailable, Verdict, WeightType
from preflight.model.base_choice import Request
from preflight.model.source import LocalDirectory
from preflight.pipeline.checked import check
from preflight.pipeline.options import CheckOptions
from preflight.record import Gatherer, RunRecord
from preflight.rules import SCAN_RULES
from tests.running import tiny_adapter


def checked(
    directory: Path, request: Request | None = None, *, scan: bool = True
) -> RunRecord:
    gathered = Gatherer(RunRecord("check", str(directory)))
    options = CheckOptions(LocalDirectory(directory), request or Request(), scan=scan)
    assert check(options, gathered) == gathered.record.checked
    return gathered.record


def test_a_check_fills_the_record(tmp_path: Path) -> None:
    record = checked(tiny_adapter(tmp_path / "adapter"))
    assert (record.weight_type, record.base_model) == (WeightType.LORA, "qwen3-8b")
    assert record.report.verdict is Verdict.PASS
    assert list(record.stages) == ["inspect", "rules", "scan"]
    assert record.stage == ""
    assert (record.planned, record.uploaded, record.imported) == (None, None, None)


def test_each_rule_has_one_outcome(tmp_path: Path) -> None:
    record = checked(tiny_adapter(tmp_path / "adapter"))
    codes = [outcome.code for outcome in record.report.outcomes]
    assert len(codes) == len(set(codes))


def test_without_a_scan_its_rules_are_skipped_and_never_passed(tmp_path: Path) -> None:
    record = checked(tiny_adapter(tmp_path / "adapter"), scan=False)
    scanning = {rule.code for rule in SCAN_RULES}
    found = {o.code: o.result for o in record.report.outcomes if o.code in scanning}
    assert found
    assert set(found.values()) == {Result.SKIPPED}
    assert "scan" not in record.stages


def test_what_is_known_before_a_directory_fails_is_kept(tmp_path: Path) -> None:
    record = RunRecord("check")
    with pytest.raises(UsageError, match="no such directory"):
        check(CheckOptions(LocalDirectory(tmp_path / "gone")), Gatherer(record))
    assert record.stage == "inspect"
    assert record.report.outcomes == ()


@pytest.mark.parametrize("fault", ["nan-last", "b-all-zero"])
def test_the_scan_reaches_every_value(tmp_path: Path, fault: str) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    FAULTS[fault].apply(adapter)
    failed = checked(adapter).report.select(Result.FAILED)
    assert {outcome.code for outcome in failed} <= {rule.code for rule in SCAN_RULES}
    assert failed


def test_weights_that_are_broken_are_not_scanned(tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    weights = adapter / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    report = checked(adapter).report
    scanning = {rule.code for rule in SCAN_RULES}
    reasons = {o.reason for o in report.outcomes if o.code in scanning}
    assert reasons == {"adapter_model.safetensors is broken"}
    assert report.verdict is Verdict.FAIL


def test_what_was_asked_for_wins_over_what_the_directory_says(tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    assert checked(adapter, Request(base_model="qwen3-14b")).base_model == "qwen3-14b"
    record = checked(adapter, Request(weight_type=WeightType.FULL))
    assert record.weight_type is WeightType.FULL


def test_the_inspection_and_the_sums_of_what_was_read_are_handed_on(
    tmp_path: Path,
) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    found = checked(adapter).checked
    assert found is not None
    assert not isinstance(found.found.tensors, Unavailable)
    assert len(found.found.tensors) == 8
    assert found.found.location.directory == adapter
    weights = "adapter_model.safetensors"
    assert found.sums == {weights: crc64((adapter / weights).read_bytes())}
