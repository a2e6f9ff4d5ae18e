from __future__ import annotations

import json

from preflight.repair.lenient import lenient_object
from tests.cases import case

VALUE = {"r": 16, "lora_alpha": 32, "text": 'a,] "b", }'}
PLAIN = json.dumps(VALUE)


def test_it_is_read_as_it_was_meant() -> None:
    cases: list[tuple[bytes, tuple[str, ...]]] = [
        (PLAIN.encode(), ()),
        (b"\xef\xbb\xbf" + PLAIN.encode(), ("a byte order mark",)),
        (PLAIN.encode("utf-16"), ("UTF-16",)),
        (PLAIN.encode("utf-32"), ("UTF-32",)),
        ((PLAIN[:-1] + ",\n}").encode(), ("a comma too many",)),
        (
            ('{"r": 8, ' + PLAIN[1:]).encode(),
            ('"r" given twice, of which the last counts',),
        ),
    ]
    for data, odd in cases:
        with case(data, odd):
            assert lenient_object(data, "a.json") == (VALUE, odd)


def test_a_dropout_that_is_no_number_is_none() -> None:
    read = lenient_object(b'{"lora_dropout": NaN}', "a.json")
    assert read == ({"lora_dropout": 0.0}, ("NaN",))


def test_what_cannot_be_told_is_left() -> None:
    cases: list[bytes] = [
        b"", b"[]", b"16", b"{", b'{"a": 1', b'{"a": }', b"\xff\xfe{", b"\x80abc",
        b"{'a': 1}", b'{"lora_alpha": NaN}', b'{"a": [1, Infinity]}', b"[" * 50_000,
        b'{"a": "' + b"x" * (1 << 20) + b'"}',
    ]  # fmt: skip
    for data in cases:
        with case(data):
            assert lenient_object(data, "a.json") is None
