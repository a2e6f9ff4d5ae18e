"""How fast uploads are, against the vendor's SDKs and against plain sockets.

    python -m tests.benchmarks.bench_upload [--gib 1] [--rounds 3]
        [--shape http|https|slow ...] [--directory DIR]

Each uploader is a process of its own and sends the same directory of four shards from
the page cache to the sink. They take turns, round after round, so that a busy machine
slows all of them; ratios are taken within a round, and figures are medians. Who
receives shares the machine's cores: what it takes of them stands beside. After each
upload the sink is asked whether all has arrived.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.arrival import check_arrival
from tests.benchmarks.figures import Figures, said, upload_lines
from tests.benchmarks.measure import Usage, measured
from tests.benchmarks.model_dir import Written, make_model, warm
from tests.benchmarks.receiver import Receiver, receiving, terminator
from tests.benchmarks.uploaders import (
    OSS2,
    V2_PYTHON,
    Shape,
    Uploader,
    fast_link,
    slow_link,
    tls_link,
    v2_is_there,
)

GIB = 1 << 30


@dataclass(frozen=True, slots=True)
class Row:
    """What one uploader took, round by round; `received`: CPU seconds elsewhere."""

    uploader: Uploader
    usages: list[Usage] = field(default_factory=list)
    received: list[float] = field(default_factory=list)


def _take_turn(
    row: Row, receiver: Receiver, prefix: str, root: Path, files: Mapping[str, Written]
) -> None:
    command = row.uploader.command(receiver.endpoint, prefix, root)
    before = receiver.cpu()
    row.usages.append(measured(command, receiver.environment))
    row.received.append(receiver.cpu() - before)
    check_arrival(
        receiver.endpoint,
        prefix,
        files,
        in_pieces=row.uploader.in_pieces,
        authority=receiver.authority,
    )


def run(
    shape: Shape, root: Path, files: Mapping[str, Written], rounds: int
) -> Sequence[Row]:
    """All uploaders in turns, `rounds` times."""
    rows = [Row(uploader) for uploader in shape.uploaders]
    with receiving(shape.bandwidth, shape.latency, tls=shape.tls) as receiver:
        for number in range(rounds):
            for place, row in enumerate(rows):
                prefix = f"round{number}/{place}/"
                _take_turn(row, receiver, prefix, root, files)
    return rows


def _times_as_fast(row: Row, other: Row) -> float:
    """As the other row, in the median of the rounds."""
    pairs = zip(row.usages, other.usages, strict=True)
    return median(theirs.seconds / ours.seconds for ours, theirs in pairs)


def figures(rows: Sequence[Row], size: int) -> Iterator[Figures]:
    """Medians over the rounds; `size` in bytes."""
    gigabytes = size / 1e9
    by_title = {row.uploader.title: row for row in rows}
    plain = next(row for row in rows if row.uploader.in_pieces)
    for row in rows:
        usages, against = row.usages, by_title.get(row.uploader.against, plain)
        speeds = [gigabytes / usage.seconds for usage in usages]
        yield Figures(
            title=row.uploader.title,
            times_oss2=_times_as_fast(row, by_title[OSS2]),
            times_plain=_times_as_fast(row, against),
            cpu=median(usage.cpu for usage in usages) / gigabytes,
            receiver_cpu=median(row.received) / gigabytes,
            speed=median(speeds),
            slowest=min(speeds),
            fastest=max(speeds),
            start=median(usage.start for usage in usages),
            peak=max(usage.peak for usage in usages),
        )


def measured_shape(
    shape: Shape, gib: float, rounds: int, directory: Path | None
) -> dict[str, object]:
    """Measure all uploaders over a link, print the table and return it for JSON."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        root = Path(folder)
        files = make_model(root, int(gib * GIB * shape.share))
        size = sum(made.size for made in files.values())
        warm(root)
        over = f" ({terminator()} speaks TLS)" if shape.tls else ""
        said(f"{shape.title}{over}, {size / 1e9:.2f} GB, {rounds} rounds")
        found = list(figures(run(shape, root, files, rounds), size))
    for line in upload_lines(found):
        said(line)
    rows = [one.as_json() for one in found]
    return {"title": shape.title, "bytes": size, "rounds": rounds, "rows": rows}


SHAPES = {"http": fast_link, "https": tls_link, "slow": slow_link}


def main() -> None:
    """Print one table for each shape of link."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", nargs="*", choices=list(SHAPES), default=None)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    if not v2_is_there():
        said(f"SDK v2 is left out: there is no {V2_PYTHON}, `make bench` creates it")
    for name in args.shape or SHAPES:
        measured_shape(SHAPES[name](), args.gib, args.rounds, args.directory)


if __name__ == "__main__":
    main()
