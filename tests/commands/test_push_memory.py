"""How much memory a push takes, whatever the size of the files."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.full import build_full
from preflight.sandbox import Sandbox
from tests.running import environment, run

MB = 1_000_000
# Not what the parent is told of its child: that counts the parent's own pages, which
# the child had until it became another program.
TELLING = """
import re, sys
from pathlib import Path
from preflight.cli import main
code = main(sys.argv[1:])
status = Path("/proc/self/status").read_text("ascii")
print(re.search(r"VmHWM:\\s+(\\d+) kB", status)[1], file=sys.stderr)
sys.exit(code)
"""

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="needs /proc"
)


def peak(words: list[object], env: dict[str, str]) -> int:
    """The largest resident size, in bytes, of a `preflight` that must succeed."""
    done = run([sys.executable, "-c", TELLING, *map(str, words)], env, within=500)
    assert done.code == 0, done.err
    return int(done.err.splitlines()[-1]) * 1024


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of 175 MB, which is only read."""
    return build_adapter(tmp_path_factory.mktemp("m") / "m", base="qwen3-8b", rank=16)


@pytest.mark.parametrize(("workers", "megabytes"), [(4, 80), (64, 100)])
def test_an_adapter_takes_little(
    tmp_path: Path, model: Path, workers: int, megabytes: int
) -> None:
    """Libraries included; the adapter itself has 175 MB and is scanned on its way.

    4 workers are what a bucket near by gets, 64 the most that a distant one may: each
    holds what it has read of a matrix A until the last bytes of that have come.
    """
    with Sandbox(digests=True) as box:
        env = environment(tmp_path / "home", box.environment())
        words: list[object] = ["push", model, f"oss://{box.bucket}/m/", "--no-wait"]
        words += ["--workers", workers]
        # Python 3.14 with its libraries takes 4 MB more before it does anything.
        more = 0 if sys.version_info < (3, 14) else 6
        assert peak(words, env) < (megabytes + more) * MB


@pytest.mark.skipif(not os.environ.get("PREFLIGHT_LARGE"), reason="takes two minutes")
@pytest.mark.timeout(600)
def test_a_full_model_of_16_gb_takes_less_than_150_mb(tmp_path: Path) -> None:
    model = build_full(tmp_path / "model", base="qwen3-8b", sparse=True)
    with Sandbox(digests=True) as box:
        env = environment(tmp_path / "home", box.environment())
        words: list[object] = ["push", model, f"oss://{box.bucket}/m/", "--no-wait"]
        words += ["--base-model", "qwen3-8b", "--ignore", "S11=it is made of holes"]
        assert peak(words, env) < 150 * MB
