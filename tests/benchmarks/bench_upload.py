"""How fast uploads are, against the vendor's SDKs and against plain sockets.

    python -m tests.benchmarks.bench_upload [--gib 1] [--rounds 3]
        [--shape fast|slow|both] [--directory DIR]

Each uploader is a process of its own and sends the same directory of four shards from
the page cache to the sink. They take turns, round after round, so that a busy machine
slows all of them; ratios are taken within a round, and figures are medians. The sink
shares the machine's cores. After each upload it is asked whether all has arrived.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.arrival import check_arrival
from tests.benchmarks.measure import Usage, measured, running_sink
from tests.benchmarks.model_dir import Written, make_model, warm
from tests.benchmarks.uploaders import (
    OSS2,
    PLAIN,
    V2_PYTHON,
    Shape,
    Uploader,
    fast_link,
    slow_link,
    v2_is_there,
)

GIB = 1 << 30
HEADS = ("CPU s/GB", "start s", "peak MB", "x oss2", "x plain")


@dataclass(frozen=True, slots=True)
class Row:
    """What one uploader took, round by round."""

    uploader: Uploader
    usages: list[Usage] = field(default_factory=list)


def run(
    shape: Shape, root: Path, files: Mapping[str, Written], rounds: int
) -> Sequence[Row]:
    """All uploaders in turns, `rounds` times."""
    rows = [Row(uploader) for uploader in shape.uploaders]
    with running_sink(sys.executable, shape.bandwidth, shape.latency) as endpoint:
        for number in range(rounds):
            for place, row in enumerate(rows):
                prefix, uploader = f"round{number}/{place}/", row.uploader
                row.usages.append(measured(uploader.command(endpoint, prefix, root)))
                check_arrival(endpoint, prefix, files, in_pieces=uploader.in_pieces)
    return rows


def _times_as_fast(row: Row, rows: Sequence[Row], title: str) -> float:
    """As the row of that title, in the median of the rounds."""
    other = next(one for one in rows if one.uploader.title == title)
    pairs = zip(row.usages, other.usages, strict=True)
    return median(theirs.seconds / ours.seconds for ours, theirs in pairs)


def _line(row: Row, rows: Sequence[Row], size: int) -> str:
    usages, gigabytes = row.usages, size / 1e9
    speeds = sorted(gigabytes / usage.seconds for usage in usages)
    cells = (
        f"{median(usage.cpu - usage.start for usage in usages) / gigabytes:.2f}",
        f"{median(usage.start for usage in usages):.2f}",
        f"{max(usage.peak for usage in usages) / 1e6:.0f}",
        f"{_times_as_fast(row, rows, OSS2):.2f}",
        f"{_times_as_fast(row, rows, PLAIN):.2f}",
    )
    span = f"{speeds[0]:.3f}..{speeds[-1]:.3f}"
    return f"{row.uploader.title:30s}{median(speeds):7.3f}{span:>15s}" + _cells(cells)


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"{text:>9s}" for text in texts)


def table(rows: Sequence[Row], size: int) -> Iterator[str]:
    """The lines to print; `size` in bytes.

    GB/s and CPU s/GB are those of the upload; what the process needs before it, for
    imports above all, is `start s`, in CPU seconds. The peak is the whole process's.
    """
    yield f"{'':30s}{'GB/s':>7s}{'from..to':>15s}" + _cells(HEADS)
    for row in rows:
        yield _line(row, rows, size)


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    """Print one table for each shape of link."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=["fast", "slow", "both"], default="both")
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    shapes = {"fast": [fast_link()], "slow": [slow_link()]}
    if not v2_is_there():
        say(f"SDK v2 is left out: there is no {V2_PYTHON}, `make bench` creates it")
    with tempfile.TemporaryDirectory(dir=args.directory) as folder:
        root = Path(folder)
        files = make_model(root, int(args.gib * GIB))
        size = sum(made.size for made in files.values())
        for shape in shapes.get(args.shape, [fast_link(), slow_link()]):
            warm(root)
            say(f"{shape.title}, {size / 1e9:.2f} GB, {args.rounds} rounds")
            for line in table(run(shape, root, files, args.rounds), size):
                say(line)


if __name__ == "__main__":
    main()
