"""The safetensors reader, by its own words and against the library's judgement."""

from __future__ import annotations

import json
import os
import random
import re
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save_file

from preflight.findings import Problem, Severity
from preflight.model import headers
from preflight.model.dtypes import BITS
from preflight.model.headers import (
    DIFFERENCES,
    Broken,
    Cause,
    Container,
    Reading,
    Unread,
    read_container,
)
from preflight.model.oracle import oracle_accepts
from preflight.model.steady import INSPECTING, Access, Calls, open_regular
from preflight.rules.s_container import (
    safetensors_header_readable,
    safetensors_layout_sound,
)
from tests.cases import case
from tests.depth import examples
from tests.manual_clock import ManualClock
from tests.model.mount import bad_disk
from tests.model.safetensors_bytes import container, entries, entry, sound

ONE = json.dumps(entry("F32", [1]))
FOUR = bytes(4)


def read(path: Path, data: bytes) -> Reading:
    path.write_bytes(data)
    return read_container(open_regular(path), "model.safetensors")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "model.safetensors"


def broken(file: Path, data: bytes) -> Broken:
    found = read(file, data)
    assert isinstance(found, Broken), found
    assert found.file == "model.safetensors"
    return found


def test_a_file_of_the_library_is_read_as_the_library_wrote_it(file: Path) -> None:
    tensors: dict[str, np.ndarray[Any, Any]] = {
        "b.lora_A.weight": np.arange(24, dtype=np.float32).reshape(4, 6),
        "a.lora_B.weight": np.ones((6, 4), dtype=np.float16),
        "scalar": np.array(3, dtype=np.int64),
        "none": np.zeros((0, 4), dtype=np.uint8),
    }
    save_file(tensors, file, metadata={"format": "pt"})
    found = read_container(open_regular(file), "x.safetensors")
    assert isinstance(found, Container)
    assert found.file == "x.safetensors"
    assert found.size == file.stat().st_size
    assert found.metadata == {"format": "pt"}
    data = file.read_bytes()
    assert {tensor.name for tensor in found.tensors} == set(tensors)
    for tensor in found.tensors:
        original = tensors[tensor.name]
        assert tensor.shape == original.shape
        assert (tensor.size, tensor.count) == (original.nbytes, original.size)
        assert data[tensor.start : tensor.end] == original.tobytes()
    places = [(tensor.start, tensor.end) for tensor in found.tensors]
    assert places == sorted(places)
    assert places[0][0] == found.data_start
    assert places[-1][1] == found.size


def test_every_dtype_has_the_width_that_the_library_gives_it(file: Path) -> None:
    for dtype in sorted(BITS):
        with case(dtype):
            assert isinstance(read(file, sound({"a": (dtype, [8])})), Container)
            assert oracle_accepts(file) is True
            for wrong in (BITS[dtype] - 1, BITS[dtype] + 1):
                header = {
                    "a": {"dtype": dtype, "shape": [8], "data_offsets": [0, wrong]}
                }
                assert broken(file, container(header, bytes(wrong)))
                assert oracle_accepts(file) is not True


def test_the_library_knows_no_dtype_that_the_table_lacks(file: Path) -> None:
    read(file, container({"a": {**entry("U8", [0]), "dtype": "?"}}))
    known = re.findall(r"`([A-Z]\w+)`", str(oracle_accepts(file)))
    assert len(known) > 10
    assert set(known) <= set(BITS)


@pytest.mark.parametrize(
    ("data", "metadata"),
    [
        (sound({}, {"format": "pt"}), {"format": "pt"}),
        (sound({}), None),
        (container('{"__metadata__":null}'), None),
        (container('{"__metadata__":{}}'), {}),
    ],
)
def test_a_container_without_tensors_is_no_broken_one(
    file: Path, data: bytes, metadata: dict[str, str] | None
) -> None:
    found = read(file, data)
    assert isinstance(found, Container)
    assert found.tensors == ()
    assert found.metadata == metadata


LFS = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:"
    + b"a" * 64
    + b"\nsize 16777216\n"
)


def header_with(**fields: object) -> bytes:
    return container({"a": {**entry("F32", [1]), **fields}}, FOUR)


def two(start: int, end: int) -> bytes:
    second = {"dtype": "F32", "shape": [1], "data_offsets": [start, end]}
    return container({"a": entry("F32", [1]), "b": second}, bytes(max(end, 8)))


