from __future__ import annotations

from xml.etree.ElementTree import ParseError

import pytest

from preflight.oss.models import Part, parse_parts

PART = (
    "<Part><PartNumber>3</PartNumber><ETag>&quot;AB&quot;</ETag><Size>7</Size>"
    "<HashCrc64ecma>18446744073709551615</HashCrc64ecma></Part>"
)


def listing(inner: str) -> bytes:
    return f"<ListPartsResult>{inner}</ListPartsResult>".encode()


def test_the_crc_of_a_part_is_kept() -> None:
    whole = listing(f"<IsTruncated>false</IsTruncated>{PART}")
    assert parse_parts(whole) == ([Part(3, "AB", 7, 2**64 - 1)], "")


def test_a_part_may_lack_its_crc() -> None:
    bare = PART.replace("<HashCrc64ecma>18446744073709551615</HashCrc64ecma>", "")
    parts, _ = parse_parts(listing(f"<IsTruncated>false</IsTruncated>{bare}"))
    assert parts == [Part(3, "AB", 7, None)]


def test_a_longer_list_says_where_it_goes_on() -> None:
    more = "<IsTruncated>true</IsTruncated>"
    marker = "<NextPartNumberMarker>3</NextPartNumberMarker>"
    assert parse_parts(listing(more + marker + PART))[1] == "3"
    with pytest.raises(ValueError, match="where it goes on"):
        parse_parts(listing(more + PART))


def test_no_list_is_not_an_empty_list() -> None:
    for inner in ("", "<IsTruncated>perhaps</IsTruncated>", "<IsTruncated/>"):
        with pytest.raises(ValueError, match="not a list"):
            parse_parts(listing(inner))


def test_a_part_without_its_numbers_is_refused() -> None:
    for field in ("PartNumber>3", "Size>7"):
        broken = PART.replace(field, field[:-1])
        with pytest.raises(ValueError, match="invalid literal"):
            parse_parts(listing(f"<IsTruncated>false</IsTruncated>{broken}"))


def test_broken_xml_is_refused() -> None:
    with pytest.raises(ParseError):
        parse_parts(listing(PART)[:-5])
