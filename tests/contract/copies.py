"""What OSS promises about copies, appends, tags, encryption and ranges."""

from __future__ import annotations

import re

from tests.contract import pages
from tests.contract.objects import NINE, NINE_CRC, NINE_MD5
from tests.contract.steps import Scenario, Step, scenario

_SOURCE = {"x-oss-copy-source": "/{bucket}/{key}"}
_FROM = {"x-oss-copy-source": "/{bucket}/{prefix}from"}
_KEPT = {"x-oss-meta-step": "500", "Content-Type": "text/plain"}
_ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_PUT_FROM = Step("PUT", "{prefix}from", body=NINE, headers=_KEPT)
_STANDARD = {"x-oss-range-behavior": "standard"}
_TAGS = (
    "<Tagging><TagSet><Tag><Key>a</Key><Value>1</Value></Tag>"
    "<Tag><Key>b</Key><Value></Value></Tag></TagSet></Tagging>"
)
_APPEND = {"append": ""}
_SSE = "x-oss-server-side-encryption"


def _if(condition: str, value: str) -> dict[str, str]:
    return _FROM | {f"x-oss-copy-source-if-{condition}": value}


COPIES: tuple[Scenario, ...] = (
    scenario(
        "copy",
        pages.COPY,
        _PUT_FROM,
        Step(
            "PUT",
            headers=_FROM,
            says={"ETag": f'"{NINE_MD5}"', "LastModified": _ISO},
            shows={"x-oss-hash-crc64ecma": NINE_CRC},
        ),
        Step("GET", gives=NINE, shows=dict(_KEPT)),
        Step("DELETE", "{prefix}from", status=204),
        Step("GET", gives=NINE),
    ),
    scenario(
        "copy of nothing, and over what may not be replaced",
        pages.COPY,
        Step("PUT", headers=_FROM, status=404, code="NoSuchKey"),
        _PUT_FROM,
        Step("PUT", headers=_FROM),
        Step(
            "PUT",
            headers=_FROM | {"x-oss-forbid-overwrite": "true"},
            status=409,
            code="FileAlreadyExists",
        ),
        Step(
            "PUT",
            headers={"x-oss-copy-source": "nothing"},
            status=400,
            code="InvalidArgument",
        ),
    ),
    scenario(
        "copy with directives",
        pages.COPY,
        _PUT_FROM,
        Step("PUT", "{prefix}from", query={"tagging": ""}, body=_TAGS),
        Step(
            "PUT",
            headers=_FROM
            | {"x-oss-metadata-directive": "REPLACE", "x-oss-meta-new": "yes"}
            | {"x-oss-tagging-directive": "Replace", "x-oss-tagging": "c=3"},
        ),
        Step("HEAD", shows={"x-oss-meta-new": "yes", "x-oss-meta-step": None}),
        Step("GET", query={"tagging": ""}, says={"TagSet/Tag/Key": ("c",)}),
        Step("PUT", headers=_FROM | {"x-oss-meta-new": "no"}),
        Step("HEAD", shows={"x-oss-meta-new": None, "x-oss-tagging-count": "2"}),
        Step(
            "PUT",
            headers=_FROM | {"x-oss-metadata-directive": "Move"},
            status=400,
            code="InvalidArgument",
        ),
    ),
    scenario(
        "copy onto itself replaces the metadata",
        pages.COPY,
        Step("PUT", body=NINE, headers=_KEPT),
        Step("PUT", headers=_SOURCE | {"x-oss-meta-step": "501"}),
        Step("GET", gives=NINE, shows={"x-oss-meta-step": "501"}),
    ),
    scenario(
        "copy on conditions",
        pages.COPY,
        _PUT_FROM,
        Step("PUT", headers=_if("match", f'"{NINE_MD5}"')),
        Step("PUT", headers=_if("none-match", '"0"')),
        Step("PUT", headers=_if("match", '"0"'), status=412, code="PreconditionFailed"),
        Step("PUT", headers=_if("none-match", f'"{NINE_MD5}"'), status=304),
        Step(
            "PUT",
            headers=_if("unmodified-since", "Thu, 01 Jan 2015 00:00:00 GMT"),
            status=412,
            code="PreconditionFailed",
        ),
    ),
    scenario(
        "a part that is copied",
        pages.PART_COPY,
        _PUT_FROM,
        Step("POST", query={"uploads": ""}, keeps={"upload": "UploadId"}),
        Step(
            "PUT",
            query={"uploadId": "{upload}", "partNumber": "1"},
            headers=_FROM | {"x-oss-copy-source-range": "bytes=2-4"},
            says={"ETag": re.compile('"[0-9A-F]{32}"'), "LastModified": _ISO},
            keeps={"etag": "ETag"},
        ),
        Step(
            "POST",
            query={"uploadId": "{upload}"},
            body="<CompleteMultipartUpload><Part><PartNumber>1</PartNumber>"
            "<ETag>{etag}</ETag></Part></CompleteMultipartUpload>",
        ),
        Step("GET", gives=NINE[2:5]),
    ),
    scenario(
        "append",
        pages.APPEND,
        Step(
            "POST",
            query=_APPEND | {"position": "0"},
            body=NINE[:4],
            headers=_KEPT,
            shows={"x-oss-next-append-position": "4"},
        ),
        Step(
            "POST",
            query=_APPEND | {"position": "4"},
            body=NINE[4:],
            shows={
                "x-oss-next-append-position": "9",
                "x-oss-hash-crc64ecma": NINE_CRC,
            },
        ),
        Step(
            "GET",
            gives=NINE,
            shows={
                "x-oss-object-type": "Appendable",
                "x-oss-next-append-position": "9",
                "x-oss-meta-step": "500",
            },
        ),
        Step(
            "POST",
            query=_APPEND | {"position": "4"},
            body=b"x",
            status=409,
            code="PositionNotEqualToLength",
            shows={"x-oss-next-append-position": "9"},
        ),
        Step("PUT", body=NINE),
        Step(
            "POST",
            query=_APPEND | {"position": "9"},
            body=b"x",
            status=409,
            code="ObjectNotAppendable",
        ),
    ),
    scenario(
        "tags",
        pages.OBJECT_TAGS,
        Step("PUT", body=NINE, headers={"x-oss-tagging": "k=v&%C3%BC=%2F"}),
        Step("HEAD", shows={"x-oss-tagging-count": "2"}),
        Step(
            "GET",
            query={"tagging": ""},
            says={"TagSet/Tag/Key": ("k", "ü"), "TagSet/Tag/Value": ("v", "/")},
        ),
        Step("PUT", query={"tagging": ""}, body=_TAGS),
        Step("GET", query={"tagging": ""}, says={"TagSet/Tag/Key": ("a", "b")}),
        Step("DELETE", query={"tagging": ""}, status=204),
        Step("GET", query={"tagging": ""}, says={"TagSet/Tag/Key": ()}),
        Step("GET", gives=NINE, shows={"x-oss-tagging-count": None}),
        Step(
            "PUT",
            body=NINE,
            headers={"x-oss-tagging": "&".join(f"k{n}=v" for n in range(11))},
            status=400,
            code="InvalidArgument",
        ),
        Step(
            "GET",
            "{prefix}none",
            query={"tagging": ""},
            status=404,
            code="NoSuchKey",
        ),
    ),
    scenario(
        "server-side encryption",
        pages.ENCRYPTION,
        Step("PUT", body=NINE, headers={_SSE: "AES256"}, shows={_SSE: "AES256"}),
        Step("GET", gives=NINE, shows={_SSE: "AES256"}),
        Step(
            "POST",
            query={"uploads": ""},
            headers={_SSE: "AES256"},
            shows={_SSE: "AES256"},
        ),
        Step(
            "PUT",
            body=NINE,
            headers={_SSE: "ROT13"},
            status=400,
            code="InvalidEncryptionAlgorithmError",
        ),
    ),
    scenario(
        "ranges as the standard has them",
        pages.RANGES,
        Step("PUT", body=NINE),
        *(
            Step(
                "GET",
                headers=_STANDARD | {"Range": f"bytes={asked}"},
                status=206,
                gives=gives,
                shows={"Content-Range": f"bytes {span}/9"},
            )
            for asked, gives, span in (
                ("2-4", NINE[2:5], "2-4"),
                ("5-100", NINE[5:], "5-8"),
                ("-100", NINE, "0-8"),
            )
        ),
        Step(
            "GET",
            headers=_STANDARD | {"Range": "bytes=9-12"},
            status=416,
            code="InvalidRange",
        ),
    ),
    scenario(
        "what a bucket tells of itself",
        pages.STAT,
        Step(
            "GET",
            "",
            query={"stat": ""},
            says={"Storage": re.compile(r"\d+"), "ObjectCount": re.compile(r"\d+")},
        ),
    ),
)
