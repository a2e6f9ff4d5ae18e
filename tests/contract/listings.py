"""What OSS promises about buckets and lists."""

from __future__ import annotations

import re

from tests.contract import pages
from tests.contract.objects import NINE, NINE_MD5
from tests.contract.steps import Scenario, Step, scenario

_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000Z")
_REGION = re.compile(r"oss-[a-z0-9-]+")
_CLASS = re.compile("Standard|IA")

_FOUR = tuple(
    Step("PUT", "{prefix}" + name, body=NINE) for name in ("a", "b", "c/1", "c/2")
)
_ENCODED = {"prefix": "{prefix}", "encoding-type": "url"}


def _refused(query: dict[str, str]) -> Step:
    return Step("GET", "", query=query, status=400, code="InvalidArgument")


LISTINGS: tuple[Scenario, ...] = (
    scenario(
        "list",
        pages.LIST,
        *_FOUR,
        Step(
            "GET",
            "",
            query={"prefix": "{prefix}"},
            says={
                "Name": "{bucket}",
                "Prefix": "{prefix}",
                "MaxKeys": "100",
                "IsTruncated": "false",
                "NextMarker": None,
                "Contents/Key": tuple("{prefix}" + k for k in ("a", "b", "c/1", "c/2")),
                "Contents/Size": "9",
                "Contents/ETag": f'"{NINE_MD5}"',
                "Contents/Type": "Normal",
                "Contents/StorageClass": _CLASS,
                "Contents/LastModified": _ISO,
            },
        ),
    ),
    scenario(
        "list by folders",
        pages.LIST,
        *_FOUR,
        Step(
            "GET",
            "",
            query={"prefix": "{prefix}", "delimiter": "/"},
            says={
                "Contents/Key": ("{prefix}a", "{prefix}b"),
                "CommonPrefixes/Prefix": ("{prefix}c/",),
            },
        ),
    ),
    scenario(
        "list in pages",
        pages.LIST,
        *_FOUR,
        Step(
            "GET",
            "",
            query={"prefix": "{prefix}", "max-keys": "2"},
            says={
                "IsTruncated": "true",
                "Contents/Key": ("{prefix}a", "{prefix}b"),
            },
            keeps={"marker": "NextMarker"},
        ),
        Step(
            "GET",
            "",
            query={"prefix": "{prefix}", "max-keys": "2", "marker": "{marker}"},
            says={
                "IsTruncated": "false",
                "Contents/Key": ("{prefix}c/1", "{prefix}c/2"),
            },
        ),
    ),
    scenario(
        "list v2",
        pages.LIST_V2,
        *_FOUR,
        Step(
            "GET",
            "",
            query={"list-type": "2", "prefix": "{prefix}", "max-keys": "3"},
            says={
                "KeyCount": "3",
                "IsTruncated": "true",
                "Contents/Key": ("{prefix}a", "{prefix}b", "{prefix}c/1"),
                "Contents/Owner": None,
            },
            keeps={"token": "NextContinuationToken"},
        ),
        Step(
            "GET",
            "",
            query={
                "list-type": "2",
                "prefix": "{prefix}",
                "continuation-token": "{token}",
            },
            says={"KeyCount": "1", "Contents/Key": ("{prefix}c/2",)},
        ),
        Step(
            "GET",
            "",
            query={
                "list-type": "2",
                "prefix": "{prefix}",
                "delimiter": "/",
                "start-after": "{prefix}a",
            },
            says={
                "KeyCount": "2",
                "Contents/Key": ("{prefix}b",),
                "CommonPrefixes/Prefix": ("{prefix}c/",),
            },
        ),
    ),
    scenario(
        "lists that encode their keys",
        pages.LIST,
        Step("PUT", "{prefix}a b", body=NINE),
        Step("GET", "", query=_ENCODED, says={"Contents/Key": re.compile(".*%20b")}),
        Step(
            "GET",
            "",
            query={"list-type": "2", **_ENCODED},
            says={"EncodingType": "url", "Contents/Key": re.compile(".*%20b")},
        ),
    ),
    scenario(
        "lists of too much",
        pages.LIST,
        _refused({"max-keys": "1001"}),
        _refused({"max-keys": "-1"}),
        _refused({"max-keys": "x"}),
        _refused({"list-type": "2", "max-keys": "1001"}),
    ),
    scenario(
        "bucket info",
        pages.INFO,
        Step(
            "GET",
            "",
            query={"bucketInfo": ""},
            says={
                "Bucket/Name": "{bucket}",
                "Bucket/Location": _REGION,
                "Bucket/StorageClass": _CLASS,
                "Bucket/ExtranetEndpoint": re.compile(r"oss-[a-z0-9-]+\.aliyuncs\.com"),
                "Bucket/CreationDate": _ISO,
                "Bucket/AccessControlList/Grant": re.compile("private|public-.*"),
                "Bucket/Owner/ID": re.compile(r"\d+"),
            },
        ),
    ),
    scenario(
        "bucket location",
        pages.LOCATION,
        Step("GET", "", query={"location": ""}, says={".": _REGION}),
    ),
    scenario(
        "bucket ACL",
        pages.ACL,
        Step(
            "GET",
            "",
            query={"acl": ""},
            says={"AccessControlList/Grant": re.compile("private|public-.*")},
        ),
    ),
    scenario(
        "bucket tags",
        pages.TAGS,
        # Without any tag it is 200 and an empty set, not 404 as in S3.
        Step("GET", "", query={"tagging": ""}, says={"TagSet": re.compile(r"\s*")}),
    ),
)
