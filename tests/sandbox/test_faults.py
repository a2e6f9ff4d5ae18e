"""Fault plans as data, and each action as a client of the fake OSS meets it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from typing import Any

import oss2
import pytest
import requests
from werkzeug.wrappers import Request, Response

from preflight.crc import crc64
from preflight.sandbox.faults import Action, Fault, FaultPlan
from preflight.sandbox.oss import Credential, OssState
from preflight.sandbox.server import Endpoint, operation
from tests.running import until
from tests.sandbox.oss.box import BUCKET, REGION, Box, Clock, refused, serving

OSS = {"service": "oss", "operation": "PutObject"}


class Slept:
    """A sleep that takes no time, and a clock that it moves."""

    def __init__(self) -> None:
        self.naps: list[float] = []
        self.now = 0.0

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    def clock(self) -> float:
        return self.now


@pytest.fixture
def slept() -> Slept:
    return Slept()


@pytest.fixture
def box(slept: Slept) -> Iterator[Box]:
    clock = Clock()
    plan = FaultPlan(clock=slept.clock, sleep=slept.sleep)
    with serving(OssState(region=REGION, clock=clock), plan, clock) as made:
        yield made


def plan_of(box: Box, **entry: object) -> None:
    box.plan.add(Fault.from_json({**OSS, **entry}))


def hits(plan: FaultPlan, calls: int, key: str = "k") -> list[int]:
    """Which of so many calls are hit, counted from 1."""
    return [n for n in range(1, calls + 1) if plan.due("oss", "PutObject", key)]


def test_which_calls_are_hit() -> None:
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({}, [1]),
        ({"nth": 3}, [3]),
        ({"nth": 3, "times": 2}, [3, 4]),
        ({"nth": 5, "times": "always"}, [5, 6]),
        ({"operation": "*", "times": 6}, [1, 2, 3, 4, 5, 6]),
        ({"operation": "UploadPart", "times": 6}, []),
        ({"service": "studio", "times": 6}, []),
        ({"key": "*.safetensors", "times": 6}, []),
        ({"key": "k*"}, [1]),
    ]
    for choice, expected in cases:
        plan = FaultPlan.from_json([{**OSS, "action": "wrong_crc", **choice}])
        assert hits(plan, 6) == expected
        assert len(plan.fired) == len(expected)


def test_a_fault_for_some_seconds(slept: Slept) -> None:
    entry = {**OSS, "action": "status", "status": 429, "nth": 2, "for_seconds": 10}
    plan = FaultPlan([Fault.from_json(entry)], clock=slept.clock)
    assert hits(plan, 3) == [2, 3]
    slept.now = 9.9
    assert hits(plan, 1) == [1]
    slept.now = 10
    assert hits(plan, 2) == []
    assert [fired.at for fired in plan.fired] == [0, 0, 9.9]


def test_nonsense_is_refused_with_a_sentence() -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({**OSS, "action": "explode"}, "explode"),
        ({**OSS}, "None"),
        ({**OSS, "action": "wrong_crc", "nht": 3}, "nht"),
        ({**OSS, "action": "wrong_crc", "seconds": 3}, "seconds"),
        ({**OSS, "action": "status"}, "status"),
        ({**OSS, "action": "status", "status": 99}, "status"),
        ({**OSS, "action": "status", "status": "503"}, "status"),
        ({**OSS, "action": "status", "status": 503, "headers": {"a": 1}}, "headers"),
        ({**OSS, "action": "status", "status": 503, "headers": "a"}, "headers"),
        ({**OSS, "action": "cut"}, "at"),
        ({**OSS, "action": "cut", "at": "middle"}, "at must"),
        ({**OSS, "action": "cut", "at": "body", "fraction": 1.1}, "fraction"),
        ({**OSS, "action": "latency"}, "seconds"),
        ({**OSS, "action": "latency", "seconds": -1}, "seconds"),
        ({**OSS, "action": "bandwidth", "bytes_per_second": 0}, "bytes_per_second"),
        ({**OSS, "action": "wrong_crc", "nth": 0}, "nth"),
        ({**OSS, "action": "wrong_crc", "nth": True}, "nth"),
        ({**OSS, "action": "wrong_crc", "times": "often"}, "times"),
        ({**OSS, "action": "wrong_crc", "for_seconds": "1"}, "for_seconds"),
        ({"operation": "PutObject", "action": "wrong_crc"}, "service"),
        ({"service": "oss", "action": "wrong_crc"}, "operation"),
        ({"service": "s3", "operation": "*", "action": "wrong_crc"}, "service"),
        ({**OSS, "action": ["status"]}, "action"),
    ]
    for entry, word in cases:
        with pytest.raises(ValueError, match=word):
            FaultPlan.from_json([entry])


def test_a_plan_is_a_list_of_objects() -> None:
    values: list[Any] = [{}, "[]", [1], ["x"]]
    for value in values:
        with pytest.raises(ValueError, match=r"list of objects|JSON object"):
            FaultPlan.from_json(value)


def test_json_and_back() -> None:
    entry = {
        **OSS,
        "action": "status",
        "status": 503,
        "code": "ServiceUnavailable",
        "headers": {"x-oss-qos-delay-time": "200"},
        "nth": 2,
        "times": "always",
    }
    fault = Fault.from_json(json.loads(json.dumps(entry)))
    assert fault.action is Action.STATUS
    assert fault.to_json() == entry


def test_an_error_instead_of_the_call(box: Box) -> None:
    headers = {"x-oss-qos-delay-time": "200"}
    plan_of(
        box,
        action="status",
        status=503,
        code="ServiceUnavailable",
        message="slow down",
        headers=headers,
    )
    client = box.client()
    error = refused("ServiceUnavailable", 503, lambda: client.put_object("k", b"x"))
    assert error.message == "slow down"
    assert error.headers["x-oss-qos-delay-time"] == "200"
    assert error.request_id
    assert box.state.objects(BUCKET) == []
    client.put_object("k", b"x")
    (fired,) = box.plan.fired
    assert (fired.operation, fired.key) == ("PutObject", "k")


def test_a_head_has_its_error_in_the_header(box: Box) -> None:
    fault = {"operation": "HeadObject", "status": 500, "code": "InternalError"}
    plan_of(box, action="status", **fault)
    client = box.client()
    refused("InternalError", 500, lambda: client.head_object("k"))


def cut_off(call: Callable[[], object]) -> None:
    with pytest.raises(oss2.exceptions.RequestError):
        call()


@pytest.mark.parametrize(
    ("at", "fraction", "received", "stored"),
    [
        ("before", None, 0, False),
        ("body", 0.0, 0, False),
        ("body", 0.25, 1 << 18, False),
        ("body", 1.0, 1 << 20, False),
        ("after", None, 1 << 20, True),
    ],
)
def test_cut_connections(
    box: Box, at: str, fraction: float | None, received: int, stored: bool
) -> None:
    more = {} if fraction is None else {"fraction": fraction}
    plan_of(box, action="cut", at=at, **more)
    client = box.client()
    cut_off(lambda: client.put_object("k", bytes(1 << 20)))
    (record,) = box.endpoint.log_calls.last()
    assert (record.status, record.bytes_received) == (0, received)
    assert [item.key for item in box.state.objects(BUCKET)] == ["k"] * stored
    assert client.put_object("k", b"again").status == 200


def test_a_completion_whose_answer_is_lost(box: Box) -> None:
    plan_of(box, operation="CompleteMultipartUpload", action="cut", at="after")
    client = box.client()
    upload_id = client.init_multipart_upload("k").upload_id
    part = oss2.models.PartInfo(1, client.upload_part("k", upload_id, 1, b"x").etag)
    cut_off(lambda: client.complete_multipart_upload("k", upload_id, [part]))
    assert client.head_object("k").content_length == 1


def test_a_wrong_crc(box: Box) -> None:
    plan_of(box, action="wrong_crc")
    client = box.client()
    with pytest.raises(oss2.exceptions.InconsistentError):
        client.put_object("k", b"x")
    assert client.put_object("k", b"x").crc == crc64(b"x")


def test_a_token_that_expires_under_way(box: Box) -> None:
    plan_of(box, action="expire_token", nth=3)
    for token in ("old", "new"):
        box.state.add_credential(Credential(f"STS.{token}", "s", token=token))
    old = box.client(key_id="STS.old", secret="s", token="old")
    for key in "ab":
        old.put_object(key, b"x")
    for _ in range(2):  # it stays expired
        error = refused("SecurityTokenExpired", 403, lambda: old.put_object("c", b"x"))
        assert error.ec == "0002-00000007"
    refused("SecurityTokenExpired", 403, old.get_bucket_info)
    new = box.client(key_id="STS.new", secret="s", token="new")
    assert new.put_object("c", b"x").status == 200


def test_latency(box: Box, slept: Slept) -> None:
    plan_of(box, action="latency", seconds=30)
    began = time.monotonic()
    box.client().put_object("k", b"x")
    assert time.monotonic() - began < 10
    assert slept.naps == [30]


def test_bandwidth_of_both_directions(box: Box, slept: Slept) -> None:
    plan_of(box, operation="*", action="bandwidth", bytes_per_second=1000, times=2)
    client = box.client()
    client.put_object("k", bytes(5000))
    assert slept.now == pytest.approx(5)
    assert client.get_object("k").read() == bytes(5000)
    until(lambda: slept.now == pytest.approx(10))  # it sleeps behind its last byte, too
    assert max(slept.naps) <= 0.05


def test_a_captive_portal(box: Box) -> None:
    plan_of(box, operation="ListObjects", action="captive_portal")
    answer = box.send("GET")
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "x-oss-request-id" not in answer.headers
    assert answer.text.startswith("<!DOCTYPE html>")


def test_an_answer_that_ends_early(box: Box) -> None:
    plan_of(box, operation="ListObjects", action="truncate", fraction=0.5)
    first, second = box.send("GET").content, box.send("GET").content
    assert first == second[: len(second) // 2]
    plan_of(box, operation="ListObjects", action="truncate", fraction=0.5)
    client = box.client()
    with pytest.raises(Exception, match=r"unclosed token|no element found"):
        client.list_objects()


def test_clearing(box: Box) -> None:
    plan_of(box, action="status", status=500, code="InternalError", times="always")
    client = box.client()
    refused("InternalError", 500, lambda: client.put_object("k", b"x"))
    assert len(box.plan.fired) == 1
    box.plan.clear()
    assert not box.plan.fired
    assert client.put_object("k", b"x").status == 200


def test_the_same_plan_serves_model_studio() -> None:
    def answer(request: Request) -> Response:
        operation(request, "CreateImportJob")
        return Response(json.dumps({"request_id": "r", "output": {}}))

    plan = FaultPlan.from_json(
        [
            {
                "service": "studio",
                "operation": "CreateImportJob",
                "action": "status",
                "status": 429,
                "code": "Throttling",
                "message": "later",
            },
            {
                "service": "studio",
                "operation": "*",
                "action": "truncate",
                "fraction": 0.5,
                "nth": 2,
            },
        ]
    )
    endpoint = Endpoint("studio", answer, faults=plan)
    endpoint.start()
    with requests.Session() as session:
        first = session.post(endpoint.url, json={}, timeout=10)
        assert (first.status_code, first.json()["code"]) == (429, "Throttling")
        with pytest.raises(requests.JSONDecodeError):
            session.post(endpoint.url, json={}, timeout=10).json()
        assert session.post(endpoint.url, json={}, timeout=10).json()["output"] == {}
    endpoint.stop()
