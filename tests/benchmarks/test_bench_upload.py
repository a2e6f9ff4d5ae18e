from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.benchmarks.arrival import check_arrival
from tests.benchmarks.bench_answers import rounds
from tests.benchmarks.bench_whole import PUSH, measured_push
from tests.benchmarks.measure import ROOT, measured
from tests.benchmarks.model_dir import make_model
from tests.benchmarks.receiver import receiving
from tests.benchmarks.uploaders import Shape, fast_link, tls_link


@pytest.mark.parametrize("shape", [fast_link(), tls_link()], ids=lambda s: str(s.name))
def test_every_uploader_has_its_line(shape: Shape) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.bench_upload"]
    command += ["--gib", "0.02", "--rounds", "1", "--shape", shape.name]
    ended = subprocess.run(
        command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=110
    )
    assert ended.returncode == 0, ended.stderr
    for uploader in shape.uploaders:
        line = re.compile(rf"^{re.escape(uploader.title)} +\d+\.\d\d ", re.MULTILINE)
        assert line.search(ended.stdout), ended.stdout
    assert re.search(r"^oss2 \(its defaults\) +1\.00 ", ended.stdout, re.MULTILINE)


def test_tls_without_nginx_is_the_sink_s_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    files = make_model(tmp_path, 1 << 20)
    uploader = next(each for each in tls_link().uploaders if each.in_pieces)
    with receiving(0, 0, tls=True) as receiver:
        assert len(receiver.processes) == 1
        command = uploader.command(receiver.endpoint, "m/", tmp_path)
        measured(command, receiver.environment)
        with pytest.raises(RuntimeError, match="CERTIFICATE_VERIFY_FAILED"):
            measured(command)
        check_arrival(
            receiver.endpoint,
            "m/",
            files,
            in_pieces=True,
            authority=receiver.authority,
        )


def test_a_whole_push_goes_through_its_benchmark() -> None:
    push, plain = measured_push(1, None, tiny=True)["rows"]
    assert push["title"] == PUSH
    assert plain["times_plain"] == 1


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
    assert usage.cpu >= 0.19
    assert usage.peak > 96 << 20


def test_answers_that_come_together_are_waited_for_once() -> None:
    assert rounds([], 0.2) == 0
    assert rounds([1.01, 1.0, 1.21, 1.24, 1.55], 0.2) == 3
