"""A real minute without OSS in the middle of a push, for `make test-outage`.

The sandbox is a process of its own: killed, so that its port refuses connections, and
started again with the same `--state`; or stopped, so that it accepts them and says
nothing.
`PREFLIGHT_OUTAGE` in the environment says how many seconds it is away.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.running import command, ended, environment, run, started, tiny_adapter

SECONDS = float(os.environ.get("PREFLIGHT_OUTAGE", "0"))
BUCKET = "preflight-sandbox"
LAST_EXPORT = "DASHSCOPE_HTTP_BASE_URL"
PART, WORKERS = 100 << 10, 2
TRANSFER = ("--part-size", "100K", "--workers", WORKERS, "--bandwidth-limit", "150K")

pytestmark = [
    pytest.mark.skipif(not SECONDS, reason="takes minutes: make test-outage"),
    pytest.mark.timeout(300 + 4 * SECONDS),
]


def free_port() -> int:
    """The first of two ports in a row that nobody listens on."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port: int = one.getsockname()[1]
            try:
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port


class Away:
    """The services as a process that can be taken away; its calls are in a log."""

    def __init__(self, state: Path, home: Path) -> None:
        self._log = state.with_suffix(".log")
        self._env = environment(home)
        self._words = command(
            "sandbox", "--port", free_port(), "--state", state, "--verbose"
        )
        self.process = self._started()

    def _started(self) -> subprocess.Popen[str]:
        with self._log.open("a") as log:
            return subprocess.Popen(
                self._words,
                env=self._env,
                text=True,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def exports(self) -> dict[str, str]:
        """The settings of a client; they come when it is ready."""
        assert self.process.stdout is not None
        found = dict[str, str]()
        for line in self.process.stdout:
            name, _, value = line.removeprefix("export ").strip().partition("=")
            found[name] = value.strip("'")
            if name == LAST_EXPORT:
                break
        self.process.stdout.close()
        return found

    def parts(self) -> list[int]:
        """Bytes of each part that came in so far, whole or not."""
        found = re.findall(r"UploadPart .* (\d+) bytes", self._log.read_text())
        return [int(count) for count in found]

    def kill(self) -> None:
        """The port is closed from now on."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        self.process = self._started()
        self.exports()

    def stop(self) -> None:
        """It accepts connections and never answers."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)


@contextmanager
def services(tmp_path: Path) -> Iterator[tuple[Away, Mapping[str, str]]]:
    away = Away(tmp_path / "state", tmp_path / "home")
    try:
        yield away, environment(tmp_path / "home", away.exports())
    finally:
        away.process.kill()
        away.process.wait()


OUTAGES: dict[str, tuple[Callable[[Away], None], Callable[[Away], None]]] = {
    "refused": (Away.kill, Away.restart),
    "silent": (Away.stop, Away.go_on),
}


@pytest.mark.parametrize("kind", OUTAGES)
def test_a_push_outlasts_a_minute_without_oss(tmp_path: Path, kind: str) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    size = (adapter / "adapter_model.safetensors").stat().st_size
    begin, end = OUTAGES[kind]
    with services(tmp_path) as (away, env):
        words = command("push", adapter, f"oss://{BUCKET}/m/", *TRANSFER)
        words += ["--base-model", "qwen3-8b", "--poll-interval", "0.2"]
        with started(words, env) as process:
            while len(away.parts()) < 4:
                assert process.poll() is None, process.communicate()[1]
                time.sleep(0.05)
            begin(away)
            time.sleep(SECONDS)
            end(away)
            done = ended(process, within=200)
        assert done.code == 0, done.err
        assert "waiting for OSS" in done.err or kind == "silent"
        again = sum(away.parts()) - size
        sys.stderr.write(f"{kind}: {again} bytes were sent again\n{done.err}")
        assert again <= WORKERS * PART
        second = run(words, env)
        assert second.code == 0, second.err
