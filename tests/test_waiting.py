"""A silent service is named long before the time-out names it."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from preflight.errors import PreflightError
from preflight.oss.access import OssAccess
from preflight.oss.body import BytesBody
from preflight.oss.client import BucketClient
from preflight.retry import Retry
from preflight.studio.client import StudioClient
from preflight.waiting import Watch
from tests.raw_server import SILENCE, raw_server
from tests.running import until

SOON = 0.05
ONCE = Retry(attempts=1)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if "waiting for" in one.message]


def test_model_studio_is_named(caplog: pytest.LogCaptureFixture) -> None:
    with (
        raw_server([SILENCE]) as server,
        StudioClient(
            server.url, "sk-x", timeout=(5, 2), retry=ONCE, watch=Watch("it", soon=SOON)
        ) as client,
        pytest.raises(PreflightError),
    ):
        client.request("GET", "/custom_models/import")
    assert "waiting for it since 0 s: GET /custom_models/import" in told(caplog)


def access(url: str) -> OssAccess:
    endpoint = url.removesuffix("/api/v1")
    return OssAccess("id", "secret", region="ap-southeast-1", endpoint=endpoint)


CALLS: dict[str, Callable[[BucketClient], object]] = {
    "list": lambda client: next(client.list_objects("m/")),
    "parts": lambda client: next(client.list_parts("k", "id")),
    "put": lambda client: client.put("k", lambda: BytesBody(b"x")),
}


@pytest.mark.parametrize("call", CALLS)
def test_oss_is_named_whatever_it_is_asked(
    caplog: pytest.LogCaptureFixture, call: str
) -> None:
    watch = Watch("OSS", soon=SOON)
    with (
        raw_server([SILENCE]) as server,
        BucketClient(
            access(server.url), "bucket", timeout=(5, 2), retry=ONCE, watch=watch
        ) as client,
        pytest.raises(PreflightError),
    ):
        CALLS[call](client)
    assert told(caplog)[0].startswith("waiting for OSS since 0 s: ")


def test_bytes_that_move_are_no_waiting(caplog: pytest.LogCaptureFixture) -> None:
    watch, moved = Watch("OSS", soon=60), [0]
    with watch.waiting("part 1", sign=lambda: moved[0]):
        watch._moved -= 100
        moved[0] += 1
        assert watch._look() == ""
        watch._moved -= 100
        assert watch._look() == "waiting for OSS since 100 s: part 1"
        assert watch._look() == ""  # again after twice as long
        watch._moved -= 100
        assert watch._look() == "waiting for OSS since 200 s: part 1"
    watch.close()
    assert told(caplog) == []


def test_where_no_thread_can_be_had_all_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    watch = Watch("OSS", soon=SOON)
    with watch.waiting("one"), watch.waiting("two"):
        pass
    watch.close()


def test_its_thread_ends_with_the_client() -> None:
    before = threading.active_count()
    watch = Watch("OSS", soon=SOON)
    with watch.waiting("one"):
        assert threading.active_count() == before + 1
    watch.close()
    until(lambda: threading.active_count() == before)
