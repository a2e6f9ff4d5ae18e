from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.crc import crc64
from preflight.destination import Destination
from preflight.errors import VerificationFailed
from preflight.oss.client import BucketClient
from preflight.sandbox import Sandbox
from preflight.sandbox.oss.records import Attributes
from preflight.upload.transfer import Manifest, UploadedObject
from preflight.upload.verify import stored_manifest, verify
from tests.upload.small_model import PREFIX, SECOND, make_model, plan_for


@pytest.fixture
def manifest(sandbox: Sandbox) -> Manifest:
    """Two objects that are there as they were sent."""
    objects = []
    for name, data in (("config.json", b"{}"), ("vocab.json", b"[1]")):
        sandbox.oss.put(sandbox.bucket, PREFIX + name, [data])
        objects.append(UploadedObject(PREFIX + name, len(data), crc64(data)))
    return Manifest(Destination(sandbox.bucket, PREFIX), tuple(objects))


def test_what_was_sent_is_there(
    client: BucketClient, sandbox: Sandbox, manifest: Manifest
) -> None:
    sandbox.oss.put(sandbox.bucket, "models/a-neighbour", [b"x"])
    sandbox.oss.put(sandbox.bucket, PREFIX, [])  # a folder made in the console
    found = verify(client, manifest)
    assert (found.manifest, found.extra) == (manifest, ())


Tamper = Callable[[Sandbox], object]


@pytest.mark.parametrize(
    ("tamper", "words"),
    [
        (
            lambda box: box.oss.delete(box.bucket, PREFIX + "vocab.json"),
            "vocab.json is missing",
        ),
        (
            lambda box: box.oss.put(box.bucket, PREFIX + "vocab.json", [b"[12]"]),
            "vocab.json has 4 bytes, 3 were sent",
        ),
        (
            lambda box: box.oss.put(box.bucket, PREFIX + "vocab.json", [b"[2]"]),
            "vocab.json has CRC-64 [0-9a-f]{16}, [0-9a-f]{16} was sent",
        ),
        (
            lambda box: box.oss.put(
                box.bucket,
                PREFIX + "vocab.json",
                [b"[1]"],
                attributes=Attributes("Archive"),
            ),
            "vocab.json is of storage class Archive",
        ),
        (
            lambda box: box.oss.put(box.bucket, PREFIX + "sub/old.bin", [b"x"]),
            "sub/old.bin does not belong there",
        ),
        (
            lambda box: box.oss.put(box.bucket, PREFIX, [b"not a folder"]),
            "does not belong there",
        ),
    ],
    ids=["missing", "size", "crc", "class", "stranger", "no-folder"],
)
def test_every_difference_is_named(
    client: BucketClient,
    sandbox: Sandbox,
    manifest: Manifest,
    tamper: Tamper,
    words: str,
) -> None:
    tamper(sandbox)
    with pytest.raises(VerificationFailed, match=words) as caught:
        verify(client, manifest)
    assert "config.json" not in caught.value.message
    assert caught.value.hint


def test_an_object_that_is_gone_when_all_are_compared_is_named(
    client: BucketClient, sandbox: Sandbox, tmp_path: Path
) -> None:
    model = make_model(tmp_path / "model")
    for path in model.iterdir():
        sandbox.oss.put(sandbox.bucket, PREFIX + path.name, [path.read_bytes()])
    plan = plan_for(model, sandbox)
    assert len(stored_manifest(client, plan).objects) == len(plan.items)
    sandbox.oss.delete(sandbox.bucket, PREFIX + SECOND)
    with pytest.raises(VerificationFailed, match=f"{SECOND} vanished"):
        stored_manifest(client, plan)


def test_extra_objects_can_be_tolerated(
    client: BucketClient, sandbox: Sandbox, manifest: Manifest
) -> None:
    sandbox.oss.put(sandbox.bucket, PREFIX + "notes", [b"x"])
    assert verify(client, manifest, allow_extra=True).extra == (PREFIX + "notes",)


def test_many_differences_are_counted(
    client: BucketClient, sandbox: Sandbox, manifest: Manifest
) -> None:
    for number in range(7):
        sandbox.oss.put(sandbox.bucket, f"{PREFIX}{number}", [b"x"])
    with pytest.raises(VerificationFailed, match=r"4 does not .* and 2 more$"):
        verify(client, manifest)
