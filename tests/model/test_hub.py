"""The base from a hub: a fake one on this machine, asked with the real client."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request as HttpRequest
from werkzeug import Response

from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, write_tiny_bases
from preflight.catalog.base_models import BaseModel, load_bases
from preflight.findings import Unavailable
from preflight.model.base_lookup import find_reference
from preflight.model.reference import Reference

COMMIT = "c" * 40


class FakeHub:
    """Serves the files of one repository below `/{hub_id}/resolve/{revision}/`."""

    def __init__(self, hub_id: str, directory: Path) -> None:
        self._start = f"/{hub_id}/resolve/"
        self._directory = directory

    def answer(self, request: HttpRequest) -> Response:
        name = request.path.removeprefix(self._start).partition("/")[2]
        path = self._directory / name
        if not request.path.startswith(self._start) or not path.is_file():
            code = "EntryNotFound" if self._start in request.path else "RepoNotFound"
            return Response(status=404, headers={"X-Error-Code": code})
        data = path.read_bytes()
        headers = {
            "ETag": f'"{hashlib.sha1(data, usedforsecurity=False).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
        }
        part = request.range.range_for_length(len(data)) if request.range else None
        if part is None:
            return Response(data, headers=headers)
        headers["Content-Range"] = f"bytes {part[0]}-{part[1] - 1}/{len(data)}"
        return Response(data[part[0] : part[1]], status=206, headers=headers)


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> BaseModel:
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(tmp_path / "bases")))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(tmp_path / "modelscope"))
    return load_bases()[TINY_TEXT]


@pytest.fixture
def hub(
    tiny: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """The served directory; the hub is the one that `$HF_ENDPOINT` names."""
    directory = tmp_path / "hub"
    build_full(
        directory, base=tiny, sparse=False, shard_bytes=None, template=TINY_TEMPLATE
    )
    with HTTPServer(host="127.0.0.1", port=0) as server:
        fake = FakeHub(tiny.hub_id, directory)
        server.expect_request(re.compile(".*")).respond_with_handler(fake.answer)
        monkeypatch.setenv("HF_ENDPOINT", server.url_for("").rstrip("/"))
        yield directory


def test_base_from_the_hub(hub: Path, tiny: BaseModel) -> None:
    found = find_reference(None, tiny, from_hub=True)
    assert isinstance(found, Reference), found
    assert found.origin == "the hub (fixtures/Tiny-Text)"
    assert found.shapes == {s.name: s.shape for s in tiny.checkpoint_tensors()}
    assert [t.text for t in found.templates] == [TINY_TEMPLATE]
    assert found.tokenizer.vocabulary is not None
    assert isinstance(found.containers, Unavailable)
    assert not list(found.directory.glob("*.safetensors"))
    assert hub.is_dir()


def test_second_run_finds_it_in_the_cache(hub: Path, tiny: BaseModel) -> None:
    assert isinstance(find_reference(None, tiny), Unavailable)
    find_reference(None, tiny, from_hub=True)
    found = find_reference(None, tiny)
    assert isinstance(found, Reference)
    assert found.origin == "the Hugging Face cache"
    assert hub.is_dir()


def test_hub_without_the_model(hub: Path, tiny: BaseModel) -> None:
    (hub / "config.json").unlink()
    found = find_reference(None, tiny, from_hub=True)
    assert isinstance(found, Unavailable)
    assert "fixtures/Tiny-Text could not be had from the hub" in found.reason


def test_no_hub_at_all(tiny: BaseModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    found = find_reference(None, tiny, from_hub=True)
    assert isinstance(found, Unavailable)
    assert "could not be had from the hub" in found.reason
