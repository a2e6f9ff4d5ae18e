"""The value scan against an oracle that decodes each element by itself."""

from __future__ import annotations

import math
import random
import struct
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.crc import crc64
from preflight.errors import PreflightError, SourceChanged
from preflight.model.headers import Container, Tensor
from preflight.model.scan import TensorValues, ValueScanner, scan_file
from preflight.model.stamp import Stamp
from preflight.model.steady import SteadyFile, open_steady
from tests.cases import case
from tests.depth import examples

SPECIAL = {  # patterns: zeros, smallest, largest finite, Inf, NaN, with either sign
    "BF16": (0, 0x8000, 1, 0x8001, 0x7F7F, 0xFF7F, 0x7F80, 0xFF80, 0x7FC0, 0xFFFF),
    "F16": (0, 0x8000, 1, 0x8001, 0x7BFF, 0xFBFF, 0x7C00, 0xFC00, 0x7E00, 0xFFFF),
    "F32": (0, 1 << 31, 1, 0x7F7FFFFF, 0xFF7FFFFF, 0x7F800000, 0xFF800000, 0xFFC00001),
    "F64": (0, 1 << 63, 1, (0x7FF << 52) - 1, 0x7FF << 52, 0xFFF << 52, (1 << 64) - 1),
    "F8_E4M3": (0, 0x80, 1, 0x7E, 0xFE, 0x7F, 0xFF),
    "F8_E4M3FN": (0, 0x80, 1, 0x7E, 0xFE, 0x7F, 0xFF),
    "F8_E5M2": (0, 0x80, 1, 0x7B, 0xFB, 0x7C, 0xFC, 0x7F, 0xFF),
    "F8_E4M3FNUZ": (0, 0x80, 1, 0x7F, 0xFF),
    "F8_E5M2FNUZ": (0, 0x80, 1, 0x7F, 0xFF),
    "F8_E8M0": (0, 1, 0xFE, 0xFF),
    "C64": (0, 1 << 31, 0x7F800000, 0xFFC00000),
    "I8": (0, 1, 0x80, 0xFF, 0x7F),
    "I64": (0, 1, 1 << 63, (1 << 64) - 1),
    "U16": (0, 1, 0x8000, 0xFFFF),
    "BOOL": (0, 1),
    "F4": (0, 0x10, 0xFF),
}
INTEGERS = ("I8", "I64", "U16", "BOOL", "F4", "F8_E8M0")  # or packed, or a scale
WIDTH = {"F64": 8, "I64": 8, "F32": 4, "C64": 4, "BF16": 2, "F16": 2, "U16": 2}


def steady(path: Path) -> SteadyFile:
    """A file, opened as it is now; it is closed with the process."""
    return open_steady(path, path.name, Stamp.of(path.stat()))


def dice(seed: int | str) -> random.Random:
    return random.Random(seed)  # noqa: S311 - the same data in every run


def small_float(bits: int, mantissa: int, bias: int) -> float:
    """An 8-bit float by its definition; the caller knows which are no numbers."""
    sign = -1.0 if bits & 0x80 else 1.0
    exponent, fraction = (bits & 0x7F) >> mantissa, bits & ((1 << mantissa) - 1)
    part = fraction / (1 << mantissa)
    if exponent == 0:
        return sign * part * 2.0 ** (1 - bias)
    return sign * (1 + part) * 2.0 ** (exponent - bias)


def unpack(code: str) -> Callable[[bytes], float]:
    return lambda raw: float(struct.unpack(f"<{code}", raw)[0])


def by_byte(nan: Iterable[int], *layout: int) -> Callable[[bytes], float]:
    return lambda raw: math.nan if raw[0] in nan else small_float(raw[0], *layout)


