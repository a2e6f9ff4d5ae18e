"""OSS as its documentation has it, spoken with plain requests."""

from __future__ import annotations

import base64
import hashlib
import uuid
import xml.etree.ElementTree as ET
from dataclasses import replace
from urllib.parse import quote

import pytest

from tests.contract import pages
from tests.contract.copies import COPIES
from tests.contract.listings import LISTINGS
from tests.contract.objects import NINE, OBJECTS
from tests.contract.refusals import REFUSALS
from tests.contract.service import Service
from tests.contract.steps import Scenario, Step, play
from tests.contract.uploads import UPLOADS

TABLES = {
    "objects": OBJECTS,
    "copies": COPIES,
    "listings": LISTINGS,
    "uploads": UPLOADS,
    "refusals": REFUSALS,
}
SCENARIOS = tuple(one for table in TABLES.values() for one in table)


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


@pytest.mark.parametrize("name", TABLES)
def test_oss_keeps_its_contract(name: str, service: Service) -> None:
    """All scenarios of a table; those that fail are told together, by their names."""
    broken = {}
    for one in TABLES[name]:
        folder = _folder(service)
        try:
            play(service, _with_digests(one, folder, service.bucket), folder)
        except AssertionError as exc:
            broken[f"{one.name} ({one.page})"] = exc
    assert broken == {}


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


def test_the_unknown_is_refused_and_shown(in_sandbox: Service) -> None:
    """As OSS's own error, so that every client can show it."""
    key = f"{in_sandbox.prefix}unknown"
    in_sandbox.send("PUT", key, body=NINE)
    for step in (
        Step("GET", key, query={"select/meta": ""}),
        Step("GET", key, query={"versionId": "abc"}),
        Step("GET", key, query={"x-oss-process": "image/info"}),
        Step("GET", key, headers={"Range": "bytes=0-1,3-4"}),
        Step("GET", key, headers={"x-oss-forbid-overwrite": "true"}),
        Step("PUT", key, headers={"x-oss-copy-source": "/b/k?versionId=1"}),
        Step("PUT", key, headers={"x-oss-object-acl": "public-read"}),
        Step("PATCH", key),
        Step("OPTIONS", key),
        Step("GET", "", query={"website": ""}),
        Step("PUT", "", query={"acl": ""}),
    ):
        answer = in_sandbox.send(
            step.method, step.key, query=step.query, headers=step.headers
        )
        assert answer.status_code == 501, step
        root = ET.fromstring(answer.content)  # noqa: S314 - our own
        assert root.findtext("Code") == "NotImplemented"
        assert root.findtext("EC") == answer.headers["x-oss-ec"]
        assert root.findtext("RequestId") == answer.headers["x-oss-request-id"]
        asked = f"{step.method} /{in_sandbox.bucket}/"
        assert (root.findtext("Request") or "").startswith(asked)
        told = answer.text
        assert all(quote(name, safe="") in told or name in told for name in step.query)
        assert all(n in told or v in told for n, v in step.headers.items())
