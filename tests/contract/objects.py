"""What OSS promises about objects."""

from __future__ import annotations

import re

from tests.contract import pages
from tests.contract.steps import Scenario, Step, scenario

NINE = b"123456789"
NINE_MD5 = "25F9E794323B453885F5181F1B624D0B"
NINE_BASE64 = "JfnnlDI7RTiF9RgfG2JNCw=="
NINE_CRC = str(0x995DC9BBDF1939FA)  # the check value of CRC-64/XZ
EMPTY_MD5 = "D41D8CD98F00B204E9800998ECF8427E"
_GMT = re.compile(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")
_KEPT = {"x-oss-meta-step": "500", "Content-Type": "text/plain", "Cache-Control": "no"}
_FORBID = {"x-oss-forbid-overwrite": "true"}

_PUT = Step("PUT", body=NINE)


def _delete(*keys: str) -> str:
    items = "".join(f"<Object><Key>{key}</Key></Object>" for key in keys)
    return f"<Delete><Quiet>false</Quiet>{items}</Delete>"


def _ranged(text: str, gives: bytes, span: str) -> Step:
    shown = {
        "Content-Range": f"bytes {span}/9" if span else None,
        "Content-Length": str(len(gives)),
        "x-oss-hash-crc64ecma": NINE_CRC,  # of the whole object
    }
    status = 206 if span else 200
    headers = {"Range": text}
    return Step("GET", headers=headers, status=status, gives=gives, shows=shown)


OBJECTS: tuple[Scenario, ...] = (
    scenario(
        "put",
        pages.PUT,
        Step(
            "PUT",
            body=NINE,
            shows={"ETag": f'"{NINE_MD5}"', "x-oss-hash-crc64ecma": NINE_CRC},
        ),
        Step(
            "GET",
            gives=NINE,
            shows={
                "ETag": f'"{NINE_MD5}"',
                "Last-Modified": _GMT,
                "Content-Length": "9",
                "x-oss-object-type": "Normal",
                "x-oss-storage-class": "Standard",
                "x-oss-hash-crc64ecma": NINE_CRC,
            },
        ),
    ),
    scenario(
        "put of nothing",
        pages.PUT,
        Step("PUT", body=b"", shows={"ETag": f'"{EMPTY_MD5}"'}),
        Step("HEAD", shows={"Content-Length": "0", "x-oss-hash-crc64ecma": "0"}),
    ),
    scenario(
        "put replaces",
        pages.PUT,
        _PUT,
        Step("PUT", body=b"new"),
        Step("GET", gives=b"new"),
    ),
    scenario(
        "put keeps what describes the object",
        pages.PUT,
        Step("PUT", body=NINE, headers=_KEPT),
        Step("HEAD", shows=dict(_KEPT)),
    ),
    scenario(
        "forbid-overwrite",
        pages.PUT,
        Step("PUT", body=NINE, headers=_FORBID),
        Step("PUT", body=b"x", headers=_FORBID, status=409, code="FileAlreadyExists"),
        Step("GET", gives=NINE),
        Step("PUT", body=b"x", headers={"x-oss-forbid-overwrite": "false"}),
        Step("GET", gives=b"x"),
    ),
    scenario(
        "Content-MD5",
        pages.MD5,
        Step("PUT", body=NINE, headers={"Content-MD5": NINE_BASE64}),
        Step(
            "PUT",
            body=b"other",
            headers={"Content-MD5": NINE_BASE64},
            status=400,
            code="InvalidDigest",
        ),
        Step("GET", gives=NINE),
    ),
    scenario(
        "ranges",
        pages.RANGES,
        _PUT,
        _ranged("bytes=0-2", b"123", "0-2"),
        _ranged("bytes=3-", b"456789", "3-8"),
        _ranged("bytes=-2", b"89", "7-8"),
        _ranged("bytes=8-8", b"9", "8-8"),
    ),
    scenario(
        "ranges that are ignored",
        pages.RANGES,
        _PUT,
        _ranged("bytes=0-9", NINE, ""),
        _ranged("bytes=9-20", NINE, ""),
        _ranged("bytes=9-", NINE, ""),
        _ranged("bytes=-10", NINE, ""),
        _ranged("byte=0-2", NINE, ""),
    ),
    scenario(
        "head",
        pages.HEAD,
        _PUT,
        Step(
            "HEAD",
            gives=b"",
            shows={
                "ETag": f'"{NINE_MD5}"',
                "Content-Length": "9",
                "Last-Modified": _GMT,
                "x-oss-object-type": "Normal",
                "x-oss-hash-crc64ecma": NINE_CRC,
            },
        ),
    ),
    scenario(
        "head of what is not there",
        pages.HEADERS,
        Step("HEAD", status=404, code="NoSuchKey", says={"Key": "{key}"}),
    ),
    scenario(
        "meta",
        pages.META,
        _PUT,
        Step(
            "HEAD",
            query={"objectMeta": ""},
            shows={
                "ETag": f'"{NINE_MD5}"',
                "Content-Length": "9",
                "Content-Type": None,
            },
        ),
    ),
    scenario(
        "conditions",
        pages.GET,
        _PUT,
        Step("GET", headers={"If-Match": f'"{NINE_MD5}"'}, gives=NINE),
        Step(
            "GET",
            headers={"If-Match": f'"{EMPTY_MD5}"'},
            status=412,
            code="PreconditionFailed",
        ),
        Step("GET", headers={"If-None-Match": f'"{NINE_MD5}"'}, status=304, gives=b""),
    ),
    scenario(
        "delete",
        pages.DELETE,
        _PUT,
        Step("DELETE", status=204, gives=b""),
        Step("GET", status=404, code="NoSuchKey", says={"Key": "{key}"}),
        Step("DELETE", status=204),
    ),
    scenario(
        "delete several",
        pages.DELETE_MANY,
        Step("PUT", "{prefix}a", body=NINE),
        Step("PUT", "{prefix}b", body=NINE),
        Step(
            "POST",
            "",
            query={"delete": ""},
            headers={"Content-MD5": "{deletion_md5}"},
            body=_delete("{prefix}a", "{prefix}nothing"),
            says={"Deleted/Key": ("{prefix}a", "{prefix}nothing")},
        ),
        Step("HEAD", "{prefix}a", status=404),
        Step("HEAD", "{prefix}b"),
    ),
    scenario(
        "delete several, without Content-MD5",
        pages.DELETE_MANY,
        Step(
            "POST",
            "",
            query={"delete": ""},
            body=_delete("{prefix}a"),
            status=400,
            code="MissingArgument",
        ),
    ),
    scenario(
        "keys of all kinds",
        pages.NAMING,
        *(
            step
            for name in (
                "a b+c&d=e",
                "100%25",
                "模型/权重",
                "x" * 900,
                "a//b",
                "~'()*!",
            )
            for step in (
                Step("PUT", "{prefix}" + name, body=name.encode()),
                Step("GET", "{prefix}" + name, gives=name.encode()),
            )
        ),
    ),
    scenario(
        "keys that are none",
        pages.NAMING,
        *(
            Step("PUT", key, body=b"x", status=400, code="InvalidObjectName")
            for key in ("/a", "\\a", "x" * 1024)
        ),
    ),
)
