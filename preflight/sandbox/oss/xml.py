"""XML as OSS speaks it: without namespaces, in and out."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from urllib.parse import quote

from preflight.sandbox.oss.checks import check_tags
from preflight.sandbox.oss.errors import Node, OssError

__all__ = ["Node"]


def document(tag: str, children: Sequence[Node] | str) -> bytes:
    """The bytes of a document with this root."""
    root = _element((tag, children))
    head = b'<?xml version="1.0" encoding="UTF-8"?>\n'
    return head + bytes(ET.tostring(root, encoding="utf-8", xml_declaration=False))


def _element(node: Node) -> ET.Element:
    tag, inner = node
    element = ET.Element(tag)
    if isinstance(inner, str):
        element.text = inner
    else:
        element.extend(_element(child) for child in inner)
    return element


def error_document(error: OssError, *, request_id: str, host: str) -> bytes:
    """The body of an error (OSS docs, "Error responses")."""
    children: list[Node] = [
        ("Code", error.code),
        ("Message", error.message),
        ("RequestId", request_id),
        ("HostId", host),
        *error.details.items(),
    ]
    if error.ec:
        doc = f"https://api.aliyun.com/troubleshoot?q={error.ec}"
        children += [("EC", error.ec), ("RecommendDoc", doc)]
    return document("Error", children)


def iso_time(at: float) -> str:
    """A time as listings write it: 2026-11-23T12:00:00.000Z."""
    # OSS writes whole seconds with three zeros; oss2 refuses anything else
    return f"{datetime.fromtimestamp(at, timezone.utc):%Y-%m-%dT%H:%M:%S}.000Z"


def encoded(text: str, encoding_type: str) -> str:
    """A key as a listing shows it with or without `encoding-type=url`."""
    return quote(text, safe="") if encoding_type == "url" else text


def boolean(value: bool) -> str:
    """`true` or `false`."""
    return str(value).lower()


def _parse(body: bytes, tag: str) -> ET.Element:
    if b"<!DOCTYPE" in body or b"<!ENTITY" in body:
        raise OssError("MalformedXML")
    try:
        root = ET.fromstring(body)  # noqa: S314 - no DTD gets this far
    except ET.ParseError:
        raise OssError("MalformedXML") from None
    for element in root.iter():  # the real service accepts a namespace, too
        element.tag = element.tag.rpartition("}")[2]
    if root.tag != tag:
        raise OssError("MalformedXML")
    return root


def _text(element: ET.Element, path: str) -> str:
    found = element.find(path)
    if found is None:
        raise OssError("MalformedXML")
    return found.text or ""


def parse_completion(body: bytes) -> list[tuple[int, str]]:
    """(part number, ETag) in the order of the document."""
    root = _parse(body, "CompleteMultipartUpload")
    listed = []
    for part in root.findall("Part"):
        number, etag = _text(part, "PartNumber").strip(), _text(part, "ETag").strip()
        if not (number.isascii() and number.isdigit()):
            raise OssError("MalformedXML")
        listed.append((int(number), etag))
    return listed


def parse_deletion(body: bytes) -> tuple[list[str], bool]:
    """The keys to delete, and whether the answer shall be quiet."""
    root = _parse(body, "Delete")
    keys = [_text(item, "Key") for item in root.findall("Object")]
    quiet = root.find("Quiet")
    if not 1 <= len(keys) <= 1000 or not all(keys):
        raise OssError("MalformedXML")
    return keys, quiet is not None and quiet.text == "true"


def parse_tags(
    body: bytes, *, most: int = 20, longest: tuple[int, int] = (64, 128)
) -> Mapping[str, str]:
    """The tags of a Tagging document; OSS docs, "PutBucketTags", for the limits."""
    root = _parse(body, "Tagging")
    pairs = [
        (_text(tag, "Key"), _text(tag, "Value")) for tag in root.findall("TagSet/Tag")
    ]
    return check_tags(pairs, most=most, longest=longest)


def parse_bucket_configuration(body: bytes) -> str:
    """The storage class of a new bucket; an empty body asks for Standard."""
    if not body:
        return "Standard"
    root = _parse(body, "CreateBucketConfiguration")
    found = root.find("StorageClass")
    return (found.text or "Standard") if found is not None else "Standard"
