"""Who is measured, over which links."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from preflight.upload.concurrency import first_workers
from tests.benchmarks.measure import ROOT

V2_PYTHON = os.environ.get("PREFLIGHT_OSS_V2_PYTHON", ".venv-oss-v2/bin/python")
OURS, OSS2, PLAIN = "preflight", "oss2 (its defaults)", "read and send, nothing else"
FEW = first_workers(None)  # connections that preflight begins with, near by
MANY = 16


@dataclass(frozen=True, slots=True)
class Uploader:
    """One row: its title, the module that uploads and its flags.

    `against`: title of the plain row with as many connections; without one the first
    plain row of the shape. `in_pieces`: it stores each file as several objects.
    """

    title: str
    module: str
    flags: Sequence[str] = ()
    python: str = sys.executable
    against: str = ""
    in_pieces: bool = False

    def command(self, endpoint: str, prefix: str, root: Path) -> list[str]:
        """What to run to upload `root` below `prefix`."""
        module = f"tests.benchmarks.{self.module}"
        return [self.python, "-m", module, endpoint, prefix, str(root), *self.flags]


@dataclass(frozen=True, slots=True)
class Shape:
    """A link: bytes/s per connection (0: no limit) and seconds before each answer.

    `share` of the weights is sent: a slow link would take very long.
    """

    name: str
    title: str
    uploaders: Sequence[Uploader]
    bandwidth: float = 0
    latency: float = 0
    tls: bool = False
    share: float = 1


def _connections(number: int) -> str:
    return f"{number} connections"


def _plain_title(number: int) -> str:
    return f"{PLAIN}, {_connections(number)}"


def _ours(number: int = 0, *, scan: bool = False) -> Uploader:
    """preflight with so many workers, or with as many as it finds."""
    title, flags = OURS, []
    if number:
        title += f", {_connections(number)}"
        flags += ["--workers", str(number)]
    if scan:
        title += ", values scanned"
        flags.append("--scan")
    against = _plain_title(number) if number else ""
    return Uploader(title, "upload_preflight", flags, against=against)


def _oss2(title: str = "", *flags: str) -> Uploader:
    return Uploader(f"oss2, {title}" if title else OSS2, "upload_oss2", flags)


def _plain(number: int) -> Uploader:
    title = _plain_title(number)
    flags = (str(number),)
    return Uploader(title, "upload_plain", flags, against=title, in_pieces=True)


def v2_is_there() -> bool:
    """Whether the environment with the v2 SDK exists.

    It is another one because both SDKs install a package `crcmod`.
    """
    return (ROOT / V2_PYTHON).exists()


def _v2() -> Sequence[Uploader]:
    if not v2_is_there():
        return ()
    python = str(ROOT / V2_PYTHON)
    return (Uploader("SDK v2 (its defaults)", "upload_v2", python=python),)


def _contestants() -> Sequence[Uploader]:
    return (
        _ours(),
        _ours(scan=True),
        _ours(FEW),
        _ours(FEW, scan=True),
        _ours(MANY),
        _ours(MANY, scan=True),
        _oss2(),
        _oss2("4 threads", "--threads", "4"),
        _oss2("no CRC", "--no-crc"),
        *_v2(),
        _plain(FEW),
        _plain(MANY),
    )


def fast_link() -> Shape:
    """As fast as the machine."""
    return Shape("http", "http, as fast as the machine", _contestants())


def tls_link() -> Shape:
    """The same, encrypted."""
    return Shape("https", "https, as fast as the machine", _contestants(), tls=True)


def slow_link() -> Shape:
    """Where the way is the limit: more connections help, more speed does not."""
    return Shape(
        "slow",
        "http, 60 MB/s a connection, 30 ms before each answer",
        (
            _ours(),
            _ours(8),
            _oss2(),
            _oss2("8 threads", "--threads", "8"),
            *_v2(),
            _plain(8),
        ),
        bandwidth=60e6,
        latency=0.03,
        share=0.5,
    )
