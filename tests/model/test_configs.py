"""Reading JSON and text that anybody may have written."""

from __future__ import annotations

import codecs
import json
import os
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from preflight.findings import Unavailable
from preflight.model import configs
from preflight.model.configs import (
    MAX_DEPTH,
    JsonObject,
    NotJson,
    count_values,
    parse_json,
    read_json_object,
    read_text,
)
from preflight.model.recognise import Kind, recognise
from preflight.model.steady import Access, Calls, open_regular
from preflight.text import printable
from tests.cases import case
from tests.depth import examples
from tests.model.mount import bad_disk

NAME = "adapter_config.json"


def read(folder: Path, data: bytes | str) -> JsonObject | Unavailable:
    path = folder / "file"
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return read_json_object(open_regular(path), NAME)


def reason(folder: Path, data: bytes | str) -> str:
    found = read(folder, data)
    assert isinstance(found, Unavailable), found
    assert found.reason.isprintable()
    return found.reason


@pytest.mark.parametrize(
    "value",
    [
        {},
        {
            "r": 8,
            "lora_alpha": 16.5,
            "x": [True, False, None],
            "é\n": {"y": "\U0001f600"},
        },
        {"big": 10**300, "small": 1e-300, "negative": -3},
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_an_object_is_read_as_written(
    tmp_path: Path, value: dict[str, object], ascii_only: bool
) -> None:
    text = json.dumps(value, ensure_ascii=ascii_only, indent=2)
    assert read(tmp_path, text + "\r\n") == value


LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n"


def test_a_bad_file_is_named_with_its_fault_and_place(tmp_path: Path) -> None:
    cases: list[tuple[bytes | str, str]] = [
        (b"", "is empty (0 bytes)"),
        (bytes(12), "holds nothing but zero bytes (12)"),
        (
            codecs.BOM_UTF8 + b"{}",
            "begins with a byte order mark (UTF-8 BOM); save it without",
        ),
        ("{}".encode("utf-16"), "is UTF-16 or UTF-32 text; save it as UTF-8"),
        ("{}".encode("utf-16-be"), "is UTF-16 or UTF-32 text; save it as UTF-8"),
        ("{}".encode("utf-16-le"), "is UTF-16 or UTF-32 text; save it as UTF-8"),
        ("{}".encode("utf-32"), "is UTF-16 or UTF-32 text; save it as UTF-8"),
        (b'{\n"\xe9": 1}', "is not UTF-8: byte 0xe9 at offset 3 (line 2)"),
        ('{"r": NaN}', "holds NaN, which is not JSON (line 1, column 7)"),
        (
            '{"NaN":"\\"NaN",\n"r": -Infinity}',
            "holds -Infinity, which is not JSON (line 2, column 6)",
        ),
        ('{"r": 8,\n}', "has a trailing comma (line 1, column 8)"),
        ('{"r": [1,\n 2 , ]}', "has a trailing comma (line 2, column 4)"),
        (
            "{'r': 8}",
            "uses single quotes, where JSON wants double ones (line 1, column 2)",
        ),
        ('{"r": True}', "holds Python's True, which is not JSON (line 1, column 7)"),
        ('{"r": None}', "holds Python's None, which is not JSON (line 1, column 7)"),
        (
            '{"r": 8 // rank\n}',
            "holds a comment, which JSON does not have (line 1, column 9)",
        ),
        (
            '# PEFT\n{"r": 8}',
            "holds a comment, which JSON does not have (line 1, column 1)",
        ),
        ('{"r": 8,\n "al', "ends early, in the middle of its text (line 2, column 5)"),
        ('{"r": 8', "ends early, in the middle of its text (line 1, column 8)"),
        ('{"r": tru', "ends early, in the middle of its text (line 1, column 10)"),
        ('{"r":\n', "ends early, in the middle of its text (line 2, column 1)"),
        ("  \n ", "ends early, in the middle of its text (line 2, column 2)"),
        ('{"r": 8}\n{"r": 9}', "goes on after its end (line 2, column 1)"),
        ("r: 8\n", "is not JSON: expecting value (line 1, column 1)"),
        ('{"a": "x\ny"}', "is not JSON: invalid control character (line 1, column 9)"),
        ("[]", "is a list, not an object"),
        ('"x"', "is a string, not an object"),
        ("null", "is null, not an object"),
        ("8", "is just 8, not an object"),
        ("true", "is just true, not an object"),
        ('{"r": 8, "r": 16}', 'gives "r" twice, with different values'),
        ('{"r": 1, "r": true}', 'gives "r" twice, with different values'),
        ('{"\\ud800": 1}', "holds half a character, \\ud800"),
        ('{"r": 1e999}', "holds a number too large for any reader, 1e999"),
        (
            '{"r": ' + "1" * 400 + "}",
            "holds a number too large for any reader, 1111111111...1111111111",
        ),
        (LFS, "git-lfs pointer, not the file itself (63 bytes)"),
        (b"<html>Not found</html>", "HTML or XML page, not JSON (22 bytes)"),
        (
            b"PK\x03\x04zip",
            "archive (zip, tar, gzip, or a PyTorch .bin), not JSON (7 bytes)",
        ),
    ]  # fmt: skip
    for data, words in cases:
        with case(data, words):
            assert reason(tmp_path, data).removeprefix(NAME).lstrip(": ") == words
            assert reason(tmp_path, data).startswith(NAME)


@pytest.mark.parametrize(
    "text",
    [
        '{"r": 8, "r": 8}',
        '{"x": {"a": 1, "a": 2}, "r": 8}',
        '{"x": {"a": 1, "a": 2}}',
    ],
)
def test_a_repeated_key_that_contradicts_nothing_at_the_top_is_read(
    tmp_path: Path, text: str
) -> None:
    assert read(tmp_path, text) == json.loads(text)


def test_depth_is_bounded_like_in_the_rust_readers(tmp_path: Path) -> None:
    def nested(depth: int) -> str:
        return '{"a":' + "[" * depth + "]" * depth + "}"

    assert not isinstance(read(tmp_path, nested(MAX_DEPTH - 1)), Unavailable)
    for depth in (MAX_DEPTH, 900, 100_000):
        words = f"{NAME} is nested more than {MAX_DEPTH} levels deep"
        assert reason(tmp_path, nested(depth)) == words
    objects = '{"a":' * 50_000 + "1" + "}" * 50_000
    assert "nested more than" in reason(tmp_path, objects)


def test_size_and_number_of_values_are_bounded(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tokenizer.json"
    text = json.dumps({"a": "x" * 100})
    path.write_text(text)
    assert read_json_object(open_regular(path), "t", limit=len(text)) == json.loads(
        text
    )
    found = read_json_object(open_regular(path), "t", limit=len(text) - 1)
    assert found == Unavailable(
        f"t has {len(text)} bytes; at most {len(text) - 1} are read"
    )
    with path.open("wb") as stream:
        stream.truncate(10 << 40)  # sparse: 10 TiB that must not be read
    assert "at most 16,777,216 are read" in str(
        read_json_object(open_regular(path), "t")
    )
    path.write_text('{"a":[' + "[]," * 2_100_000 + "[]]}")
    words = f"t holds more than {configs.MAX_VALUES:,} values"
    assert read_json_object(open_regular(path), "t") == Unavailable(words)


def test_counting_never_undercounts() -> None:
    assert count_values('{"a":[1,2,{"b":[]}]}') >= 6
    assert count_values("[" + "[]," * 999 + "[]]") >= 1001


def test_a_large_tokenizer_is_read_quickly(tmp_path: Path) -> None:
    """As many tokens and merges as Qwen's has, and some."""
    vocabulary = {f"token{n}": n for n in range(160_000)}
    merges = [[f"a{n}", f"b{n}"] for n in range(160_000)]
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps({"model": {"vocab": vocabulary, "merges": merges}}))
    began = time.process_time()
    found = read_json_object(open_regular(path), "tokenizer.json", limit=64 << 20)
    spent = time.process_time() - began
    assert not isinstance(found, Unavailable)
    assert len(found["model"]["merges"]) == 160_000
    assert spent < 10  # CPU seconds, about one in fact


@pytest.mark.parametrize(
    "data",
    [
        '{"a":' + "9" * 16_000_000,
        '{"a":1.' + "9" * 16_000_000 + "}",
        '{"a":"' + "\\u0041" * 2_000_000,
        '{"' + "\\ud83d\\ude00" * 1_000_000 + '\\ud800":1}',
        "{" + " " * 16_000_000,
        '{"a":NaN' + " " * 10_000_000 + "}",
    ],
    ids=["digits", "decimals", "escapes", "pairs", "spaces", "nan"],
)
def test_hostile_text_costs_little_time(tmp_path: Path, data: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(data)
    began = time.process_time()
    found = read_json_object(open_regular(path), "x.json", limit=64 << 20)
    assert time.process_time() - began < 10
    if isinstance(found, Unavailable):
        assert len(found.reason) < 300


@settings(
    max_examples=examples(120),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    data=st.binary(max_size=40)
    | st.text("{}[]\",:'0123eE.-+\\untrfals \n", max_size=30)
)
def test_whatever_the_bytes_the_answer_is_a_value(
    tmp_path: Path, data: bytes | str
) -> None:
    found = read(tmp_path, data)
    raw = data.encode() if isinstance(data, str) else data
    if isinstance(found, Unavailable):
        assert found.reason.startswith(NAME)
        assert found.reason.isprintable()
    else:
        assert found == json.loads(raw)


@settings(max_examples=examples(80), deadline=None, derandomize=True)
@given(
    value=st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\x00é"), inner),
        max_leaves=20,
    )
)
def test_whatever_json_can_hold_is_read_back(value: object) -> None:
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


def test_a_fault_knows_where_it_lies() -> None:
    with pytest.raises(NotJson) as caught:
        parse_json('["NaN", NaN]')
    assert caught.value.position == 8


# What is no file, and text


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(tmp_path / "nowhere")
    cases = {
        fifo: "is a FIFO, socket or device, not a file",
        tmp_path: "is a directory, not a file",
        Path("/dev/zero"): "is a FIFO, socket or device, not a file",
        link: "is a link to nothing",
        tmp_path / "gone": "does not exist",
        tmp_path / "nul\0": "cannot be read: embedded null byte",
    }
    for path, words in cases.items():
        assert read_json_object(open_regular(path), "c.json") == Unavailable(
            f"c.json {words}"
        )
        assert read_text(open_regular(path), "c.json") == Unavailable(f"c.json {words}")


def test_a_read_error_of_the_disk_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    words = "m cannot be read: input/output error"
    opened = open_regular(path, access=bad_disk())
    assert read_json_object(opened, "m") == Unavailable(words)


def test_a_file_without_permission_is_told(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text("{}")
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("this user may read anything")
    words = "c cannot be read: permission denied"
    assert read_json_object(open_regular(path), "c") == Unavailable(words)


class Shrinking(Calls):
    """Another process empties the file just before it is read."""

    def read(self, descriptor: int, view: memoryview, offset: int) -> int:
        os.truncate(f"/proc/self/fd/{descriptor}", 1)
        return super().read(descriptor, view, offset)


def test_a_file_that_shrinks_meanwhile_is_not_judged(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"r": 8}')
    opened = open_regular(path, access=Access(calls=Shrinking()))
    words = "c ended after 1 of 8 bytes: it shrank"
    assert read_json_object(opened, "c") == Unavailable(words)


@pytest.mark.parametrize("text", ["", "\ufeff{{ x }}\r\n\n", "<html>{{ é }}</html>\r"])
def test_text_is_returned_exactly(tmp_path: Path, text: str) -> None:
    path = tmp_path / "chat_template.jinja"
    path.write_bytes(text.encode())
    assert read_text(open_regular(path), "chat_template.jinja") == text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"ok\n\xff", "t is not UTF-8: byte 0xff at offset 3 (line 2)"),
        (LFS, "t: git-lfs pointer, not the file itself (63 bytes)"),
        ("{{ x }}".encode("utf-16"), "t is UTF-16 or UTF-32 text; save it as UTF-8"),
        (b"x" * 101, "t has 101 bytes; at most 100 are read"),
    ],
)
def test_text_that_is_none_is_told(tmp_path: Path, data: bytes, words: str) -> None:
    path = tmp_path / "t"
    path.write_bytes(data)
    assert read_text(open_regular(path), "t", 100) == Unavailable(words)


