"""No test sees this machine's settings: keys, proxies, caches, directories."""

from __future__ import annotations

import gc
import os
import signal
from collections.abc import Iterator

import pytest

# Imported, not listed in pytest_plugins: once the package is installed its entry point
# registers the same module, and pytest refuses to register one twice.
from preflight import hidden
from preflight.__main__ import _MATH
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.retry import Retry
from preflight.sandbox import Sandbox
from preflight.sandbox.plugin import sandbox
from tests.manual_clock import ManualClock

__all__ = ["sandbox"]

_SETTINGS = ("OSS_", "DASHSCOPE_", "ALIBABA_CLOUD_", "PREFLIGHT_", "HF_", "XDG_")
_MORE = {"MODELSCOPE_CACHE", "NETRC", "NO_COLOR", "COLUMNS", "PYTHONIOENCODING"}
# What chooses tests, not how preflight behaves.
_KEPT = {
    "PREFLIGHT_DIST",
    "PREFLIGHT_FUZZ",
    "PREFLIGHT_GOLDEN",
    "PREFLIGHT_LARGE",
    "PREFLIGHT_INTEGRATIONS",
    "PREFLIGHT_INTEGRATIONS_RECORD",
    "PREFLIGHT_KILLS",
    "PREFLIGHT_OUTAGE",
    "PREFLIGHT_SLURM",
    "PREFLIGHT_OSS_V2_PYTHON",
}


def _is_setting(name: str) -> bool:
    ours = name.startswith(_SETTINGS) or name in _MORE
    return name not in _KEPT and (ours or name.lower().endswith("_proxy"))


if not os.environ.get("PREFLIGHT_LIVE"):  # those that ask the real services need them
    for _name in filter(_is_setting, list(os.environ)):
        del os.environ[_name]

# As the command does for itself, before numpy is loaded: threads of several matrix
# products wait for one another by spinning, which on a busy machine takes minutes.
for _name in _MATH:
    os.environ.setdefault(_name, "1")


@pytest.fixture
def access(sandbox: Sandbox) -> OssAccess:
    """The sandbox's keys and endpoint."""
    return OssAccess(
        sandbox.access_key_id,
        sandbox.access_key_secret,
        region=sandbox.region,
        endpoint=sandbox.oss_url,
    )


@pytest.fixture
def client(sandbox: Sandbox, access: OssAccess) -> Iterator[BucketClient]:
    """The sandbox's bucket; retries do not wait."""
    retry = Retry(clock=ManualClock())
    with BucketClient(access, sandbox.bucket, timeout=(30, 30), retry=retry) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_hidden() -> Iterator[None]:
    """What is a secret in one test is a word in another: `pass`, for a password."""
    before = dict(hidden._hidden)
    hidden._hidden.clear()
    yield
    hidden._hidden.clear()
    hidden._hidden.update(before)


def pytest_configure() -> None:
    """Signals mean what they mean in a terminal, however the tests were started.

    A shell's background jobs ignore Ctrl-C, `nohup` the end of the line, and every
    process that a test starts would inherit that.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGQUIT, signal.SIGHUP, signal.SIGTERM):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def pytest_collection_finish() -> None:
    """What was loaded to collect thousands of tests is no garbage, ever."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 50)  # what tests leave behind is small


@pytest.hookimpl(trylast=True)  # what fixtures leave behind is garbage by then
def pytest_sessionfinish() -> None:
    """pytest looks for garbage five times at the end; the first time finds it."""
    gc.collect()
    gc.freeze()
