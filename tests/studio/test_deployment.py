"""The deployment call: what the sandbox's deployment API takes, field by field."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator

import pytest
import requests

from preflight.errors import UsageError
from preflight.findings import WeightType
from preflight.sandbox import Sandbox
from preflight.studio.deployment import DeploymentCall, deployment_call
from tests.sandbox.studio import models


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox(bases=[models.tiny()], seed_bucket=models.BUCKET) as made:
        yield made


def from_the_shell(call: DeploymentCall) -> dict[str, object]:
    """The body that a shell hands to curl."""
    words = shlex.split(call.curl().replace("\\\n", " "))
    assert words[:4] == ["curl", "-X", "POST", call.url]
    body: dict[str, object] = json.loads(words[words.index("-d") + 1])
    return body


def status(box: Sandbox, call: DeploymentCall) -> int:
    return requests.post(
        call.url,
        headers={"Authorization": f"Bearer {box.api_key}"},
        json=from_the_shell(call),
        timeout=10,
    ).status_code


@pytest.mark.parametrize("kind", [WeightType.LORA, WeightType.FULL])
def test_the_service_takes_it_and_a_second_one_with_a_suffix(
    box: Sandbox, kind: WeightType
) -> None:
    files = {WeightType.LORA: models.lora, WeightType.FULL: models.full}[kind]
    models.put(box.oss, files(models.tiny()))
    job = models.run(box.studio, models.request(kind))
    made = deployment_call(job.model_name, kind, service=box.studio_url)
    assert status(box, made) == 200
    assert status(box, made) == 409
    other = deployment_call(
        job.model_name, kind, name='it\'s "2"', suffix="b2", service=box.studio_url
    )
    assert status(box, other) == 200


def test_what_is_billed_is_said_of_each_plan() -> None:
    lora = deployment_call("m", WeightType.LORA)
    full = deployment_call("m", WeightType.FULL)
    assert "nothing while unused" in lora.billing
    assert "from the moment it runs, used or not" in full.billing
    assert full.body["billing_method"] == "POST_PAY"


def test_the_console_is_that_of_the_site() -> None:
    for service, host in (
        ("https://dashscope.aliyuncs.com/api/v1", "bailian.console.aliyun.com"),
        ("https://w1.cn-beijing.maas.aliyuncs.com/api/v1", "bailian.console.aliyun"),
        ("https://dashscope-intl.aliyuncs.com/api/v1", "modelstudio.console"),
        ("", "modelstudio.console.alibabacloud.com"),
    ):
        call = deployment_call("m", None, service=service)
        assert call.console.startswith(f"https://{host}")


def test_no_line_of_the_call_is_wider_than_a_terminal() -> None:
    name = "qwen2.5-vl-72b-instruct-offline-20261126-abcd"
    call = deployment_call(name, WeightType.FULL, name="n" * 50, suffix="b2")
    assert from_the_shell(call) == call.body
    assert max(map(len, call.curl().splitlines())) <= 78


@pytest.mark.parametrize("suffix", ["Upper", "a-b", "toolong89"])
def test_a_suffix_that_would_be_refused(suffix: str) -> None:
    with pytest.raises(UsageError, match="not a suffix"):
        deployment_call("m", None, suffix=suffix)
