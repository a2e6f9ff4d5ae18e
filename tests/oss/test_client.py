from __future__ import annotations

import os
from dataclasses import replace

import pytest

from preflight.crc import crc64
from preflight.errors import (
    AccessDenied,
    ConfigurationError,
    TransferError,
    UsageError,
)
from preflight.oss.access import OssAccess
from preflight.oss.body import BytesBody
from preflight.oss.client import BucketClient
from preflight.oss.errors import PermissionMissing
from preflight.oss.models import ListedObject, ObjectHead, Part
from preflight.retry import Retry, Transient
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import Action, Fault
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.policy import READ_ONLY
from tests.manual_clock import ManualClock

KB = 1024


def put(client: BucketClient, key: str, data: bytes) -> int:
    return client.put(key, lambda: BytesBody(data))


def stored(sandbox: Sandbox, key: str, size: int) -> bytes:
    return sandbox.oss.read(sandbox.bucket, key, 0, size)


def fault(operation: str, action: Action = Action.STATUS, **more: object) -> Fault:
    values = {"service": "oss", "operation": operation, "action": action.value, **more}
    return Fault.from_json(values)


def unavailable(operation: str, times: int = 1) -> Fault:
    return fault(operation, status=503, code="ServiceUnavailable", times=times)


def test_what_is_put_can_be_looked_at(client: BucketClient, sandbox: Sandbox) -> None:
    for key, data in (
        ("p/a.json", b""),
        ("p/50%25 off?x=1#y+z&é模/k.json", b"x"),
        ("p/it's(1)!*~.txt", os.urandom(3_000_001)),
    ):
        assert client.head(key) is None
        assert put(client, key, data) == crc64(data)
        assert client.head(key) == ObjectHead(key, len(data), crc64(data), "Standard")
        assert stored(sandbox, key, len(data)) == data


def test_a_multipart_object_is_the_sum_of_its_parts(
    client: BucketClient, sandbox: Sandbox
) -> None:
    pieces = [os.urandom(200 * KB), os.urandom(150 * KB), os.urandom(17)]
    upload_id = client.initiate("p/w")
    parts = [
        client.upload_part("p/w", upload_id, number, lambda one=piece: BytesBody(one))  # type: ignore[misc]
        for number, piece in enumerate(pieces, 1)
    ]
    assert client.head("p/w") is None
    assert list(client.list_parts("p/w", upload_id)) == parts
    whole = b"".join(pieces)
    assert client.complete("p/w", upload_id, parts) == crc64(whole)
    assert stored(sandbox, "p/w", len(whole)) == whole
    assert list(client.list_uploads("p/")) == []


def test_parts_are_listed_with_their_crc_over_all_pages(
    client: BucketClient, sandbox: Sandbox
) -> None:
    upload_id = client.initiate("p/w")
    for number in range(1, 1004):
        sandbox.oss.put_part(sandbox.bucket, "p/w", upload_id, number, [b"x"])
    parts = list(client.list_parts("p/w", upload_id))
    assert [part.number for part in parts] == list(range(1, 1004))
    assert {(part.size, part.crc64) for part in parts} == {(1, crc64(b"x"))}


def test_pending_uploads_are_listed_and_aborted(client: BucketClient) -> None:
    started = {client.initiate(key): key for key in ("p/a", "p/b", "p/b", "q/c")}
    pending = list(client.list_uploads("p/"))
    assert {one.upload_id: one.key for one in pending} == {
        upload_id: key for upload_id, key in started.items() if key != "q/c"
    }
    for one in pending:
        client.abort(one.key, one.upload_id)
        client.abort(one.key, one.upload_id)  # gone already: fine
    assert list(client.list_uploads("p/")) == []


def test_objects_are_listed_over_all_pages(
    client: BucketClient, sandbox: Sandbox
) -> None:
    for number in range(1005):
        sandbox.oss.put(sandbox.bucket, f"p/{number:04}", [b"ab"])
    sandbox.oss.put(sandbox.bucket, "q/other", [b"ab"])
    found = list(client.list_objects("p/"))
    assert [one.key for one in found] == [f"p/{number:04}" for number in range(1005)]
    assert found[0] == ListedObject("p/0000", 2, "Standard")


