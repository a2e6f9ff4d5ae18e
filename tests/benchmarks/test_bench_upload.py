from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.benchmarks.bench_answers import rounds
from tests.benchmarks.measure import ROOT, measured
from tests.benchmarks.uploaders import fast_link


def test_every_uploader_has_its_line() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_upload"]
    command += ["--gib", "0.02", "--rounds", "1", "--shape", "fast"]
    ended = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stderr
    for uploader in fast_link().uploaders:
        line = re.compile(rf"^{re.escape(uploader.title)} +\d+\.\d{{3}} ", re.MULTILINE)
        assert line.search(ended.stdout), ended.stdout
    assert re.search(r"^oss2 \(its defaults\) .* 1\.00 ", ended.stdout, re.MULTILINE)


def test_an_uploader_that_fails_ends_the_benchmark() -> None:
    code = "import sys; sys.exit('no such bucket')"
    with pytest.raises(RuntimeError, match="code 1\nno such bucket"):
        measured([sys.executable, "-c", code])


def test_what_a_process_took_is_what_it_took() -> None:
    code = (
        "from tests.benchmarks.told import time_and_tell\n"
        "import time\n"
        "def work():\n"
        "    held = bytes(1) * (96 << 20)\n"
        "    end = time.process_time() + 0.2\n"
        "    while time.process_time() < end: pass\n"
        "time_and_tell(work)\n"
    )
    usage = measured([sys.executable, "-c", code])
    assert usage.seconds >= 0.2
    assert usage.cpu - usage.start >= 0.19
    assert usage.peak > 96 << 20


def test_answers_that_come_together_are_waited_for_once() -> None:
    assert rounds([], 0.2) == 0
    assert rounds([1.01, 1.0, 1.21, 1.24, 1.55], 0.2) == 3
