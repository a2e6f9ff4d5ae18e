"""Does the number of workers that is found come near the best fixed one?

    python -m tests.benchmarks.bench_workers [--gib 4] [--rounds 1] [--shape NAME ...]
        [--likely]

On each shape of link, `preflight` without a flag and with `--workers N` for several N
send the same directory in turns, each to a sink of its own. The figure to look at is
the first: how fast each is, times the best fixed one of its round, in the median.
`--likely` leaves out numbers that never came near the best.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks.bench_upload import GIB
from tests.benchmarks.figures import said
from tests.benchmarks.measure import measured
from tests.benchmarks.model_dir import make_model, warm
from tests.benchmarks.receiver import receiving

FOUND = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """A link as the sink makes it, and the numbers of workers that are tried on it.

    `likely`: those of them that came near the best. `share` of the directory's size is
    sent: a slow link would take very long.
    """

    title: str
    bandwidth: float
    latency: float
    likely: Sequence[int] = (32, 64)
    fixed: Sequence[int] = (4, 8, 16, 32, 64)
    more: Sequence[str] = ()
    share: float = 1.0


SHAPES = {
    "fast": Shape("as fast as the machine", 0, 0, (4, 8, 16), (2, 4, 8, 16)),
    "near": Shape("60 MB/s a connection, 30 ms", 60e6, 0.03, (16, 32, 64)),
    "far": Shape("20 MB/s a connection, 150 ms", 20e6, 0.15),
    "thin": Shape("5 MB/s a connection, 200 ms", 5e6, 0.2, share=0.5),
    "limited": Shape(
        "30 MB/s a connection, 5 ms, 503 above 100 MB/s in all",
        30e6,
        0.005,
        (3, 4),
        (1, 2, 3, 4, 6, 8),
        ("--total", "100e6"),
        share=0.5,
    ),
    "changing": Shape(
        "60 MB/s and 30 ms, then 5 MB/s and 200 ms",
        60e6,
        0.03,
        more=("--then", "3e9", "5e6", "0.2"),
        # A part takes 3 s in the end: in a short run it would decide how evenly the
        # number of parts happens to be divided by that of workers.
        share=2,
    ),
}


def rates(
    shape: Shape, numbers: Sequence[int], root: Path, size: int
) -> dict[int, float]:
    """Bytes a second by number of workers, the found one under `FOUND`."""
    rates = {}
    for workers in (FOUND, *numbers):
        with receiving(shape.bandwidth, shape.latency, shape.more) as receiver:
            module = "tests.benchmarks.upload_preflight"
            words = [sys.executable, "-m", module, receiver.endpoint, "b/", str(root)]
            usage = measured([*words, "--workers", str(workers)])
        rates[workers] = size / usage.seconds
    return rates


def figures(rounds: Sequence[Mapping[int, float]]) -> Iterator[dict[str, float]]:
    """For each number of workers: times the best fixed one, and MB/s; medians."""
    for workers in rounds[0]:
        times = median(
            one[workers] / max(rate for n, rate in one.items() if n != FOUND)
            for one in rounds
        )
        rate = median(one[workers] for one in rounds)
        yield {
            "workers": workers,
            "times_best": round(times, 3),
            "speed": round(rate / 1e6, 1),
        }


def measured_shape(
    name: str, gib: float, rounds: int, directory: Path | None, *, likely: bool
) -> dict[str, object]:
    """Measure one shape, print its table and return it for JSON."""
    shape = SHAPES[name]
    numbers = shape.likely if likely else shape.fixed
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        root = Path(folder)
        files = make_model(root, int(gib * GIB * shape.share))
        warm(root)
        size = sum(made.size for made in files.values())
        said(f"workers: {shape.title}, {size / 1e9:.2f} GB, {rounds} rounds")
        found = [rates(shape, numbers, root, size) for _ in range(rounds)]
    rows = list(figures(found))
    for row in rows:
        title = f"{row['workers']} workers" if row["workers"] else "found"
        told = f"{row['times_best']:8.2f} x best fixed{row['speed']:9.0f} MB/s"
        said(f"  {title:14s}{told}")
    return {"title": shape.title, "bytes": size, "rounds": rounds, "rows": rows}


def main() -> None:
    """Print one table for each shape."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=4.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--shape", nargs="*", choices=list(SHAPES), default=None)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    parser.add_argument("--likely", action="store_true", help="fewer fixed numbers")
    args = parser.parse_args()
    for name in args.shape or SHAPES:
        measured_shape(name, args.gib, args.rounds, args.directory, likely=args.likely)


if __name__ == "__main__":
    main()
