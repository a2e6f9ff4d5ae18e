"""What OSS answers, as values; and the one answer that oss2 parses too coarsely."""

from __future__ import annotations

from dataclasses import dataclass
from xml.etree import ElementTree as ET

from preflight.language import say


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What HEAD says; `size` in bytes, `crc64` None for objects that lack one."""

    key: str
    size: int
    crc64: int | None
    storage_class: str


@dataclass(frozen=True, slots=True)
class ListedObject:
    """One line of a listing; `size` in bytes."""

    key: str
    size: int
    storage_class: str


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes of one state of an object: from `start`, `count` of them (at least one).

    `etag` names the state; without it any will do.
    """

    key: str
    start: int
    count: int
    etag: str = ""


@dataclass(frozen=True, slots=True)
class Read:
    """What OSS says of an object while it sends its bytes.

    `crc64` is that of the whole object. `sealed`: whoever uploaded it had encrypted it
    before, with a key that OSS does not know.
    """

    crc64: int | None
    sealed: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A part that OSS holds; `size` in bytes, `crc64` None where OSS did not say."""

    number: int
    etag: str
    size: int
    crc64: int | None


@dataclass(frozen=True, slots=True)
class PendingUpload:
    """A multipart upload that was neither completed nor aborted."""

    key: str
    upload_id: str


@dataclass(frozen=True, slots=True)
class BucketInfo:
    """What OSS says about a bucket; `region` without `oss-`."""

    name: str
    region: str
    storage_class: str


def _part(node: ET.Element) -> Part:
    text = {child.tag: child.text or "" for child in node}
    crc = text.get("HashCrc64ecma", "")
    return Part(
        int(text.get("PartNumber", "")),
        text.get("ETag", "").strip('"'),
        int(text.get("Size", "")),
        int(crc) if crc else None,
    )


def parse_parts(body: bytes) -> tuple[list[Part], str]:
    """The parts of a ListParts answer and the marker of the next page, if any.

    Raises `ValueError` or `ParseError` for anything else: an answer cut short must
    not look like a short list.
    """
    # Over TLS from OSS, as oss2 itself parses its answers; its parser drops the CRC.
    root = ET.fromstring(body)  # noqa: S314
    truncated = root.findtext("IsTruncated")
    marker = root.findtext("NextPartNumberMarker", "")
    if root.tag != "ListPartsResult" or truncated not in ("true", "false"):
        raise ValueError(say("not a list of parts"))
    if truncated == "true" and not marker:
        raise ValueError(say("a list of parts that does not say where it goes on"))
    parts = [_part(node) for node in root.findall("Part")]
    return parts, marker if truncated == "true" else ""