def test_the_bucket_tells_its_tags(client: BucketClient, sandbox: Sandbox) -> None:
    assert client.tags() == {"bailian-datahub-access": "read"}
    sandbox.oss.set_tags(sandbox.bucket, {})
    assert client.tags() == {}


def test_a_put_that_failed_is_sent_again_whole(
    client: BucketClient, sandbox: Sandbox
) -> None:
    for hit in (
        unavailable("PutObject", 3),
        fault("PutObject", Action.CUT, at="before"),
        fault("PutObject", Action.CUT, at="body"),
        fault("PutObject", Action.CUT, at="after"),
        fault("PutObject", Action.WRONG_CRC, times=2),
    ):
        data = os.urandom(2_000_000)
        sandbox.faults.add(hit)
        assert put(client, "p/k", data) == crc64(data)
        assert stored(sandbox, "p/k", len(data)) == data
        assert len(sandbox.faults.fired) == hit.times
        sandbox.faults.clear()


def test_retries_end(client: BucketClient, sandbox: Sandbox) -> None:
    sandbox.faults.add(unavailable("PutObject", 99))
    with pytest.raises(Transient, match="503") as caught:
        put(client, "p/k", b"x")
    assert caught.value.request_id
    assert len(sandbox.faults.fired) == 6


def test_bytes_that_are_always_damaged_are_an_error(
    client: BucketClient, sandbox: Sandbox
) -> None:
    sandbox.faults.add(fault("PutObject", Action.WRONG_CRC, times=99))
    with pytest.raises(TransferError, match="damaged"):
        put(client, "p/k", b"x")


def multipart(client: BucketClient, data: bytes) -> tuple[str, list[Part]]:
    upload_id = client.initiate("p/w")
    return upload_id, [client.upload_part("p/w", upload_id, 1, lambda: BytesBody(data))]


def test_a_completion_whose_answer_is_lost_counts(
    client: BucketClient, sandbox: Sandbox
) -> None:
    upload_id, parts = multipart(client, b"weights")
    sandbox.faults.add(fault("CompleteMultipartUpload", Action.CUT, at="after"))
    assert client.complete("p/w", upload_id, parts) == crc64(b"weights")
    assert sandbox.oss_endpoint.log_calls.count("CompleteMultipartUpload") == 1
    # So does one that another machine asked for.
    assert client.complete("p/w", upload_id, parts) == crc64(b"weights")


def test_a_completion_that_did_not_happen_is_tried_again(
    client: BucketClient, sandbox: Sandbox
) -> None:
    upload_id, parts = multipart(client, b"weights")
    sandbox.faults.add(unavailable("CompleteMultipartUpload", 2))
    assert client.complete("p/w", upload_id, parts) == crc64(b"weights")


def test_a_completion_with_a_wrong_crc_is_looked_at_again(
    client: BucketClient, sandbox: Sandbox
) -> None:
    upload_id, parts = multipart(client, b"weights")
    sandbox.faults.add(fault("CompleteMultipartUpload", Action.WRONG_CRC))
    assert client.complete("p/w", upload_id, parts) == crc64(b"weights")
    upload_id, parts = multipart(client, b"weights")
    sandbox.faults.add(fault("CompleteMultipartUpload", Action.WRONG_CRC))
    sandbox.faults.add(fault("HeadObject", Action.WRONG_CRC))
    with pytest.raises(TransferError, match="not the sum of its parts"):
        client.complete("p/w", upload_id, parts)


def test_a_completion_needs_the_crc_of_every_part(
    client: BucketClient, sandbox: Sandbox
) -> None:
    upload_id, parts = multipart(client, b"weights")
    with pytest.raises(TransferError, match="a part has no CRC-64"):
        client.complete("p/w", upload_id, [replace(parts[0], crc64=None)])
    assert sandbox.oss.objects(sandbox.bucket) == []


def test_a_completion_of_what_is_gone_fails(client: BucketClient) -> None:
    upload_id, parts = multipart(client, b"weights")
    client.abort("p/w", upload_id)
    put(client, "p/w", b"another")
    with pytest.raises(TransferError, match="NoSuchUpload"):
        client.complete("p/w", upload_id, parts)


