"""Models of a hub: a fake one on this machine, asked with the real library."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from preflight.errors import UsageError
from preflight.sources.hub import HubModel, parse_hub, patterns
from tests.running import InProcess, tiny_adapter

COMMIT = "c" * 40
NAME = "org/my-adapter"


class FakeHub:
    """Serves one repository of one revision; `asked` holds the files that were sent."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.asked: list[str] = []
        self.refusal: tuple[int, str] | None = None

    def _files(self) -> list[Path]:
        return sorted(p for p in self._directory.rglob("*") if p.is_file())

    def answer(self, request: Request) -> Response:
        if self.refusal is not None:
            status, code = self.refusal
            return Response("{}", status=status, headers={"X-Error-Code": code})
        path = request.path
        if path.startswith("/api/models/"):
            return self._about(path.removeprefix("/api/models/"))
        found = re.fullmatch(rf"/{NAME}/resolve/[^/]+/(.+)", path)
        file = self._directory / found[1] if found else None
        if file is None or not file.is_file():
            code = "EntryNotFound" if found else "RepoNotFound"
            return Response(status=404, headers={"X-Error-Code": code})
        data = file.read_bytes()
        if request.method == "GET":
            self.asked.append(str(found[1]) if found else "")
        digest = hashlib.sha1(data, usedforsecurity=False).hexdigest()
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT}
        return Response(data, headers=headers)

    def _about(self, rest: str) -> Response:
        if not rest.startswith(NAME):
            return Response("{}", status=404, headers={"X-Error-Code": "RepoNotFound"})
        if "/revision/" in rest and rest.rpartition("/")[2] not in ("main", COMMIT):
            code = {"X-Error-Code": "RevisionNotFound"}
            return Response("{}", status=404, headers=code)
        names = [p.relative_to(self._directory).as_posix() for p in self._files()]
        if "/tree/" in rest:
            entries = [
                {
                    "type": "file",
                    "path": name,
                    "size": (self._directory / name).stat().st_size,
                    "oid": "0" * 40,
                }
                for name in names
            ]
            return Response(json.dumps(entries), content_type="application/json")
        about = {
            "id": NAME,
            "modelId": NAME,
            "sha": COMMIT,
            "private": False,
            "tags": [],
            "downloads": 0,
            "likes": 0,
            "siblings": [{"rfilename": name} for name in names],
        }
        return Response(json.dumps(about), content_type="application/json")


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    made = InProcess(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    return made


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    directory = tiny_adapter(tmp_path / "served")
    (directory / "optimizer.pt").write_bytes(bytes(4096))
    (directory / "checkpoint-5").mkdir()
    (directory / "checkpoint-5" / "adapter_model.safetensors").write_bytes(b"older")
    with HTTPServer(host="127.0.0.1", port=0) as server:
        fake = FakeHub(directory)
        server.expect_request(re.compile(".*")).respond_with_handler(fake.answer)
        monkeypatch.setenv("HF_ENDPOINT", server.url_for("").rstrip("/"))
        yield fake


def test_what_an_import_can_use_is_fetched_once_and_nothing_else(
    preflight: InProcess, hub: FakeHub
) -> None:
    done = preflight("check", f"hf://{NAME}")
    assert done.code == 0, (done.out, done.err)
    assert "READY" in done.out
    assert "adapter_model.safetensors" in hub.asked
    assert not [name for name in hub.asked if "optimizer" in name or "/" in name]
    hub.asked.clear()
    again = preflight("push", f"hf://{NAME}@main", "--sandbox", "--format", "json")
    assert again.code == 0, again.err
    assert hub.asked == []
    document = again.document
    assert document["directory"] == f"hf://{NAME}@main"
    assert document["upload"]["destination"].endswith("/my-adapter/")
    assert document["job"]["display_name"] == "my-adapter"


def test_an_offline_hub_is_no_matter_once_it_is_cached(
    preflight: InProcess, hub: FakeHub
) -> None:
    assert preflight("check", f"hf://{NAME}").code == 0
    hub.refusal = (503, "")
    assert preflight("check", f"hf://{NAME}").code == 0
    missing = preflight("check", "hf://org/other")
    assert missing.code == 5
    assert "org/other could not be fetched from the hub" in missing.told()[0]


@pytest.mark.parametrize(
    ("refusal", "place", "code", "words"),
    [
        ((403, "GatedRepo"), f"hf://{NAME}", 4, "is gated"),
        ((404, "RepoNotFound"), f"hf://{NAME}", 2, "there is no model"),
        (None, f"hf://{NAME}@nowhere", 2, "has no revision nowhere"),
        (None, "ms://org/other", 2, "is not in the cache of ModelScope"),
        (None, "hf://only", 2, "not a model's place"),
        (None, "s3://bucket/x", 2, "not a model's place"),
    ],
)
def test_each_refusal_is_a_sentence(
    preflight: InProcess,
    hub: FakeHub,
    refusal: tuple[int, str] | None,
    place: str,
    code: int,
    words: str,
) -> None:
    hub.refusal = refusal
    done = preflight("check", place)
    assert done.code == code, done.err
    assert words in done.told()[0]


def test_a_copy_in_the_cache_of_modelscope(
    preflight: InProcess, tmp_path: Path
) -> None:
    tiny_adapter(tmp_path / "modelscope" / "models" / "org" / "my-adapter")
    assert preflight("check", f"ms://{NAME}").code == 0


def test_a_bucket_is_no_source_of_a_push(preflight: InProcess) -> None:
    done = preflight("push", "oss://bucket/m/", "oss://bucket/n/")
    assert done.code == 2
    assert "lies in a bucket already" in done.told()[0]


def test_places_are_read_and_patterns_come_from_the_allow_list() -> None:
    assert parse_hub("hf://a/b@v1.0") == HubModel("hf", "a/b", "v1.0")
    assert parse_hub("ms://a/b.c/") == HubModel("ms", "a/b.c")
    with pytest.raises(UsageError):
        parse_hub("hf://a/b/c/d")
    assert "model-*-of-*.safetensors" in patterns()
    assert not any("*.pt" in each or each == "*" for each in patterns())
