"""The contract with OSS as data: scenarios of requests and what must come back."""

from __future__ import annotations

import base64
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from re import Pattern

import requests

from tests.contract.service import Service
from tests.contract.signer import Keys

Wanted = str | Pattern[str] | None | tuple[str, ...]


class By(Enum):
    """Who signs a request, and how."""

    US = "us"
    NOBODY = "nobody"
    WRONG_SECRET = "wrong secret"
    WRONG_REGION = "wrong region"
    UNKNOWN_KEY = "unknown key"
    LATE_CLOCK = "late clock"


@dataclass(frozen=True, slots=True)
class Step:
    """One request and its answer.

    `key`, `query`, `headers`, a textual `body` and every expectation may hold names
    in braces: `{key}` is the scenario's own key, `{prefix}` its folder, and what an
    earlier step keeps. `shows` is about headers, `says` about the XML of the answer
    by path: a text, a pattern, a tuple of all found, or None for absent.
    `keeps` takes such a path, or `header:NAME`.
    """

    method: str
    key: str = "{key}"
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | str | None = None
    by: By = By.US
    bucket: str = ""
    status: int = 200
    code: str = ""
    shows: Mapping[str, Wanted] = field(default_factory=dict)
    says: Mapping[str, Wanted] = field(default_factory=dict)
    gives: bytes | None = None
    keeps: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Steps in order, and the page of the documentation that promises them."""

    name: str
    page: str
    steps: tuple[Step, ...]


def scenario(name: str, page: str, *steps: Step) -> Scenario:
    """A scenario with its steps."""
    return Scenario(name, page, steps)


def _keys(service: Service, by: By) -> Keys:
    keys = service.keys
    wrong_region = "us-east-1" if keys.region != "us-east-1" else "us-west-1"
    return {
        By.US: keys,
        By.NOBODY: keys,
        By.WRONG_SECRET: replace(keys, secret=keys.secret[::-1] + "x"),
        By.WRONG_REGION: replace(keys, region=wrong_region),
        By.UNKNOWN_KEY: replace(keys, id="LTAI5tNoSuchKeyAtAll0000", token=""),
        By.LATE_CLOCK: replace(keys, skew=-3600.0),
    }[by]


def _filled(values: Mapping[str, str], names: Mapping[str, str]) -> dict[str, str]:
    return {name: text.format(**names) for name, text in values.items()}


def _document(answer: requests.Response) -> ET.Element:
    """The XML of an answer; of an error to HEAD it stands in a header."""
    raw = answer.content or base64.b64decode(answer.headers.get("x-oss-err", ""))
    return ET.fromstring(raw)  # noqa: S314 - the service's own


def _assert_text(found: str | None, wanted: Wanted, names: Mapping[str, str]) -> None:
    if isinstance(wanted, Pattern):
        assert found is not None
        assert wanted.fullmatch(found), (found, wanted.pattern)
    elif isinstance(wanted, str):
        assert found == wanted.format(**names)
    else:
        assert found is None


def _assert_error(answer: requests.Response, code: str) -> None:
    root = _document(answer)
    assert root.tag == "Error"
    assert root.findtext("Code") == code, answer.text
    assert root.findtext("Message")
    assert root.findtext("HostId")
    assert root.findtext("RequestId") == answer.headers["x-oss-request-id"]


def _assert_answer(
    step: Step, answer: requests.Response, names: Mapping[str, str]
) -> None:
    assert answer.status_code == step.status, answer.text[:2000]
    assert re.fullmatch("[0-9A-F]{24}", answer.headers["x-oss-request-id"])
    if step.code:
        _assert_error(answer, step.code)
    for name, wanted in step.shows.items():
        _assert_text(answer.headers.get(name), wanted, names)
    for path, wanted in step.says.items():
        root = _document(answer)
        if isinstance(wanted, tuple):
            found = tuple(item.text or "" for item in root.findall(path))
            assert found == tuple(text.format(**names) for text in wanted)
        else:
            _assert_text(root.findtext(path), wanted, names)
    if step.gives is not None:
        assert answer.content == step.gives


def _kept(answer: requests.Response, place: str) -> str:
    if place.startswith("header:"):
        return answer.headers[place.removeprefix("header:")]
    found = _document(answer).findtext(place)
    assert found, f"the answer has no {place}"
    return found


def play(service: Service, one: Scenario, folder: str) -> None:
    """Send the steps and hold each answer against what is promised."""
    names = {"prefix": folder, "key": f"{folder}k", "bucket": service.bucket}
    for step in one.steps:
        body = step.body
        if isinstance(body, str):
            body = body.format(**names).encode()
        answer = service.send(
            step.method,
            step.key.format(**names),
            query=_filled(step.query, names),
            headers=_filled(step.headers, names),
            body=body,
            bucket=step.bucket.format(**names),
            keys=_keys(service, step.by),
            anonymous=step.by is By.NOBODY,
        )
        _assert_answer(step, answer, names)
        for name, place in step.keeps.items():
            names[name] = _kept(answer, place)