# Marks and escapes


def test_marks_are_recognised_only_where_they_stand() -> None:
    assert recognise(b"\xef\xbb\xbf \n<!doctype HTML>") is Kind.HTML
    assert recognise(b"\x80\x04\x95") is Kind.PICKLE
    assert recognise(b'{"a": "PK\x03\x04 GGUF <html>"}') is None
    assert recognise(b"") is None


def test_printable_shows_what_cannot_be_seen() -> None:
    cases: list[tuple[str, str]] = [
        ("plain 名前 é", "plain 名前 é"),
        ("a\r\n\t\x00\x7f", "a\\r\\n\\t\\x00\\x7f"),
        ("\x9b31m\u2028\u200b\u2066", "\\x9b31m\\u2028\\u200b\\u2066"),
        ("\U000e0041", "\\U000e0041"),
        (os.fsdecode(b"\xff.bin"), "\\xff.bin"),
        ("\ud800", "\\ud800"),
    ]
    for text, shown in cases:
        with case(text, shown):
            assert printable(text) == shown


@given(text=st.text(), limit=st.integers(3, 40))
def test_printable_is_printable_and_bounded(text: str, limit: int) -> None:
    shown = printable(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit


def test_printable_keeps_both_ends_of_a_long_name() -> None:
    shown = printable("begin" + "x" * 10_000_000 + "end", 40)
    assert shown.startswith("beginx")
    assert shown.endswith("xend")
    assert "..." in shown