E4M3 = by_byte((0x7F, 0xFF), 3, 7)
DECODE: dict[str, Callable[[bytes], float]] = {
    "BF16": lambda raw: float(struct.unpack("<f", b"\0\0" + raw)[0]),
    "F16": unpack("e"),
    "F32": unpack("f"),
    "C64": unpack("f"),
    "F64": unpack("d"),
    "F8_E4M3": E4M3,
    "F8_E4M3FN": E4M3,
    "F8_E5M2": by_byte((*range(0x7C, 0x80), *range(0xFC, 0x100)), 2, 15),
    "F8_E4M3FNUZ": by_byte((0x80,), 3, 8),
    "F8_E5M2FNUZ": by_byte((0x80,), 2, 16),
    "F8_E8M0": lambda raw: math.nan if raw[0] == 0xFF else 2.0 ** (raw[0] - 127),
    "I8": unpack("b"),
    "I64": unpack("q"),
    "U16": unpack("H"),
    "BOOL": unpack("B"),
    "F4": unpack("B"),
}


def expected(tensor: Tensor, data: bytes) -> TensorValues:
    """What the scan must find, from the definition of each element."""
    width = WIDTH.get(tensor.dtype, 1)
    body = data[tensor.start : tensor.end]
    raw = [body[at : at + width] for at in range(0, len(body), width)]
    values = [DECODE[tensor.dtype](element) for element in raw]
    finite = [abs(value) for value in values if math.isfinite(value)]
    zero = bool(values) and all(value == 0.0 for value in values)
    alike = len(set(raw)) == 1 or zero
    return TensorValues(
        file="model.safetensors",
        name=tensor.name,
        count=len(values),
        nonfinite=len(values) - len(finite),
        zero=zero,
        constant=len(values) > 1 and alike,
        largest=max(finite, default=0.0),
        floating=tensor.dtype not in INTEGERS,
    )


def container(parts: Sequence[tuple[str, bytes]], lead: int) -> tuple[Container, bytes]:
    """A file of `lead` bytes of header and the tensors one behind the other."""
    data = bytearray(b"\x7f" * lead)
    tensors = []
    for number, (dtype, body) in enumerate(parts):
        start = len(data)
        data += body
        tensors.append(Tensor(f"t{number}", dtype, (), start, len(data)))
    made = Container("model.safetensors", len(data), lead, tuple(tensors), None)
    return made, bytes(data)


def mixture(dtype: str, count: int, rng: random.Random, share: float) -> bytes:
    """Random elements, of which about `share` are special."""
    width = WIDTH.get(dtype, 1)
    special = [bits.to_bytes(width, "little") for bits in SPECIAL[dtype]]
    return b"".join(
        rng.choice(special) if rng.random() < share else rng.randbytes(width)
        for _ in range(count)
    )


def finite_only(dtype: str, count: int, rng: random.Random) -> bytes:
    """Small random elements of which none is special."""
    width, out = WIDTH.get(dtype, 1), bytearray()
    while len(out) < count * width:
        element = bytearray(rng.randbytes(width))
        element[-1] &= 0x9F  # no exponent near the top; an integer may be anything
        out += element
    return bytes(out)


def scan_in_blocks(
    made: Container, data: bytes, block: int, order: random.Random | None = None
) -> tuple[TensorValues, ...]:
    scanner = ValueScanner(made)
    offsets = list(range(0, len(data), block))
    if order:
        order.shuffle(offsets)
    for at in offsets:
        scanner.feed(at, memoryview(data)[at : at + block])
    return scanner.result()


def check(
    made: Container, data: bytes, block: int, order: random.Random | None = None
) -> None:
    wanted = tuple(expected(tensor, data) for tensor in made.tensors)
    assert scan_in_blocks(made, data, block, order) == wanted


def test_every_dtype_in_blocks_of_any_size() -> None:
    for dtype in SPECIAL:
        with case(dtype):
            for block in (1, 3, 7, 64, 1000, 1 << 20):
                rng = dice(f"{dtype} {block}")
                bodies = [
                    finite_only(dtype, 101, rng),
                    mixture(dtype, 101, rng, 0.1),
                    b"",
                ]
                bodies.append(mixture(dtype, 50, rng, 1.0))
                made, data = container([(dtype, body) for body in bodies], lead=13)
                check(made, data, block)
                check(made, data, block, order=rng)


