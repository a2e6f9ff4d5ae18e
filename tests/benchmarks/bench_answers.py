"""For how many answers a push waits, one after the other, over a slow line.

    python -m tests.benchmarks.bench_answers [--seconds 0.2]

Every answer of the sandbox takes so long; those that end within half of that time of
each other were asked for together and are one. Parts and the job itself do not count:
they take what they take.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Fault
from preflight.sandbox.request_log import RequestRecord
from tests.benchmarks.figures import said
from tests.running import environment, tiny_adapter

_NOT_COUNTED = {"UploadPart", "CreateImportJob", "GetImportJob"}
LIMITS = {"a first push": 12, "a push with nothing to do": 6}


def rounds(ends: Sequence[float], seconds: float) -> int:
    """How many groups of answers there are, given when each ended."""
    ordered = sorted(ends)
    gaps = (after - before for before, after in pairwise(ordered))
    return bool(ordered) + sum(gap > seconds / 2 for gap in gaps)


def measured(box: Sandbox, words: Sequence[str], home: Path, seconds: float) -> int:
    """Run a push; for how many answers it waited."""
    ends: list[float] = []

    def note(call: RequestRecord) -> None:
        if call.operation not in _NOT_COUNTED:
            ends.append(time.monotonic())

    for endpoint in (box.oss_endpoint, box.studio_endpoint):
        endpoint.log_calls.on_call = note
    command = [sys.executable, "-m", "preflight", "push", *words]
    env = environment(home, box.environment())
    subprocess.run(command, env=env, check=True, stdout=subprocess.DEVNULL)
    return rounds(ends, seconds)


def counted(seconds: float) -> dict[str, int]:
    """For how many answers each kind of push waited; printed, too."""
    slow = {"operation": "*", "times": "always", "action": "latency"}
    found = {}
    with tempfile.TemporaryDirectory() as folder, Sandbox() as box:
        for service in ("oss", "studio"):
            told = {"service": service, **slow, "seconds": seconds}
            box.faults.add(Fault.from_json(told))
        model = tiny_adapter(Path(folder) / "adapter")
        words = [str(model), f"oss://{box.bucket}/m/", "--quiet"]
        for title, limit in LIMITS.items():
            number = measured(box, words, Path(folder) / "home", seconds)
            said(f"{title:30s}{number:3d} answers, at most {limit}")
            found[title] = number
    return found


def main() -> int:
    """Print a line for each kind of push; 1 when one waits for too many answers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=0.2, help="for each answer")
    found = counted(parser.parse_args().seconds)
    return int(any(found[title] > limit for title, limit in LIMITS.items()))


if __name__ == "__main__":
    sys.exit(main())
