"""Outages in the middle of a transfer: waited for, told, and survived."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from preflight.clock import SystemClock, compressed
from preflight.errors import TransferError, UsageError
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.retry import Retry, RetryEvent
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import FaultPlan
from preflight.upload.parts import TransferOptions
from tests.upload.small_model import (
    FIRST,
    OPTIONS,
    PART,
    SECOND,
    Told,
    empty,
    fault,
    is_all_there,
    make_model,
    send,
    sent,
    weights,
)

OUTAGES: list[dict[str, object]] = [
    {"action": "cut", "at": "before"},
    {"action": "cut", "at": "body"},
    {"action": "status", "status": 503, "code": "ServiceUnavailable"},
    {"action": "status", "status": 400, "code": "IncompleteBody"},
]


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    """Its faults last as long as the clock of this process says."""
    plan = FaultPlan(clock=SystemClock().now)
    with Sandbox(directory=tmp_path / "box", faults=plan) as made:
        yield made


def access_to(box: Sandbox) -> OssAccess:
    return OssAccess(
        box.access_key_id,
        box.access_key_secret,
        region=box.region,
        endpoint=box.oss_url,
    )


def test_a_minute_without_oss_costs_at_most_a_part_for_each_worker(
    box: Sandbox, tmp_path: Path
) -> None:
    root = make_model(tmp_path / "model")
    events = list[RetryEvent]()
    with BucketClient(
        access_to(box), box.bucket, patience=600, on_retry=events.append
    ) as client:
        for outage in OUTAGES:
            empty(box)
            events.clear()
            before = sent(box)
            # The lists, the beginnings of two uploads and a part or two, then nothing.
            box.faults.add(fault("*", nth=6, for_seconds=60, **outage))  # type: ignore[arg-type]
            with compressed():
                send(root, box, client)
            assert is_all_there(root, box), outage
            again = sent(box) - before - weights(root)
            assert again <= OPTIONS.workers * PART, outage
            assert max(event.idle for event in events) > 5, outage


def test_an_outage_beyond_the_patience_keeps_the_parts_and_says_how_long(
    box: Sandbox, tmp_path: Path
) -> None:
    root = make_model(tmp_path / "model")
    alone = replace(OPTIONS, workers=1)
    with BucketClient(access_to(box), box.bucket, patience=90) as client:
        for outage in OUTAGES:
            empty(box)
            box.faults.add(fault("*", nth=6, times="always", **outage))  # type: ignore[arg-type]
            with (
                compressed(),
                pytest.raises(TransferError, match="nothing moved for 1 min 3") as all_,
            ):
                send(root, box, client, options=alone)
            assert "finished parts are kept: the same command" in all_.value.hint
            (left,) = box.oss.uploads(box.bucket)
            assert box.oss.parts(box.bucket, left.key, left.id), outage


def test_parts_that_always_fail_leave_the_others_alone(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    """They go back to the queue; the first two take both workers in the beginning."""
    root = make_model(tmp_path / "model")
    sandbox.faults.add(
        fault("UploadPart", "cut", at="before", key=f"*{FIRST}", times="always")
    )
    quick = Retry(base=0.001, cap=0.002)

    def mend() -> None:
        if told.bytes >= (root / SECOND).stat().st_size:
            sandbox.faults.clear()

    told = Told(mend)
    with BucketClient(
        access_to(sandbox), sandbox.bucket, retry=quick, patience=600
    ) as client:
        send(root, sandbox, client, progress=told)
    assert is_all_there(root, sandbox)


def test_a_refusal_is_not_waited_for(box: Sandbox, tmp_path: Path) -> None:
    root = make_model(tmp_path / "model")
    for code, status in (("AccessDenied", 403), ("MalformedXML", 400)):
        empty(box)
        box.faults.add(
            fault("UploadPart", "status", status=status, code=code, nth=3, times=1)
        )
        events = list[RetryEvent]()
        with (
            BucketClient(
                access_to(box), box.bucket, patience=600, on_retry=events.append
            ) as client,
            pytest.raises(Exception, match=code),
        ):
            send(root, box, client, options=replace(OPTIONS, workers=1))
        assert not events
        (left,) = box.oss.uploads(box.bucket)
        assert len(box.oss.parts(box.bucket, left.key, left.id)) == 2


def test_a_connection_that_breaks_at_the_same_byte_is_no_progress(
    box: Sandbox, tmp_path: Path
) -> None:
    root = make_model(tmp_path / "model")
    box.faults.add(fault("UploadPart", "cut", at="body", nth=2, times="always"))
    alone = replace(OPTIONS, workers=1)
    with (
        BucketClient(access_to(box), box.bucket, patience=90) as client,
        compressed(),
        pytest.raises(TransferError, match="nothing moved for 1 min 3"),
    ):
        send(root, box, client, options=alone)


@pytest.mark.parametrize("patience", [-1.0, float("inf"), float("nan")])
def test_a_patience_is_a_number_of_seconds(patience: float) -> None:
    with pytest.raises(UsageError, match="patience"):
        TransferOptions(patience=patience)
