"""The safetensors container: complete and sound, or refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from preflight.sandbox.oss.state import OssState
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import (
    assert_refused,
    imported,
)
from tests.sandbox.studio.models import Files, lora_shapes, tensors, tiny


def broken(change: Callable[[bytes], bytes]) -> Files:
    files = models.lora(tiny())
    name = "adapter_model.safetensors"
    return files | {name: change(files[name])}


def _edit(raw: bytes, change: Callable[[dict[str, Any]], None]) -> bytes:
    """The same file with another header."""
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    change(header)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + raw[8 + length :]


def _first(header: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(iter(header.values()))
    return found


def test_a_broken_container(oss: OssState) -> None:
    for change, word in [
        (lambda raw: raw[:-1], "the data has"),
        (lambda raw: raw + b"\0", "the data has"),
        (lambda raw: raw[:100], "does not fit"),
        (lambda _: b"", "no safetensors file"),
        (lambda _: b"version https://git-lfs.github.com/spec/v1\n", "does not fit"),
        (lambda _: bytes(64), "not valid JSON"),
        (lambda _: (2).to_bytes(8, "little") + b"{}", "no tensor"),
        (lambda raw: _edit(raw, lambda h: _first(h).update(dtype="F33")), "F33"),
        (lambda raw: _edit(raw, lambda h: _first(h).update(shape=[-1])), "malformed"),
        (lambda raw: _edit(raw, lambda h: _first(h).update(shape=[1])), "disagree"),
        (lambda raw: _edit(raw, lambda h: _first(h).pop("shape")), "malformed"),
        (lambda raw: _edit(raw, lambda h: h.pop(next(iter(h)))), "hole"),
        (lambda raw: _edit(raw, lambda h: h.update(__metadata__={"a": 1})), "metadata"),
    ]:
        assert_refused(imported(oss, broken(change)), word)


def test_digests_of_large_weights_are_enough(tmp_path: Path) -> None:
    """Only the beginning of a large object is kept, and only that is read."""
    base = tiny(hidden=1 << 15, intermediate=1 << 15)
    oss = OssState(directory=tmp_path, digests=True)
    oss.create_bucket(models.BUCKET, tags=models.TAGS)
    shapes = lora_shapes(base, 64)
    files = models.lora(base, 64) | {"adapter_model.safetensors": tensors(shapes)}
    assert len(files["adapter_model.safetensors"]) > 16 << 20
    assert imported(oss, files, base=base)[0].error_code == ""
    oss.close()


def test_what_a_digest_dropped_is_never_passed(tmp_path: Path) -> None:
    oss = OssState(directory=tmp_path, digests=True)
    oss.create_bucket(models.BUCKET, tags=models.TAGS)
    models.put(oss, models.lora(tiny()))
    spaces = b" " * (1 << 20)
    key = models.PREFIX + "tokenizer.json"
    oss.put(models.BUCKET, key, [spaces] * 20, size=20 << 20)
    assert_refused(imported(oss, {}), "the sandbox kept digests only")
    oss.put(models.BUCKET, key, [spaces] * 65, size=65 << 20)
    assert_refused(imported(oss, {}), "too many")
    oss.close()
