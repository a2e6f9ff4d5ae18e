"""How fast the value scan is, against reading the same file and doing nothing else.

    python tests/benchmarks/bench_scan.py [--mib 700] [--rounds 7] [--directory DIR]

All run in one thread on a file in the page cache, in turns; the figures are medians.
The scan is measured against `readinto` in 1 MiB blocks: the usual, into a bytearray,
which as malloc has it begins 16 bytes after a page, and the fastest, into a page.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import FileIO
from mmap import mmap
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[2]))

from preflight.model.headers import Container, Tensor
from preflight.model.scan import scan_file
from preflight.model.stamp import Stamp
from preflight.model.steady import open_steady

MIB = 1 << 20
HEADER = 4096  # bytes before the tensors, as a header would take


@dataclass(frozen=True, slots=True)
class Shape:
    """A tensor to be written: its dtype and its size in bytes."""

    dtype: str
    size: int


def random_bytes(dtype: str, size: int) -> bytes:
    """Finite, normally distributed elements like those of trained weights."""
    rng = np.random.default_rng(7)
    single = rng.standard_normal(size, dtype=np.float32) * np.float32(0.02)
    views: dict[str, Callable[[], npt.NDArray[np.generic]]] = {
        "BF16": lambda: single.view(np.uint16)[1::2],
        "F16": lambda: single.astype(np.float16),
        "F32": lambda: single,
        "F64": lambda: single.astype(np.float64),
        "F8_E4M3": lambda: single.view(np.uint8) & np.uint8(0xBF),
        "F8_E5M2": lambda: single.view(np.uint8) & np.uint8(0xBF),
    }
    return views[dtype]().tobytes()[:size]


def write(path: Path, shapes: Iterable[Shape]) -> Container:
    """Write the tensors one behind the other and describe the file."""
    pools: dict[str, bytes] = {}
    tensors, at = [], HEADER
    with path.open("wb") as target:
        target.write(bytes(HEADER))
        for number, shape in enumerate(shapes):
            if shape.dtype not in pools:
                pools[shape.dtype] = random_bytes(shape.dtype, MIB)
            pool = pools[shape.dtype]
            target.writelines([pool] * (shape.size // MIB))
            target.write(pool[: shape.size % MIB])
            end = at + shape.size
            tensors.append(Tensor(f"t{number}", shape.dtype, (), at, end))
            at = end
    return Container(path.name, at, HEADER, tuple(tensors), {})


def read_only(path: Path, view: memoryview) -> None:
    """What the scan is measured against."""
    with FileIO(path) as source:
        while source.readinto(view):
            pass


def scan(path: Path, container: Container) -> None:
    """What is measured."""
    with open_steady(path, path.name, Stamp.of(path.stat())) as file:
        scan_file(file, container)


def seconds(action: Callable[[], object]) -> float:
    """How long `action` takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def compare(
    title: str, path: Path, container: Container, rounds: int
) -> dict[str, object]:
    """Print one line, the speeds in GB/s and the median ratios; the same for JSON."""
    pages = memoryview(mmap(-1, MIB + 16))
    actions: list[Callable[[], object]] = [
        lambda: read_only(path, pages[16:]),
        lambda: read_only(path, pages[:MIB]),
        lambda: scan(path, container),
    ]
    actions[0]()  # fills the page cache
    turns = [[seconds(action) for action in actions] for _ in range(rounds)]
    usual, best, ours = (statistics.median(times) for times in zip(*turns, strict=True))
    ratios = [
        statistics.median(turn[other] / turn[2] for turn in turns) for other in (0, 1)
    ]
    size = container.size / 1e9
    say(
        f"{title:21s} {ratios[0]:5.2f} x a usual read,"
        f" {ratios[1]:4.2f} x an aligned one;  scan {size / ours:5.2f} GB/s, reads"
        f" {size / usual:5.2f} and {size / best:5.2f}; {size * 1000:4.0f} MB"
    )
    return {
        "title": title,
        "times_usual": round(ratios[0], 3),
        "times_aligned": round(ratios[1], 3),
        "speed": round(size / ours, 3),
    }


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def files(size: int) -> Iterable[tuple[str, list[Shape]]]:
    """What to measure: each dtype alone, an adapter, and very many small tensors."""
    for dtype in ("BF16", "F16", "F32", "F64", "F8_E4M3", "F8_E5M2"):
        yield dtype, [Shape(dtype, size)]
    pairs = [(64 << 10, "BF16"), (800 << 10, "BF16"), (128 << 10, "F32")]
    adapter = [Shape(dtype, length) for length, dtype in pairs * 168]
    yield "adapter, 504 tensors", adapter
    yield "norms of 8 KiB", [Shape("BF16", 8 << 10)] * 10_000
    yield "tiny, 64 bytes", [Shape("F32", 64)] * 200_000


def measured_scan(
    mib: int, rounds: int, directory: Path | None
) -> list[dict[str, object]]:
    """Measure all of them, a line each."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        path = Path(folder, "bench.safetensors")
        return [
            compare(title, path, write(path, shapes), rounds)
            for title, shapes in files(mib * MIB)
        ]


def main() -> None:
    """Measure all of them and say how much memory it took at most."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mib", type=int, default=700, help="size of a one-dtype file")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    measured_scan(args.mib, args.rounds, args.directory)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say(f"largest resident size {peak / 1024:.0f} MiB")


if __name__ == "__main__":
    main()
