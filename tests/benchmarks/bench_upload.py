"""How fast uploads are, against the vendor's SDKs and against plain sockets.

    python -m tests.benchmarks.bench_upload [--gib 1] [--rounds 3]
        [--shape fast|slow|both] [--directory DIR]

Each uploader is a process of its own and sends the same directory of several shards
from the page cache to the sink; they take turns, round after round, so that a busy
machine slows all of them. Ratios are taken within a round; figures are medians. GB/s
is timed in the process, without its start and imports; CPU and memory are those of
the whole process, start and imports included. The sink shares the machine's cores.
After each upload the sink is asked whether all of it arrived.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import urllib.request
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from tests.benchmarks.measure import ROOT, Usage, measured, running_sink
from tests.benchmarks.model_dir import Written, make_model, warm

GIB = 1 << 30
V2_PYTHON = ROOT / ".venv-oss-v2/bin/python"
OURS, OSS2, PLAIN = "preflight", "oss2 (its defaults)", "plain sockets"


@dataclass(frozen=True, slots=True)
class Uploader:
    """One row: its title, the module that uploads and its flags."""

    title: str
    module: str
    flags: Sequence[str] = ()
    python: str = sys.executable

    def command(self, endpoint: str, prefix: str, root: Path) -> list[str]:
        """What to run to upload `root` below `prefix`."""
        module = f"tests.benchmarks.{self.module}"
        return [self.python, "-m", module, endpoint, prefix, str(root), *self.flags]


@dataclass(frozen=True, slots=True)
class Shape:
    """A link: bytes/s per connection (0: no limit) and seconds before each answer."""

    title: str
    bandwidth: float
    latency: float
    uploaders: Sequence[Uploader]


@dataclass(slots=True)
class Row:
    """What one uploader took, round by round."""

    uploader: Uploader
    usages: list[Usage] = field(default_factory=list)


def _v2() -> Sequence[Uploader]:
    # Both SDKs install a package `crcmod`, so v2 needs an environment of its own.
    python = os.environ.get("PREFLIGHT_OSS_V2_PYTHON", str(V2_PYTHON))
    if not Path(python).exists():
        say(f"left out: SDK v2, there is no {python} (`make bench` creates it)")
        return ()
    return (Uploader("SDK v2 (its defaults)", "upload_v2", python=python),)


def shapes() -> Mapping[str, Shape]:
    """The links and who goes over them."""
    oss2 = "upload_oss2"
    ours = Uploader(OURS, "upload_preflight")
    plain, default = Uploader(PLAIN, "upload_plain", ["2"]), Uploader(OSS2, oss2)
    fast = (
        ours,
        
        default,
        Uploader("oss2, 4 threads", oss2, ["--threads", "4"]),
        Uploader("oss2, no CRC", oss2, ["--no-crc"]),
        *_v2(),
        plain,
    )
    eight = Uploader(PLAIN, "upload_plain", ["8"])
    threads = Uploader("oss2, 8 threads", oss2, ["--threads", "8"])
    slow = (ours, default, threads, *_v2(), eight)
    return {
        "fast": Shape("fast link: loopback", 0, 0, fast),
        "slow": Shape(
            "slow link: 60 MB/s a connection, 30 ms before each answer",
            60e6,
            0.03,
            slow,
        ),
    }


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _get(endpoint: str, prefix: str) -> ET.Element:
    url = f"{endpoint}/bench-bucket/?prefix={prefix}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=30) as answer:
        return ET.fromstring(answer.read())  # noqa: S314 - our own sink's


def check_arrival(endpoint: str, prefix: str, files: Mapping[str, Written]) -> None:
    """Raise RuntimeError unless the sink received every file, or the same bytes.

    The sink's ETags are the CRC-64 of an object, in hexadecimal.
    """
    found = {
        (item.findtext("Key") or "").removeprefix(prefix): (
            int(item.findtext("Size") or -1),
            int((item.findtext("ETag") or "0").strip('"'), 16),
        )
        for item in _get(endpoint, prefix).iter("Contents")
    }
    wanted = {name: (made.size, made.crc64) for name, made in files.items()}
    if found == wanted:
        return
    if set(found) & set(wanted) or _total(found) != _total(wanted):
        raise RuntimeError(f"{prefix}: the sink has {found}, not {wanted}")


def _total(objects: Mapping[str, tuple[int, int]]) -> int:
    return sum(size for size, _ in objects.values())


def run(
    shape: Shape, root: Path, files: Mapping[str, Written], rounds: int
) -> list[Row]:
    """All uploaders in turns, `rounds` times."""
    rows = [Row(uploader) for uploader in shape.uploaders]
    with running_sink(sys.executable, shape.bandwidth, shape.latency) as endpoint:
        for number in range(rounds):
            for place, row in enumerate(rows):
                prefix = f"round{number}/{place}/"
                command = row.uploader.command(endpoint, prefix, root)
                row.usages.append(measured(command))
                check_arrival(endpoint, prefix, files)
    return rows


def _ratio(row: Row, rows: Sequence[Row], title: str) -> str:
    """How many times as fast as the row of that title."""
    other = next(one for one in rows if one.uploader.title == title)
    pairs = zip(row.usages, other.usages, strict=True)
    return f"{median(theirs.upload / ours.upload for ours, theirs in pairs):.2f}"


def table(rows: Sequence[Row], size: int) -> list[str]:
    """The lines to print; `size` in bytes."""
    heads = ("GB/s", "lowest..highest", "CPU s/GB", "peak MB", "x oss2", "x plain")
    lines = [f"{'':26s}{heads[0]:>6s}{heads[1]:>17s}" + _cells(heads[2:])]
    for row in rows:
        speeds = sorted(size / 1e9 / usage.upload for usage in row.usages)
        span = f"{speeds[0]:.3f}..{speeds[-1]:.3f}"
        cells = (
            f"{median(usage.cpu for usage in row.usages) / (size / 1e9):.2f}",
            f"{max(usage.peak for usage in row.usages) / 1e6:.0f}",
            _ratio(row, rows, OSS2),
            _ratio(row, rows, PLAIN),
        )
        title = f"{row.uploader.title:26s}{median(speeds):6.3f}{span:>17s}"
        lines.append(title + _cells(cells))
    return lines


def _cells(texts: Sequence[str]) -> str:
    return "".join(f"{text:>10s}" for text in texts)


def main() -> None:
    """Print one table for each shape of link."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--shape", choices=["fast", "slow", "both"], default="both")
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    known = shapes()
    with tempfile.TemporaryDirectory(dir=args.directory) as folder:
        root = Path(folder)
        files = make_model(root, int(args.gib * GIB))
        size = sum(made.size for made in files.values())
        for name in ["fast", "slow"] if args.shape == "both" else [args.shape]:
            warm(root)
            say(f"{known[name].title}; {size / 1e9:.2f} GB, {args.rounds} rounds")
            for line in table(run(known[name], root, files, args.rounds), size):
                say(line)


if __name__ == "__main__":
    main()