def other(access: OssAccess, bucket: str, **changed: str) -> BucketClient:
    retry = Retry(attempts=1)
    return BucketClient(replace(access, **changed), bucket, retry=retry)


def test_wrong_keys_are_told_apart(sandbox: Sandbox, access: OssAccess) -> None:
    for name, wrong, words in (
        ("access_key_id", "LTAIunknown", "InvalidAccessKeyId"),
        ("access_key_secret", "wrong", "SignatureDoesNotMatch"),
    ):
        with other(access, sandbox.bucket, **{name: wrong}) as client:
            with pytest.raises(AccessDenied, match=words) as caught:
                list(client.list_objects("p/"))
            assert not isinstance(caught.value, PermissionMissing)
            assert caught.value.hint
            with pytest.raises(AccessDenied):
                client.head("p/k")


def test_temporary_keys_carry_their_token_until_they_expire(
    sandbox: Sandbox, access: OssAccess
) -> None:
    sandbox.oss.add_credential(Credential("STS.abc", "secret", token="tOkEn"))
    keys = {"access_key_id": "STS.abc", "access_key_secret": "secret"}
    with other(access, sandbox.bucket, **keys, security_token="tOkEn") as client:
        put(client, "p/k", b"x")
        sandbox.oss.expire("STS.abc")
        with pytest.raises(AccessDenied, match="SecurityTokenExpired") as caught:
            put(client, "p/k", b"x")
    assert "new temporary keys" in caught.value.hint
    assert "tOkEn" not in str(caught.value)


def test_a_lacking_permission_is_not_a_wrong_key(
    sandbox: Sandbox, access: OssAccess
) -> None:
    sandbox.oss.add_credential(Credential("LTAIreader", "secret", policy=READ_ONLY))
    keys = {"access_key_id": "LTAIreader", "access_key_secret": "secret"}
    with other(access, sandbox.bucket, **keys) as client:
        assert list(client.list_objects("p/")) == []
        with pytest.raises(PermissionMissing):
            put(client, "p/k", b"x")


def test_no_such_bucket(access: OssAccess) -> None:
    with other(access, "not-there") as client:
        for ask in (client.tags, lambda: client.head("k")):
            with pytest.raises(UsageError, match="NoSuchBucket"):
                ask()


def test_a_bucket_of_another_region(sandbox: Sandbox, access: OssAccess) -> None:
    with other(access, sandbox.bucket, region="cn-beijing") as client:
        with pytest.raises((ConfigurationError, AccessDenied, TransferError)) as caught:
            put(client, "p/k", b"x")
        assert "sandbox bug" not in caught.value.message


def part(client: BucketClient, key: str, upload: str) -> Part:
    return client.upload_part(key, upload, 1, lambda: BytesBody(b"data"))


def test_an_outage_is_waited_for_by_time_once_oss_was_reached(
    sandbox: Sandbox, access: OssAccess
) -> None:
    down = Fault(
        service="oss",
        operation="UploadPart",
        action=Action.STATUS,
        status=503,
        times=30,
    )
    clock = ManualClock()
    retry = Retry(clock=clock)
    with BucketClient(access, sandbox.bucket, retry=retry, patience=600) as client:
        upload = client.initiate("p/k")
        sandbox.faults.add(down)
        assert part(client, "p/k", upload).size == 4
        assert len(clock.slept) == 30
        sandbox.faults.add(replace(down, times="always"))
        began = clock.time
        with pytest.raises(Transient):
            part(client, "p/k", upload)
        assert clock.time - began == pytest.approx(600)
        client.hurry.set()  # the run is ending: the few attempts are all
        began = len(sandbox.faults.fired)
        with pytest.raises(Transient):
            part(client, "p/k", upload)
        assert len(sandbox.faults.fired) - began == 6


def test_an_address_that_never_answered_is_not_waited_for(access: OssAccess) -> None:
    clock = ManualClock()
    nowhere = replace(access, endpoint="http://127.0.0.1:9")
    retry = Retry(clock=clock)
    with (
        BucketClient(nowhere, "bucket", retry=retry, patience=600) as client,
        pytest.raises(Transient),
    ):
        client.head("k")
    assert len(clock.slept) == 5