def test_each_special_value_alone_and_repeated() -> None:
    for dtype in SPECIAL:
        with case(dtype):
            width = WIDTH.get(dtype, 1)
            special = [bits.to_bytes(width, "little") for bits in SPECIAL[dtype]]
            bodies = [one * times for one in special for times in (1, 2, 9)]
            bodies += [one + other for one in special for other in special]
            made, data = container([(dtype, body) for body in bodies], lead=8)
            check(made, data, block=1 << 20)
            check(made, data, block=5)


def test_every_pattern_of_one_byte_and_of_two() -> None:
    for dtype in (d for d in SPECIAL if WIDTH.get(d, 1) == 1):
        made, data = container([(dtype, bytes([n])) for n in range(256)], lead=0)
        check(made, data, block=1 << 20)
    body = b"".join(n.to_bytes(2, "little") for n in range(1 << 16))
    for dtype in ("BF16", "F16"):
        made, data = container([(dtype, body), (dtype, body[::-1])], lead=8)
        check(made, data, block=4095)


def test_one_bad_element_at_any_border_of_a_block() -> None:
    cases: list[str] = ["BF16", "F16", "F32", "F64"]
    for dtype in cases:
        with case(dtype):
            width = WIDTH[dtype]
            good = finite_only(dtype, 1000, dice(5))
            inf = SPECIAL[dtype][-3].to_bytes(width, "little")
            for place in (0, 99, 100, 101, 199, 200, 999):
                body = bytearray(good)
                body[place * width : (place + 1) * width] = inf
                made, data = container([(dtype, bytes(body))], lead=16)
                for block in (100 * width, 100 * width + 1, 100 * width - 1):
                    (values,) = scan_in_blocks(made, data, block)
                    assert values.nonfinite == 1
                    assert values == expected(made.tensors[0], data)


def test_bad_elements_in_a_long_block() -> None:
    cases: list[str] = ["BF16", "F32", "F64", "F8_E5M2", "F8_E4M3FNUZ"]
    for dtype in cases:
        with case(dtype):
            width, rng = WIDTH.get(dtype, 1), dice(dtype)
            body = finite_only(dtype, 20_000, rng) * 4
            bad = SPECIAL[dtype][1 if dtype.endswith("UZ") else -1].to_bytes(
                width, "little"
            )
            changed = bytearray(body)
            for place in (0, 32_768, 65_535, 65_536, 79_999):
                changed[place * width : (place + 1) * width] = bad
            for lead in (8, 9):
                made, data = container([(dtype, body), (dtype, bytes(changed))], lead)
                check(made, data, len(data))


def test_more_in_one_block_than_is_tallied_at_once() -> None:
    body = bytearray(b"\x01\x3f" * (3 << 20))
    for place in (0, (1 << 20) - 1, 1 << 20, (3 << 20) - 1):
        body[2 * place : 2 * place + 2] = b"\xc0\xff"
    made, data = container([("BF16", bytes(body))], lead=9)
    (values,) = scan_in_blocks(made, data, len(data))
    assert (values.count, values.nonfinite, values.constant) == (3 << 20, 4, False)
    assert values.largest == struct.unpack("<f", b"\0\0\x01\x3f")[0]


def test_alike_at_both_ends_only_is_not_constant() -> None:
    for dtype in ("BF16", "F32", "F8_E5M2", "F8_E8M0", "I8"):
        width = WIDTH.get(dtype, 1)
        high, low = b"\x41" * width, b"\x40" * width
        made, data = container([(dtype, high + low + high), (dtype, high * 3)], lead=8)
        first, second = scan_in_blocks(made, data, len(data))
        assert (first.constant, second.constant) == (False, True)