BROKEN: list[tuple[str, bytes, Cause, str]] = [
    ("empty", b"", Cause.TOO_SMALL, "an empty file"),
    ("seven bytes", bytes(7), Cause.TOO_SMALL, "7 bytes"),
    ("lfs", LFS, Cause.LFS_POINTER, "git-lfs pointer, not the file itself (133 bytes)"),
    ("html", b"\n<!DOCTYPE html><html>", Cause.HTML, "HTML or XML page"),
    ("xml", b'<?xml version="1.0"?><Error/>', Cause.HTML, "HTML or XML page"),
    ("gguf", b"GGUF\3\0\0\0" + bytes(99), Cause.GGUF, "GGUF model"),
    ("zip", b"PK\3\4\0\0\x08\x08" + bytes(99), Cause.ARCHIVE, "PyTorch .bin"),
    ("gzip", b"\x1f\x8b\x08\0abcdef" + bytes(99), Cause.ARCHIVE, "gzip"),
    (
        "tar",
        b"model/a".ljust(257, b"\0") + b"ustar" + bytes(250),
        Cause.ARCHIVE,
        "tar",
    ),
    ("pickle", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j", Cause.PICKLE, "Python pickle"),
    ("zeros", bytes(5000), Cause.ALL_ZERO, "the first 4,096 of 5,000 bytes are zero"),
    ("zero header", container(bytes(64), FOUR), Cause.ALL_ZERO, "all 64 bytes"),
    (
        "text",
        b'{"metadata": {"total_size": 1}}',
        Cause.OVER_LIMIT,
        'begins with the text "{"metada"',
    ),
    (
        "over limit",
        container("{}", length=100_000_001),
        Cause.OVER_LIMIT,
        "a header of 100,000,001 bytes, at most 100,000,000",
    ),
    (
        "beyond file",
        container("{}", length=100),
        Cause.BEYOND_FILE,
        "a header of 100 bytes, but the file of 10 bytes ends 98 bytes before that",
    ),
    ("no header", container("", b"1"), Cause.BAD_JSON, "0 bytes long"),
    ("latin-1", container(b'{"\xe9":1}'), Cause.NOT_UTF8, "0xe9 at file offset 10"),
    ("not json", container("{]"), Cause.BAD_JSON, "the header is not JSON"),
    ("cut json", container('{"a":{"dty'), Cause.BAD_JSON, "the header ends early"),
    ("list", container("[]"), Cause.BAD_JSON, "not an object"),
    ("number", container('{"a":{"x":1e999}}'), Cause.BAD_JSON, "too large"),
    ("nan", container('{"a":{"x":NaN}}'), Cause.BAD_JSON, "holds NaN"),
    ("surrogate", container('{"\\ud800":1}'), Cause.BAD_JSON, "\\ud800"),
    (
        "twice",
        container(f'{{"a":{ONE},"a":{ONE}}}', FOUR),
        Cause.DUPLICATE_NAME,
        'gives "a" twice',
    ),
    ("no object", container({"a": 1}), Cause.BAD_ENTRY, 'tensor "a" is not described'),
    ("no dtype", header_with(dtype=None), Cause.BAD_ENTRY, "has no dtype"),
    (
        "metadata number",
        container({"__metadata__": {"step": 7}}),
        Cause.BAD_METADATA,
        '"step" in __metadata__ is not a string',
    ),
    (
        "metadata list",
        container({"__metadata__": []}),
        Cause.BAD_METADATA,
        "should be an object",
    ),
    ("dtype", header_with(dtype="F7"), Cause.UNKNOWN_DTYPE, 'dtype "F7"; safetensors'),
    ("negative", header_with(shape=[-1]), Cause.BAD_SHAPE, "[-1]"),
    ("bool", header_with(shape=[True]), Cause.BAD_SHAPE, "[True]"),
    ("no shape", header_with(shape=None), Cause.BAD_SHAPE, "has none"),
    ("no offsets", header_with(data_offsets=[0]), Cause.BAD_OFFSETS, "has [0]"),
    ("hole", two(6, 10), Cause.BAD_OFFSETS, "begins 2 bytes after the end"),
    ("overlap", two(3, 7), Cause.BAD_OFFSETS, "begins 1 byte before the end"),
    ("backwards", two(4, 0), Cause.BAD_OFFSETS, "before its start"),
    (
        "span",
        header_with(shape=[2]),
        Cause.SPAN_MISMATCH,
        "takes 8 bytes as F32 [2], its data_offsets span 4",
    ),
    ("overflow", header_with(shape=[2**62]), Cause.OVERFLOW, "64-bit"),
    (
        "half byte",
        container({"a": {"dtype": "F4", "shape": [3], "data_offsets": [0, 1]}}, b"1"),
        Cause.MISALIGNED,
        "takes 12 bits",
    ),
    (
        "truncated",
        sound({"a": ("F32", [2000])})[:-1024],
        Cause.TRUNCATED,
        "1,024 bytes short: the header describes 8,075 bytes, the file has 7,051",
    ),
    ("trailing", sound({}) + b"1", Cause.TRAILING, "1 byte too many: the header"),
]


@pytest.mark.parametrize(
    ("data", "cause", "words"), [row[1:] for row in BROKEN], ids=[r[0] for r in BROKEN]
)
def test_a_broken_container_is_named_with_its_cause(
    file: Path, data: bytes, cause: Cause, words: str
) -> None:
    found = broken(file, data)
    assert found.cause is cause, found
    assert words in found.message
    listed = cause in {difference.cause for difference in DIFFERENCES}
    assert listed or oracle_accepts(file) is not True


def test_every_cause_but_two_comes_from_bytes_shown_above() -> None:
    shown = {cause for _, _, cause, _ in BROKEN}
    assert set(Cause) - shown == {Cause.UNREADABLE, Cause.CHANGED}


def test_the_header_may_carry_spaces_escapes_and_unknown_fields(file: Path) -> None:
    text = f' \n{{"\\u0061\\ud83d\\ude00":{ONE[:-1]},"x":[{{}}, 1.5]}}}}\t '
    found = read(file, container(text, FOUR))
    assert isinstance(found, Container)
    assert [tensor.name for tensor in found.tensors] == ["a\U0001f600"]


# What is not a readable regular file


def test_what_is_no_file_is_refused_without_waiting(tmp_path: Path) -> None:
    fifo, link, loop = (tmp_path / name for name in ("fifo", "link", "loop"))
    os.mkfifo(fifo)
    link.symlink_to(tmp_path / "nowhere")
    loop.symlink_to(loop)
    cases = {
        fifo: "is a FIFO, socket or device, not a file",
        tmp_path: "is a directory, not a file",
        Path("/dev/zero"): "is a FIFO, socket or device, not a file",
        link: "is a link to nothing",
        tmp_path / "gone": "does not exist",
        loop: "cannot be read: too many levels of symbolic links",
        tmp_path / "nul\0": "cannot be read: embedded null byte",
        tmp_path / ("n" * 300): "cannot be read: file name too long",
    }
    clock = ManualClock()
    access = replace(INSPECTING, clock=clock)
    for path, words in cases.items():
        found = read_container(open_regular(path, access=access), "m")
        assert found == Broken("m", Cause.UNREADABLE, words)
        assert oracle_accepts(path) == words
    assert clock.slept == []


def test_a_read_error_of_the_disk_is_told(file: Path) -> None:
    file.write_bytes(sound({}))
    opened = open_regular(file, access=bad_disk())
    found = read_container(opened, "m")
    assert found == Broken("m", Cause.UNREADABLE, "cannot be read: input/output error")


def test_a_file_without_permission_is_told(file: Path) -> None:
    file.write_bytes(sound({}))
    file.chmod(0)
    if os.access(file, os.R_OK):
        pytest.skip("this user may read anything")
    words = "cannot be read: permission denied"
    assert read_container(open_regular(file), "m") == Broken(
        "m", Cause.UNREADABLE, words
    )


def test_names_and_paths_may_hold_anything(tmp_path: Path) -> None:
    for name in ("мо дель\n.safetensors", os.fsdecode(b"\xff\xfe.safetensors")):
        path = tmp_path / name
        path.write_bytes(sound({"a": ("BF16", [2, 3])}))
        assert isinstance(read_container(open_regular(path), name), Container)
        assert oracle_accepts(path) is True


class Shrinking(Calls):
    """Another process cuts the file short after its first eight bytes are read."""

    def read(self, descriptor: int, view: memoryview, offset: int) -> int:
        count = super().read(descriptor, view, offset)
        os.truncate(f"/proc/self/fd/{descriptor}", 10)
        return count


class Growing(Calls):
    """Another process appends to the file while its header is read."""

    def read(self, descriptor: int, view: memoryview, offset: int) -> int:
        count = super().read(descriptor, view, offset)
        os.truncate(f"/proc/self/fd/{descriptor}", os.fstat(descriptor).st_size + 4)
        return count


@pytest.mark.parametrize("calls", [Shrinking, Growing])
def test_a_file_that_changes_meanwhile_is_not_judged(
    file: Path, calls: type[Calls]
) -> None:
    file.write_bytes(sound({"a": ("F32", [9])}))
    opened = open_regular(file, access=Access(calls=calls()))
    found = read_container(opened, "m")
    assert isinstance(found, Broken)
    assert found.cause is Cause.CHANGED


# Bounds


def many(count: int) -> str:
    """The header of `count` tensors of one byte."""
    end = '"dtype":"U8","shape":[1],"data_offsets":'
    parts = (f'"layers.{n}.weight":{{{end}[{n},{n + 1}]}}' for n in range(count))
    return "{" + ",".join(parts) + "}"


def test_any_number_of_tensors_is_read_within_the_time_allowed(file: Path) -> None:
    """The experts of the largest mixtures have 90,000 halves of a LoRA."""
    metadata = {"__metadata__": {"made by": "[,{" * 1_000_000}}
    text = json.dumps(metadata)[:-1] + ","
    file.write_bytes(container(text + many(100_000)[1:], bytes(100_000)))
    began = time.process_time()
    found = read_container(open_regular(file), "m")
    assert isinstance(found, Container)
    assert len(found.tensors) == 100_000
    assert oracle_accepts(file) is True
    assert time.process_time() - began < headers.SECONDS


@settings(
    max_examples=examples(5),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    count=st.integers(0, 60_000),
    dimensions=st.integers(0, 400),
    length=st.integers(1, 3000),
    note=st.integers(0, 1_000_000),
)
def test_no_file_that_the_library_opens_is_called_broken_for_its_size(
    file: Path, count: int, dimensions: int, length: int, note: int
) -> None:
    """Many tensors, of many dimensions, with long names, or with much said of them."""
    count = min(count, 4_000_000 // (length + 2 * dimensions + 60))
    described = {"dtype": "U8", "shape": [1] * dimensions}
    header: dict[str, object] = {
        f"{n:0{length}}": {**described, "data_offsets": [n, n + 1]}
        for n in range(count)
    }
    header["__metadata__"] = {"note": "[," * (note // 2)}
    file.write_bytes(container(json.dumps(header), bytes(len(header) - 1)))
    assert oracle_accepts(file) is True
    assert not isinstance(read_container(open_regular(file), "m"), Broken)


def test_what_takes_too_long_is_left_unread_and_not_called_broken(file: Path) -> None:
    # Of 8 MB, and never valid, which nobody finds out.
    header = '{"a":[' + "0," * 4_100_000
    began = time.process_time()
    found = read(file, container(header))
    assert time.process_time() - began < 10
    assert isinstance(found, Unread)
    assert "would take longer than 10 s" in found.reason
    (told,) = safetensors_header_readable.check((found,))
    assert isinstance(told, Problem)
    assert told.severity is Severity.WARNING
    assert not list(safetensors_layout_sound.check((found,)))


def hostile() -> dict[str, tuple[bytes, Cause | None]]:
    """Headers made to exhaust a reader, with the cause each must end in."""
    deep = '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    return {
        "claim": (container("{}", length=120_000_000), Cause.OVER_LIMIT),
        "greatest claim": (container("{}", length=2**64 - 1), Cause.OVER_LIMIT),
        "deep lists": (container(deep), Cause.BAD_JSON),
        "deep objects": (container('{"a":' * 100_000), Cause.BAD_JSON),
        "small lists": (container("[" * 1 + "[]," * 2_100_000), None),
        "digits": (container('{"a":' + "9" * 9_000_000 + "}"), Cause.BAD_JSON),
        "escapes": (container('{"' + "\\u0041" * 3_000_000), Cause.BAD_JSON),
        "long name": (container('{"' + "n" * 30_000_000 + '":1}'), Cause.BAD_ENTRY),
        "wide shape": (
            header_with(shape=[10**18] * 100_000),
            Cause.OVERFLOW,
        ),
    }


def test_hostile_headers_are_refused_within_bounds(file: Path) -> None:
    for name, (data, cause) in hostile().items():
        file.write_bytes(data)
        began = time.process_time()
        found = read_container(open_regular(file), "m")
        assert time.process_time() - began < 10, name
        if cause is None:
            assert isinstance(found, Unread), name
            continue
        assert isinstance(found, Broken), name
        assert found.cause is cause, (name, found)
        assert len(found.message) < 1000, name


# Against the library


LISTED = {difference.cause for difference in DIFFERENCES}


def agree(path: Path, data: bytes) -> str:
    """Both judge; returns what came out. Fails on a difference that is not listed."""
    mine, theirs = read(path, data), oracle_accepts(path)
    if isinstance(mine, Container):
        assert theirs is True, (theirs, data[:600])
        return "accepted"
    assert isinstance(mine, Broken)
    if theirs is True:
        assert mine.cause in LISTED, (mine, data[:600])
        return f"only here {mine.cause.value}"
    return mine.cause.value


def seeds() -> list[bytes]:
    lora = {
        f"base_model.model.model.layers.{n}.self_attn.q_proj.lora_{x}.weight": (
            "BF16",
            [2, 3],
        )
        for n in range(3)
        for x in "AB"
    }
    mixed = {"b": ("F32", [2, 2]), "a": ("U8", [0]), "é": ("F64", []), "q": ("F4", [4])}
    return [
        sound(lora, {"format": "pt"}),
        sound(lora),
        sound(mixed, {"k": "v", "w": ""}),
        sound({"x": ("F6_E2M3", [4]), "y": ("BOOL", [1]), "z": ("I64", [1, 1])}),
        sound({}, {"format": "pt"}),
        sound({}),
    ]


TOKENS = (
    b'"', b"{", b"}", b"[", b"]", b",", b":", b" ", b"0", b"1", b"-", b"-0", b"null",
    b"true", b"1.0", b"1e3", b"NaN", b"1e999", b"18446744073709551615", b"\\", b"\n",
    b"18446744073709551616", b'"F16"', b'"F4"', b'"x":0,', b'"a":[],', b"\xff", b"\0",
    b"\xc3\xa9", b"\\u0041", b"\\ud800", b"\\ud83d\\ude00", b'"dtype"', b"\x7f",
    b'"__metadata__":{},', b'"shape"', b'"data_offsets"', b"[0,0]", b"\xef\xbb\xbf",
)  # fmt: skip


def mutated(rng: random.Random, data: bytes) -> bytes:
    """One to three small damages; the header's length mostly still fits."""
    length = int.from_bytes(data[:8], "little")
    header, rest = bytearray(data[8 : 8 + length]), data[8 + length :]
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(header) + 1)
        end = min(len(header), at + rng.choice((0, 0, 1, 1, 1, 5)))
        header[at:end] = rng.choice((b"", rng.choice(TOKENS)))
    if rng.random() < 0.15:
        rest = rest[: rng.randrange(len(rest) + 1)] + bytes(rng.randrange(3))
    shift = rng.choice((-8, -1, 1, 8, 2**40)) if rng.random() < 0.08 else 0
    return container(bytes(header), rest, length=max(0, len(header) + shift))


def restructured(rng: random.Random, data: bytes) -> bytes:
    """One to two values of the header replaced; it stays JSON."""
    length = int.from_bytes(data[:8], "little")
    header, rest = json.loads(data[8 : 8 + length]), data[8 + length :]
    for _ in range(rng.randint(1, 2)):
        name = rng.choice([*header, "new"])
        field = rng.choice(("dtype", "shape", "data_offsets", "__metadata__", "x"))
        small = [rng.choice((0, 1, 2, 3, 4, 8, 16)) for _ in range(rng.randrange(4))]
        value: Any = rng.choice(
            (rng.choice(list(BITS)), small, sorted(small), 2**64, 2**61, -1, None, 1.0,
             True, {}, {"F32": None}, [2**63, 2], [0, 2**64], "", {"format": "pt"},
             [[[]]], ["F32", [1], [0, 4]], entry("U8", [2], rng.randrange(9)))
        )  # fmt: skip
        if isinstance(header.get(name), dict) and rng.random() < 0.9:
            if field == "shape" and rng.random() < 0.1:
                value = [2**62, 2 ** rng.randrange(8)]
            if field == "dtype" and rng.random() < 0.8:
                value = rng.choice(list(BITS))
            header[name][field] = value
        else:
            header[name] = value
    return container(header, rest)


def test_thousands_of_damaged_containers_get_the_librarys_verdict(file: Path) -> None:
    rng = random.Random(20_26)  # noqa: S311
    good = seeds()
    seen: Counter[str] = Counter()
    for round_ in range(examples(1500)):
        damage = mutated if round_ % 2 else restructured
        seen[agree(file, damage(rng, rng.choice(good)))] += 1
    assert seen["accepted"] >= 70
    for cause in (
        Cause.BAD_JSON, Cause.NOT_UTF8, Cause.BAD_ENTRY, Cause.BAD_SHAPE,
        Cause.BAD_OFFSETS, Cause.BAD_METADATA, Cause.SPAN_MISMATCH, Cause.TRAILING,
        Cause.UNKNOWN_DTYPE, Cause.BEYOND_FILE, Cause.TRUNCATED, Cause.MISALIGNED,
        Cause.OVERFLOW,
    ):  # fmt: skip
        assert seen[cause.value] >= 4, (cause, seen)


@pytest.mark.parametrize(
    "header",
    [
        f'{{"a":{ONE},"a":{ONE}}}',
        f'{{"a":{ONE[:-1]},"x":{{"y":1,"y":2}}}}}}',
        '{"a":["F32",[1],[0,4]]}',
        '{"a":{"dtype":{"F32":null},"shape":[1],"data_offsets":[0,4]}}',
    ],
)
def test_what_only_this_reader_refuses_is_listed(file: Path, header: str) -> None:
    assert agree(file, container(header, FOUR)).startswith("only here ")


scalars = (
    st.none()
    | st.booleans()
    | st.integers(-2, 9)
    | st.sampled_from([2**61, 2**63, 2**64 - 1, 2**64])
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(sorted(BITS))
)
words = st.lists(st.integers(0, 8) | scalars, max_size=3)
field = st.sampled_from(["dtype", "shape", "data_offsets", "x"])
described = st.builds(
    entry, st.sampled_from(sorted(BITS)), st.lists(st.integers(0, 4), max_size=3)
)
anything = scalars | words | described | st.dictionaries(field, words | scalars)
header = st.dictionaries(st.text(max_size=3) | st.just("__metadata__"), anything)


@settings(
    max_examples=examples(150),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(header=header, size=st.integers(0, 20), ascii_only=st.booleans())
def test_any_json_header_gets_the_librarys_verdict(
    file: Path, header: dict[str, Any], size: int, ascii_only: bool
) -> None:
    text = json.dumps(header, ensure_ascii=ascii_only)
    agree(file, container(text.encode("utf-8", "surrogatepass"), bytes(size)))


@settings(
    max_examples=examples(100),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    shapes=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
        st.tuples(
            st.sampled_from([d for d in BITS if BITS[d] >= 8]),
            st.lists(st.integers(0, 4), max_size=4),
        ),
    ),
    cut=st.integers(-2, 2),
)
def test_well_made_headers_are_accepted_unless_the_length_is_wrong(
    file: Path, shapes: dict[str, tuple[str, list[int]]], cut: int
) -> None:
    made = entries({name: shapes[name] for name in shapes if name != "__metadata__"})
    size = max((e["data_offsets"][1] for e in made.values()), default=0)
    outcome = agree(file, container(made, bytes(max(0, size + cut))))
    expected = {0: "accepted", 1: "trailing", -1: "truncated"}
    assert (
        outcome == expected[(max(0, size + cut) > size) - (max(0, size + cut) < size)]
    )


@pytest.mark.parametrize("depth", [125, 126])
def test_the_depth_limit_is_the_librarys(file: Path, depth: int) -> None:
    lists = "[" * depth + "]" * depth
    outcome = agree(file, container(f'{{"a":{ONE[:-1]},"x":{lists}}}}}', FOUR))
    assert outcome == ("accepted" if depth == 125 else "bad-json")
