"""Who receives: a sink in a process of its own, and before it what speaks TLS."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from preflight.sandbox.certificates import Certificates, make_certificates
from tests.benchmarks.measure import ROOT, environment

_HOST = "127.0.0.1"

# Requests go on to the sink as they come, nothing is kept in files.
_NGINX = """
daemon off;
{user}
worker_processes {cores};
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 1024; }}
http {{
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  client_max_body_size 0;
  client_body_buffer_size 512k;
  keepalive_requests 1000000;
  upstream sink {{ server 127.0.0.1:{behind}; keepalive 64; }}
  server {{
    listen 127.0.0.1:{port} ssl;
    ssl_certificate {pem};
    ssl_certificate_key {pem};
    ssl_protocols TLSv1.3;
    location / {{
      proxy_pass http://sink;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      proxy_request_buffering off;
      proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where to send to; `authority` signed its certificate, None for plain http."""

    endpoint: str
    authority: Path | None
    processes: Sequence[int]

    @property
    def environment(self) -> Mapping[str, str]:
        """Whom a client is to trust."""
        trusted = self.authority
        return {} if trusted is None else {"REQUESTS_CA_BUNDLE": str(trusted)}

    def cpu(self) -> float:
        """User and system seconds that receiving took so far."""
        total = 0.0
        for number in self.processes:
            process = psutil.Process(number)
            for one in [process, *process.children(recursive=True)]:
                used = one.cpu_times()
                total += used.user + used.system
        return total


def terminator() -> str:
    """What speaks TLS here, by name."""
    return "nginx" if shutil.which("nginx") else "the sink itself"


@contextmanager
def receiving(
    bandwidth: float, latency: float, more: Sequence[str] = (), *, tls: bool = False
) -> Iterator[Receiver]:
    """A sink with `more` flags; over TLS by nginx where there is one.

    nginx takes about as much of the CPU as OpenSSL alone does in the sink; stunnel
    takes a third more, and would be what is measured.
    """
    flags = ["--bandwidth", str(bandwidth), "--latency", str(latency), *more]
    if not tls:
        with _sink(flags) as (port, number):
            yield Receiver(f"http://{_HOST}:{port}", None, [number])
        return
    with tempfile.TemporaryDirectory() as folder:
        made = make_certificates(Path(folder), _HOST)
        if not shutil.which("nginx"):
            with _sink([*flags, "--tls", str(made.server)]) as (port, number):
                yield Receiver(f"https://{_HOST}:{port}", made.authority, [number])
            return
        with (
            _sink(flags) as (behind, number),
            _nginx(Path(folder), made, behind) as (port, other),
        ):
            yield Receiver(f"https://{_HOST}:{port}", made.authority, [number, other])


@contextmanager
def _sink(flags: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Port and process."""
    command = [sys.executable, "-m", "tests.benchmarks.sink", *flags]
    process = subprocess.Popen(
        [*command, "--seconds", "3600"],
        cwd=ROOT,
        env=environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    try:
        yield int(process.stdout.readline()), process.pid
    finally:
        process.stdin.close()  # its sign to end
        process.wait(10)
        process.stdout.close()


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as taken:
        return int(taken.getsockname()[1])


@contextmanager
def _nginx(folder: Path, made: Certificates, behind: int) -> Iterator[tuple[int, int]]:
    """Port and process."""
    port, me = _free_port(), pwd.getpwuid(os.geteuid()).pw_name
    text = _NGINX.format(
        # Workers of root become nobody, who may not read the folder.
        user=f"user {me};" if os.geteuid() == 0 else "",
        cores=os.cpu_count() or 1,
        folder=folder,
        behind=behind,
        port=port,
        pem=made.server,
    )
    (folder / "nginx.conf").write_text(text)
    command = ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]
    process = subprocess.Popen([*command, "-e", "stderr"])
    try:
        _await_listener(port, process)
        yield port, process.pid
    finally:
        process.terminate()
        process.wait(10)


def _await_listener(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(500):
        if process.poll() is not None:
            raise RuntimeError(f"nginx ended with code {process.returncode}")
        with suppress(OSError), socket.create_connection((_HOST, port), 1):
            return
        time.sleep(0.01)
    raise RuntimeError("nginx does not listen")
