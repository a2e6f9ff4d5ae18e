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
from tests.benchmarks.bench_upload import GIB, say
from tests.benchmarks.measure import measured, running_sink
from tests.benchmarks.model_dir import make_model, warm

CONNECTIONS, BANDWIDTH, LATENCY = 4, 5e6, 0.02  # of each task's link
MOST = 0.55  # of one task's time that two may take


def seconds(root: Path, tasks: int) -> float:
    """How long so many tasks need."""
    module = "tests.benchmarks.upload_preflight"
    with running_sink(sys.executable, BANDWIDTH, LATENCY) as endpoint:
        words = [sys.executable, "-m", module, endpoint, "bench/", str(root)]
        words += ["--workers", str(CONNECTIONS)]
        commands: Sequence[Sequence[str]] = [words]
        if tasks > 1:
            commands = [[*words, "--task", f"{n}/{tasks}"] for n in range(tasks)]
        began = time.monotonic()
        together(partial(measured, each) for each in commands)
        return time.monotonic() - began


def main() -> int:
    """Print a line for each round; 1 when two tasks take too much of one's time."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--gib", type=float, default=1.0, help="size of the weights")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", type=int, default=2)
    parser.add_argument("--directory", type=Path, help="where to write; a local disk")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.directory) as folder:
        root = Path(folder)
        size = sum(made.size for made in make_model(root, int(args.gib * GIB)).values())
        warm(root)
        rate = CONNECTIONS * BANDWIDTH / 1e6
        say(f"{size / 1e9:.2f} GB by {rate:.0f} MB/s a task, {args.rounds} rounds")
        ratios = []
        for _ in range(args.rounds):
            alone, shared = seconds(root, 1), seconds(root, args.tasks)
            ratios.append(shared / alone)
            say(
                f"  {ratios[-1]:.3f} x one task: "
                f"{args.tasks} tasks {shared:.1f} s, one {alone:.1f} s"
            )
    say(f"  {median(ratios):.3f} x one task in the median")
    return int(args.tasks == 2 and median(ratios) > MOST)


if __name__ == "__main__":
    sys.exit(main())
