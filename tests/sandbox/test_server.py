"""What an endpoint has from pytest-httpserver: expectations beside the service."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests
from werkzeug.wrappers import Request, Response

from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault, FaultPlan
from preflight.sandbox.server import Endpoint, operation


def service(request: Request) -> Response:
    operation(request, "Hello", request.path)
    return Response("hello")


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    with Endpoint("studio", service, faults=FaultPlan()) as made:
        yield made


def said(endpoint: Endpoint, path: str) -> tuple[int, str]:
    answer = requests.get(endpoint.url_for(path), timeout=10)
    return answer.status_code, answer.text


def test_an_expected_request_is_answered_in_the_service_s_place(
    endpoint: Endpoint,
) -> None:
    endpoint.expect_oneshot_request("/once").respond_with_data("gone", status=410)
    endpoint.expect_request("/always", method="GET").respond_with_json({"a": 1})
    asked = [said(endpoint, path) for path in ("/once", "/once", "/other", "/always")]
    assert asked[:3] == [(410, "gone"), (200, "hello"), (200, "hello")]
    assert asked[3][0] == 200
    assert "hello" not in asked[3][1]
    endpoint.check()
    # What is expected counts as a call, too; bodies are kept of none.
    assert [record.operation for record in endpoint.log_calls.last()] == [
        "",
        "Hello",
        "Hello",
        "",
    ]
    assert endpoint.log == []
    endpoint.clear()
    assert said(endpoint, "/always") == (200, "hello")


def test_an_order_that_is_not_kept_is_an_error_of_the_test(endpoint: Endpoint) -> None:
    for path in ("/first", "/second"):
        endpoint.expect_ordered_request(path).respond_with_data(path)
    assert said(endpoint, "/first") == (200, "/first")
    assert said(endpoint, "/third")[0] == 500
    with pytest.raises(AssertionError, match="No handler found"):
        endpoint.check()


def test_faults_hit_the_service_alone(endpoint: Endpoint) -> None:
    endpoint.faults.add(
        Fault(service="studio", operation="Hello", action=Action.STATUS, status=503)
    )
    endpoint.expect_oneshot_request("/x").respond_with_data("expected")
    asked = [said(endpoint, "/x") for _ in range(3)]
    assert [status for status, _ in asked] == [200, 503, 200]
    assert asked[0][1] == "expected"
    endpoint.check()


def test_an_answer_of_the_sandbox_replaced_for_one_call() -> None:
    """An error that the fake does not know, in the form that a page documents."""
    with Sandbox() as box:
        told = {"code": "Throttling.Sandbox", "message": "slow down", "request_id": "1"}
        box.studio_endpoint.expect_oneshot_request(
            "/api/v1/custom_models/import", method="GET"
        ).respond_with_json(told, status=429)
        url = f"{box.studio_url}/custom_models/import"
        headers = {"Authorization": f"Bearer {box.api_key}"}
        answers = [requests.get(url, headers=headers, timeout=10) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [429, 200]
        box.check()