def test_constant_is_lost_in_the_last_of_many_blocks() -> None:
    same = b"\x80\x3f" * 5000
    made, data = container([("BF16", same), ("BF16", same[:-2] + b"\x81\x3f")], 8)
    first, second = scan_in_blocks(made, data, 512)
    assert (first.constant, second.constant) == (True, False)


@settings(max_examples=examples(30), deadline=None)
@given(
    parts=st.lists(
        st.tuples(st.sampled_from(sorted(SPECIAL)), st.integers(0, 12)), max_size=6
    ),
    lead=st.integers(0, 9),
    block=st.integers(1, 40),
    seed=st.integers(0, 1 << 16),
)
def test_any_layout(
    parts: list[tuple[str, int]], lead: int, block: int, seed: int
) -> None:
    rng = dice(seed)
    bodies = [(dtype, mixture(dtype, count, rng, 0.4)) for dtype, count in parts]
    made, data = container(bodies, lead)
    check(made, data, block, order=rng)


@settings(max_examples=examples(30), deadline=None)
@given(ranges=st.lists(st.tuples(st.integers(0, 90), st.integers(0, 40)), max_size=12))
def test_bytes_that_come_twice_count_once(ranges: list[tuple[int, int]]) -> None:
    rng = dice(3)
    parts = [("F32", 5), ("BF16", 7), ("F64", 6)]
    bodies = [(dtype, mixture(dtype, count, rng, 0.5)) for dtype, count in parts]
    made, data = container(bodies, lead=7)
    scanner = ValueScanner(made)
    for start, length in ranges:
        scanner.feed(start, memoryview(data)[start : start + length])
    scanner.feed(0, memoryview(data))
    assert scanner.result() == tuple(expected(t, data) for t in made.tensors)


def test_from_several_threads() -> None:
    rng = dice(11)
    kinds = ["BF16", "F32", "F8_E4M3", "F16"] * 3
    bodies = [(dtype, mixture(dtype, 2000, rng, 0.01)) for dtype in kinds]
    made, data = container(bodies, lead=5)
    scanner = ValueScanner(made)
    offsets = list(range(0, len(data), 997))
    rng.shuffle(offsets)

    def send(at: int) -> None:
        scanner.feed(at, memoryview(data)[at : at + 997])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, offsets))
    assert scanner.result() == tuple(expected(t, data) for t in made.tensors)


def test_a_byte_that_never_came_is_an_error_that_names_the_tensor() -> None:
    cases: list[int] = [8, 9, 11, 19]
    for missing in cases:
        with case(missing):
            made, data = container([("F32", bytes(8)), ("BF16", bytes(4))], lead=8)
            scanner = ValueScanner(made)
            scanner.feed(0, memoryview(data)[:missing])
            scanner.feed(missing + 1, memoryview(data)[missing + 1 :])
            with pytest.raises(PreflightError, match="t0" if missing < 16 else "t1"):
                scanner.result()


def test_the_header_need_not_be_fed_and_an_empty_tensor_says_nothing() -> None:
    made, data = container([("F32", b""), ("F32", bytes(4))], lead=40)
    scanner = ValueScanner(made)
    scanner.feed(40, memoryview(data)[40:])
    empty, one = scanner.result()
    assert (empty.count, empty.zero, empty.constant) == (0, False, False)
    assert (one.count, one.zero, one.constant) == (1, True, False)


def test_what_was_fed_may_be_overwritten() -> None:
    made, data = container([("F32", struct.pack("<4f", 1, 2, 3, 4))], lead=3)
    scanner, buffer = ValueScanner(made), bytearray(5)
    for at in range(0, len(data), 5):
        piece = data[at : at + 5]
        buffer[: len(piece)] = piece
        scanner.feed(at, memoryview(buffer)[: len(piece)])
    assert scanner.result()[0].largest == 4.0


def bytes_read() -> int:
    """How many bytes this process has had from read calls so far."""
    return int(Path("/proc/self/io").read_text("ascii").split()[1])


