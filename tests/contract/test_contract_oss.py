"""OSS as its documentation has it, spoken with plain requests."""

from __future__ import annotations

import base64
import hashlib
import uuid
from dataclasses import replace

import pytest

from tests.contract import pages
from tests.contract.listings import LISTINGS
from tests.contract.objects import NINE, OBJECTS
from tests.contract.refusals import REFUSALS
from tests.contract.service import Service
from tests.contract.steps import Scenario, Step, play
from tests.contract.uploads import UPLOADS

SCENARIOS = (*OBJECTS, *LISTINGS, *UPLOADS, *REFUSALS)


def _folder(service: Service) -> str:
    return f"{service.prefix}{uuid.uuid4()}/"


def _with_digests(one: Scenario, folder: str, bucket: str) -> Scenario:
    """`{deletion_md5}` becomes the digest of the step's own body."""

    def filled(step: Step) -> Step:
        if "{deletion_md5}" not in step.headers.values():
            return step
        assert isinstance(step.body, str)
        text = step.body.format(prefix=folder, key=f"{folder}k", bucket=bucket)
        digest = hashlib.md5(text.encode(), usedforsecurity=False).digest()
        return replace(step, headers={"Content-MD5": base64.b64encode(digest).decode()})

    return replace(one, steps=tuple(filled(step) for step in one.steps))


@pytest.mark.parametrize("one", SCENARIOS, ids=lambda one: one.name)
def test_oss_keeps_its_contract(one: Scenario, service: Service) -> None:
    folder = _folder(service)
    play(service, _with_digests(one, folder, service.bucket), folder)


def test_every_scenario_names_its_page() -> None:
    known = {value for value in vars(pages).values() if isinstance(value, str)}
    assert all(one.page in known for one in SCENARIOS)
    places = [(one.page, one.name) for one in SCENARIOS]
    assert len(set(places)) == len(places)


@pytest.mark.parametrize("name", ["ab", "Upper-case", "under_score", "-ends", "x" * 64])
def test_bucket_names_that_are_none(in_sandbox: Service, name: str) -> None:
    """User guide "Bucket naming conventions"; such a name is no host name either."""
    step = Step("GET", bucket=name, status=400, code="InvalidBucketName")
    play(in_sandbox, Scenario(name, pages.BUCKET_NAMING, (step,)), "")


@pytest.mark.parametrize(
    "step",
    [
        Step("GET", query={"select/meta": ""}),
        Step("GET", query={"versionId": "abc"}),
        Step("GET", query={"x-oss-process": "image/info"}),
        Step("GET", headers={"x-oss-range-behavior": "standard"}),
        Step("GET", headers={"Range": "bytes=0-1,3-4"}),
        Step("PUT", headers={"x-oss-copy-source": "/b/k"}),
        Step("PUT", headers={"x-oss-server-side-encryption": "AES256"}),
        Step("POST", query={"append": "", "position": "0"}),
        Step("PATCH"),
        Step("OPTIONS"),
        Step("GET", "", query={"lifecycle": ""}),
        Step("GET", "", query={"website": ""}),
        Step("PUT", "", query={"acl": ""}),
    ],
    ids=lambda step: " ".join([step.method, *step.query, *step.headers]),
)
def test_the_unknown_is_refused_and_shown(in_sandbox: Service, step: Step) -> None:
    key = step.key.format(key=f"{in_sandbox.prefix}unknown")
    in_sandbox.send("PUT", f"{in_sandbox.prefix}unknown", body=NINE)
    answer = in_sandbox.send(step.method, key, query=step.query, headers=step.headers)
    assert answer.status_code == 501
    assert answer.text.startswith("the sandbox does not know this request: ")
    assert f"{step.method} /{in_sandbox.bucket}/" in answer.text
    assert all(name in answer.text for name in step.query)
    for name, value in step.headers.items():
        assert name in answer.text or value in answer.text
