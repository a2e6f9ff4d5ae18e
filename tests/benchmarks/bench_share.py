"""How much sooner do several tasks send one model, each by a link of its own?

    python -m tests.benchmarks.bench_share [--gib 1] [--rounds 3] [--tasks 2]

A task's link is a few connections of limited rate, as the sink makes them. One task and
several send the same directory in turns, each turn to a sink of its own; what counts is
the time from the start of the first process to the end of the last one. The figure to
look at is the ratio of the two, in the median of all rounds.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median

from preflight.together import together
from tests.benchmarks.bench_upload import GIB
from tests.benchmarks.figures import said
from tests.benchmarks.measure import measured
from tests.benchmarks.model_dir import make_model, warm
from tests.benchmarks.receiver import receiving

CONNECTIONS, BANDWIDTH, LATENCY = 4, 5e6, 0.02  # of each task's link
MOST = 0.55  # of one task's time that two may take


def seconds(root: Path, tasks: int) -> float:
    """How long so many tasks need."""
    module = "tests.benchmarks.upload_preflight"
    with receiving(BANDWIDTH, LATENCY) as receiver:
        words = [sys.executable, "-m", module, receiver.endpoint, "b/", str(root)]
        words += ["--workers", str(CONNECTIONS)]
        commands: Sequence[Sequence[str]] = [words]
        if tasks > 1:
            commands = [[*words, "--task", f"{n}/{tasks}"] for n in range(tasks)]
        began = time.monotonic()
        together(partial(measured, each) for each in commands)
        return time.monotonic() - began


def measured_share(
    gib: float, rounds: int, directory: Path | None, tasks: int = 2
) -> dict[str, object]:
    """Measure several tasks against one, print the rounds, return the median."""
    with tempfile.TemporaryDirectory(dir=directory) as folder:
        root = Path(folder)
        size = sum(made.size for made in make_model(root, int(gib * GIB)).values())
        warm(root)
        rate = CONNECTIONS * BANDWIDTH / 1e6
        said(f"{size / 1e9:.2f} GB by {rate:.0f} MB/s a task, {rounds} rounds")
        ratios = []
        for _ in range(rounds):
            alone, shared = seconds(root, 1), seconds(root, tasks)
            ratios.append(shared / alone)
            said(
                f"  {ratios[-1]:.3f} x one task: "
                f"{tasks} tasks {shared:.1f} s, one {alone:.1f} s"
            )
    ratio = round(median(ratios), 3)
    said(f"  {ratio:.3f} x one task in the median")
    return {"bytes": size, "rounds": rounds, "tasks": tasks, "times_one": ratio}


def main() -> int:
    """Print a line for each round; 1 when two tasks take too much of one's time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    found = measured_share(args.gib, args.rounds, args.directory, args.tasks)
    return int(args.tasks == 2 and float(str(found["times_one"])) > MOST)


if __name__ == "__main__":
    sys.exit(main())