class TestFile:
    def written(self, folder: Path) -> tuple[Path, Container, bytes]:
        rng = dice(2)
        bodies = [("BF16", mixture("BF16", 3000, rng, 0.01)), ("F32", bytes(400))]
        made, data = container(bodies, lead=11)
        path = folder / made.file
        path.write_bytes(data)
        return path, made, data

    def test_all_bytes_are_read_once_and_summed(self, tmp_path: Path) -> None:
        path, made, data = self.written(tmp_path)
        done: list[int] = []
        found = scan_file(steady(path), made, on_bytes=done.append)
        assert found.values == tuple(expected(tensor, data) for tensor in made.tensors)
        assert found.crc == crc64(data)
        assert sum(done) == len(data)

    def test_holes_are_zeros(self, tmp_path: Path) -> None:
        path, size, lead = tmp_path / "model.safetensors", 24 << 20, 4096
        with path.open("wb") as target:
            target.truncate(size)
            target.seek(8 << 20)
            target.write(b"\x80\x7f" * 10)
        middle = 12 << 20
        tensors = (
            Tensor("t0", "BF16", (), lead, middle),
            Tensor("t1", "F32", (), middle, size),
        )
        made, done = Container(path.name, size, lead, tensors, None), [0]
        if path.stat().st_blocks * 512 >= size or not Path("/proc/self/io").exists():
            pytest.skip("no sparse files here, or no count of what was read")
        before = bytes_read()
        first, second = scan_file(steady(path), made, on_bytes=done.append).values
        assert (first.nonfinite, first.zero, first.count) == (
            10,
            False,
            (middle - lead) / 2,
        )
        assert (second.zero, second.constant) == (True, True)
        assert sum(done) == size
        assert bytes_read() - before < 1 << 20

    def test_a_file_of_another_size(self, tmp_path: Path) -> None:
        path, made, data = self.written(tmp_path)
        path.write_bytes(data + b"\0")
        with pytest.raises(SourceChanged, match=f"{len(data) + 1:,} bytes"):
            scan_file(steady(path), made)

    def test_an_error_of_the_caller_is_not_taken_for_a_changed_file(
        self, tmp_path: Path
    ) -> None:
        path, made, _ = self.written(tmp_path)

        def full(_: int) -> None:
            raise OSError(28, "disk full")

        with pytest.raises(OSError, match="disk full"):
            scan_file(steady(path), made, on_bytes=full)

    def test_an_interrupt_ends_it_at_the_next_block(self, tmp_path: Path) -> None:
        path, made, _ = self.written(tmp_path)
        done: list[int] = []

        def stop(count: int) -> None:
            done.append(count)
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            scan_file(steady(path), made, on_bytes=stop)
        assert len(done) == 1


def test_some_tensors_alone() -> None:
    """As one of several tasks scans them: the others' bytes come in part, or never."""
    rng = dice(11)
    parts = [("F16", rng.randbytes(2 * count)) for count in (700, 40, 900)]
    described, data = container(parts, 16)
    first, second, last = described.tensors
    scanner = ValueScanner(described)
    wanted = {first.name, second.name}

    def is_wanted(tensor: Tensor) -> bool:
        return tensor.name in wanted

    scanner.feed(0, memoryview(data)[: first.start + 100])
    scanner.feed(last.start, memoryview(data)[last.start : last.start + 51])
    for each in scanner.missing(is_wanted):
        scanner.feed(each.start, memoryview(data)[each.start : each.stop])
    assert scanner.missing(is_wanted) == []
    whole = ValueScanner(described)
    whole.feed(0, memoryview(data))
    assert scanner.result(is_wanted) == whole.result()[:2]
    with pytest.raises(PreflightError):
        scanner.result()
    (rest,) = scanner.missing(lambda tensor: tensor.name == last.name)
    assert (rest.start, rest.stop) == (last.start + 51, last.end)
    assert second.size == 80
