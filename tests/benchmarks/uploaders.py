"""Who is measured, over which links."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.measure import ROOT

V2_PYTHON = os.environ.get("PREFLIGHT_OSS_V2_PYTHON", ".venv-oss-v2/bin/python")
OURS, OSS2, PLAIN = "preflight", "oss2 (its defaults)", "plain sockets"


@dataclass(frozen=True, slots=True)
class Uploader:
    """One row: its title, the module that uploads and its flags.

    `in_pieces`: it stores each file as several objects.
    """

    title: str
    module: str
    flags: Sequence[str] = ()
    python: str = sys.executable
    in_pieces: bool = False

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


def _ours(title: str = "", *flags: str) -> Uploader:
    return Uploader(OURS + title, "upload_preflight", flags)


def _oss2(title: str = "", *flags: str) -> Uploader:
    return Uploader(f"oss2, {title}" if title else OSS2, "upload_oss2", flags)


def _plain(threads: int, title: str = "", *flags: str) -> Uploader:
    flags = (str(threads), *flags)
    return Uploader(PLAIN + title, "upload_plain", flags, in_pieces=True)


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


def fast_link() -> Shape:
    """As fast as the machine."""
    return Shape(
        "fast link (loopback)",
        bandwidth=0,
        latency=0,
        uploaders=(
            _ours(),
            _ours(", values scanned", "--scan"),
            _oss2(),
            _oss2("4 threads", "--threads", "4"),
            _oss2("no CRC", "--no-crc"),
            *_v2(),
            _plain(2),
            _plain(2, ", aligned memory", "--aligned"),
        ),
    )


def slow_link() -> Shape:
    """Where the way is the limit: more connections help, more speed does not."""
    return Shape(
        "slow link (60 MB/s a connection, 30 ms before each answer)",
        bandwidth=60e6,
        latency=0.03,
        uploaders=(
            _ours(", 8 workers", "--workers", "8"),
            _oss2(),
            _oss2("8 threads", "--threads", "8"),
            *_v2(),
            _plain(8),
        ),
    )
