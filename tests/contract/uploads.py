"""What OSS promises about multipart uploads."""

from __future__ import annotations

import re

from preflight.crc import crc64
from tests.contract import pages
from tests.contract.objects import NINE, NINE_BASE64, NINE_CRC, NINE_MD5
from tests.contract.steps import Scenario, Step, scenario

PART = b"a" * (100 << 10)  # the smallest that may stand before another one
PART_CRC, WHOLE_CRC = str(crc64(PART)), str(crc64(PART + NINE))
_FORBID = {"x-oss-forbid-overwrite": "true"}
_ID = re.compile("[0-9A-F]{32}")
_OPEN = {"uploadId": "{upload}"}
_NO_ID = {"uploadId": "0004B9894A22E5B1888A1E29F8236E2D"}

BEGIN = Step(
    "POST",
    query={"uploads": ""},
    says={"Bucket": "{bucket}", "Key": "{key}", "UploadId": _ID},
    keeps={"upload": "UploadId"},
)


def _part(number: int, body: bytes = PART) -> Step:
    query = {**_OPEN, "partNumber": str(number)}
    return Step("PUT", query=query, body=body, keeps={f"etag{number}": "header:ETag"})


def _listed(*parts: tuple[int, str]) -> str:
    items = "".join(
        f"<Part><PartNumber>{number}</PartNumber><ETag>{etag}</ETag></Part>"
        for number, etag in parts
    )
    return f"<CompleteMultipartUpload>{items}</CompleteMultipartUpload>"


ONE, TWO, THREE = ((number, f"{{etag{number}}}") for number in (1, 2, 3))
_WRONG = '"00000000000000000000000000000000"'


def _complete(*parts: tuple[int, str], status: int = 200, code: str = "") -> Step:
    body = _listed(*parts)
    return Step("POST", query=_OPEN, body=body, status=status, code=code)


def _unknown(method: str, **query: str) -> Step:
    body = _listed((1, _WRONG)) if method == "POST" else None
    return Step(
        method, query={**_NO_ID, **query}, body=body, status=404, code="NoSuchUpload"
    )


