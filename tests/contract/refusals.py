"""Whom OSS lets in, and which buckets there are."""

from __future__ import annotations

import re

from tests.contract import pages
from tests.contract.objects import NINE
from tests.contract.steps import By, Scenario, Step, scenario


def _refused(by: By, status: int, code: str, **says: str | re.Pattern[str]) -> Step:
    return Step("GET", by=by, status=status, code=code, says=says)


_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")

REFUSALS: tuple[Scenario, ...] = (
    scenario(
        "wrong signature",
        pages.ERRORS,
        _refused(
            By.WRONG_SECRET,
            403,
            "SignatureDoesNotMatch",
            StringToSign=re.compile("OSS4-HMAC-SHA256\n.*", re.DOTALL),
        ),
        Step("HEAD", by=By.WRONG_SECRET, status=403, code="SignatureDoesNotMatch"),
        Step(
            "PUT",
            by=By.WRONG_SECRET,
            body=NINE,
            status=403,
            code="SignatureDoesNotMatch",
        ),
        Step("HEAD", status=404),
    ),
    scenario(
        "wrong region",
        pages.SIGNATURE,
        _refused(
            By.WRONG_REGION,
            400,
            "InvalidArgument",
            Message="Invalid signing region in Authorization header.",
            EC="0002-00000226",
        ),
    ),
    scenario(
        "unknown key", pages.ERRORS, _refused(By.UNKNOWN_KEY, 403, "InvalidAccessKeyId")
    ),
    scenario(
        "a clock that is an hour late",
        pages.ERRORS,
        _refused(
            By.LATE_CLOCK,
            403,
            "RequestTimeTooSkewed",
            MaxAllowedSkewMilliseconds="900000",
            ServerTime=_ISO,
        ),
    ),
    scenario(
        "nobody and a private bucket",
        pages.ERRORS,
        Step("PUT", body=NINE),
        _refused(By.NOBODY, 403, "AccessDenied"),
        Step("GET", "", by=By.NOBODY, status=403, code="AccessDenied"),
        Step("DELETE", by=By.NOBODY, status=403, code="AccessDenied"),
        Step("GET", gives=NINE),
    ),
    scenario(
        "no such bucket",
        pages.ERRORS,
        Step(
            "GET",
            bucket="no-such-{bucket}",
            status=404,
            code="NoSuchBucket",
            says={"BucketName": "no-such-{bucket}"},
        ),
    ),
)