UPLOADS: tuple[Scenario, ...] = (
    scenario(
        "in parts",
        pages.COMPLETE,
        BEGIN,
        Step(
            "PUT",
            query={**_OPEN, "partNumber": "1"},
            body=PART,
            keeps={"etag1": "header:ETag"},
            shows={"x-oss-hash-crc64ecma": PART_CRC},
        ),
        Step(
            "PUT",
            query={**_OPEN, "partNumber": "2"},
            body=NINE,
            keeps={"etag2": "header:ETag"},
            shows={"x-oss-hash-crc64ecma": NINE_CRC, "ETag": f'"{NINE_MD5}"'},
        ),
        Step("HEAD", status=404, code="NoSuchKey"),
        Step(
            "POST",
            query=_OPEN,
            body=_listed(ONE, TWO),
            shows={"x-oss-hash-crc64ecma": WHOLE_CRC},
            says={
                "Bucket": "{bucket}",
                "Key": "{key}",
                "ETag": re.compile('"[0-9A-F]{32}-2"'),
            },
        ),
        Step(
            "HEAD",
            shows={
                "Content-Length": str(len(PART) + len(NINE)),
                "x-oss-object-type": "Multipart",
                "x-oss-hash-crc64ecma": WHOLE_CRC,
                "ETag": re.compile('"[0-9A-F]{32}-2"'),
            },
        ),
        Step("GET", gives=PART + NINE),
        _complete(ONE, TWO, status=404, code="NoSuchUpload"),
    ),
    scenario(
        "gaps and parts left out",
        pages.INVALID_PART,
        BEGIN,
        _part(1),
        _part(2, NINE),
        _part(3),
        _complete(ONE, THREE),
        Step("GET", gives=PART + PART),
    ),
    scenario(
        "a part sent again replaces the first",
        pages.PART,
        BEGIN,
        _part(1),
        _part(1, NINE),
        _complete(ONE),
        Step("GET", gives=NINE),
    ),
    scenario(
        "a part with a wrong Content-MD5",
        pages.MD5,
        BEGIN,
        Step(
            "PUT",
            query={**_OPEN, "partNumber": "1"},
            body=PART,
            headers={"Content-MD5": NINE_BASE64},
            status=400,
            code="InvalidDigest",
        ),
        Step("GET", query=_OPEN, says={"Part": ()}),
    ),
    scenario(
        "part order",
        pages.COMPLETE,
        BEGIN,
        _part(1),
        _part(2),
        _complete(TWO, ONE, status=400, code="InvalidPartOrder"),
        _complete(ONE, TWO),
    ),
    scenario(
        "ETags that do not match",
        pages.INVALID_PART,
        BEGIN,
        _part(1),
        _complete((1, _WRONG), status=400, code="InvalidPart"),
        _complete(ONE, (2, _WRONG), status=400, code="InvalidPart"),
    ),
    scenario(
        "a small part",
        pages.COMPLETE,
        BEGIN,
        _part(1, PART[1:]),
        _part(2, NINE),
        Step(
            "POST",
            query=_OPEN,
            body=_listed(ONE, TWO),
            status=400,
            code="EntityTooSmall",
            says={"MinSizeAllowed": "102400", "PartNumber": "1"},
        ),
        _complete(ONE),
    ),
    scenario(
        "part numbers",
        pages.PART,
        BEGIN,
        _part(10_000, NINE),
        *(
            Step(
                "PUT",
                query={**_OPEN, "partNumber": number},
                body=NINE,
                status=400,
                code="InvalidArgument",
            )
            for number in ("0", "10001")
        ),
    ),
    scenario(
        "a completion that is no XML",
        pages.COMPLETE,
        BEGIN,
        Step("POST", query=_OPEN, body=b"[]", status=400, code="MalformedXML"),
    ),
    scenario(
        "forbid-overwrite",
        pages.FORBID,
        BEGIN,
        _part(1, NINE),
        Step("PUT", body=b"first"),
        Step(
            "POST",
            query=_OPEN,
            headers=_FORBID,
            body=_listed(ONE),
            status=409,
            code="FileAlreadyExists",
        ),
        Step("GET", gives=b"first"),
        _complete(ONE),
        Step("GET", gives=NINE),
    ),
    scenario(
        "list of parts",
        pages.LIST_PARTS,
        BEGIN,
        _part(1),
        _part(3, NINE),
        Step(
            "GET",
            query=_OPEN,
            says={
                "Bucket": "{bucket}",
                "Key": "{key}",
                "UploadId": "{upload}",
                "IsTruncated": "false",
                "MaxParts": "1000",
                "Part/PartNumber": ("1", "3"),
                "Part/ETag": ("{etag1}", "{etag3}"),
                "Part/Size": (str(len(PART)), "9"),
                "Part/HashCrc64ecma": (PART_CRC, NINE_CRC),
            },
        ),
    ),
    scenario(
        "list of parts in pages",
        pages.LIST_PARTS,
        BEGIN,
        _part(1, NINE),
        _part(2, NINE),
        Step(
            "GET",
            query={**_OPEN, "max-parts": "1"},
            says={"IsTruncated": "true", "Part/PartNumber": ("1",)},
            keeps={"marker": "NextPartNumberMarker"},
        ),
        Step(
            "GET",
            query={**_OPEN, "max-parts": "1", "part-number-marker": "{marker}"},
            says={"IsTruncated": "false", "Part/PartNumber": ("2",)},
        ),
    ),
    scenario(
        "list of uploads",
        pages.LIST_UPLOADS,
        BEGIN,
        Step(
            "GET",
            "",
            query={"uploads": "", "prefix": "{prefix}"},
            says={
                "Bucket": "{bucket}",
                "IsTruncated": "false",
                "Upload/Key": ("{key}",),
                "Upload/UploadId": ("{upload}",),
            },
        ),
    ),
    scenario(
        "list of uploads in pages",
        pages.LIST_UPLOADS,
        BEGIN,
        Step("POST", query={"uploads": ""}),
        Step(
            "GET",
            "",
            query={"uploads": "", "prefix": "{prefix}", "max-uploads": "1"},
            says={"IsTruncated": "true", "Upload/Key": ("{key}",)},
            keeps={"after_key": "NextKeyMarker", "after_id": "NextUploadIdMarker"},
        ),
        Step(
            "GET",
            "",
            query={
                "uploads": "",
                "prefix": "{prefix}",
                "key-marker": "{after_key}",
                "upload-id-marker": "{after_id}",
            },
            says={"IsTruncated": "false", "Upload/Key": ("{key}",)},
        ),
    ),
    scenario(
        "abort",
        pages.ABORT,
        BEGIN,
        _part(1),
        Step("DELETE", query=_OPEN, status=204, gives=b""),
        Step("GET", query=_OPEN, status=404, code="NoSuchUpload"),
        Step("DELETE", query=_OPEN, status=404, code="NoSuchUpload"),
        Step("HEAD", status=404, code="NoSuchKey"),
    ),
    scenario(
        "uploads that are not known",
        pages.ERRORS,
        _unknown("PUT", partNumber="1"),
        _unknown("POST"),
        _unknown("GET"),
        _unknown("DELETE"),
    ),
)
