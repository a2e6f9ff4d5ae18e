from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from preflight.catalog.service import is_importable_class
from preflight.errors import AccessDenied, UsageError
from preflight.findings import Severity
from preflight.oss.access import OssAccess
from preflight.oss.inspector import BucketInspector
from preflight.oss.preconditions import check_bucket, tag_bucket
from preflight.sandbox import Sandbox
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.policy import lacking

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=timezone.utc)
TAGS = {"bailian-datahub-access": "read"}


@pytest.fixture
def client(sandbox: Sandbox, access: OssAccess) -> Iterator[BucketInspector]:
    with BucketInspector(access, sandbox.bucket) as made:
        yield made


def test_a_good_bucket_has_no_issues(client: BucketInspector, sandbox: Sandbox) -> None:
    assert check_bucket(client) == []
    assert check_bucket(client, service_region=sandbox.region) == []


def test_the_tag_must_be_there(client: BucketInspector, sandbox: Sandbox) -> None:
    tags: dict[str, str]
    for tags, words in (
        ({}, "is not set"),
        ({"bailian-datahub-access": "write"}, "is 'write'"),
        ({"Bailian-Datahub-Access": "read"}, "is not set"),
    ):
        sandbox.oss.set_tags(sandbox.bucket, tags)
        (issue,) = check_bucket(client)
        assert issue.severity is Severity.ERROR
        assert words in issue.message
        assert "bailian-datahub-access = read" in issue.hint


def test_an_archive_cannot_be_imported_from(
    access: OssAccess, sandbox: Sandbox
) -> None:
    for name in ("Archive", "ColdArchive", "DeepColdArchive"):
        bucket = f"{name.lower()}-bucket"
        sandbox.oss.create_bucket(bucket, storage_class=name, tags=TAGS)
        with BucketInspector(access, bucket) as client:
            (issue,) = check_bucket(client)
        assert issue.severity is Severity.ERROR
        assert name in issue.message


def test_infrequent_access_can(access: OssAccess, sandbox: Sandbox) -> None:
    sandbox.oss.create_bucket("warm-bucket", storage_class="IA", tags=TAGS)
    with BucketInspector(access, "warm-bucket") as client:
        assert check_bucket(client) == []
    assert is_importable_class("Standard")


def test_the_service_may_lie_elsewhere(client: BucketInspector) -> None:
    (issue,) = check_bucket(client, service_region="cn-beijing")
    assert issue.severity is Severity.WARNING
    assert "cn-beijing" in issue.message


def limited(
    sandbox: Sandbox, access: OssAccess, *denied: str, bucket: str = ""
) -> BucketInspector:
    key = Credential("LTAIlimited", "secret", policy=lacking(*denied))
    sandbox.oss.add_credential(key)
    keys = replace(access, access_key_id=key.id, access_key_secret=key.secret)
    return BucketInspector(keys, bucket or sandbox.bucket)


@pytest.mark.parametrize("permission", ["oss:GetBucketInfo", "oss:GetBucketTagging"])
def test_a_lacking_permission_means_that_nobody_can_tell(
    sandbox: Sandbox, access: OssAccess, permission: str
) -> None:
    with limited(sandbox, access, permission) as client:
        (issue,) = check_bucket(client)
    assert issue.severity is Severity.WARNING
    assert issue.message.startswith("cannot tell")
    assert permission in issue.hint


def test_a_wrong_key_is_an_error_not_an_unknown(
    sandbox: Sandbox, access: OssAccess
) -> None:
    wrong = replace(access, access_key_secret="wrong")
    with (
        BucketInspector(wrong, sandbox.bucket) as client,
        pytest.raises(AccessDenied, match="SignatureDoesNotMatch"),
    ):
        check_bucket(client)


def test_no_such_bucket(access: OssAccess) -> None:
    with (
        BucketInspector(access, "not-there") as client,
        pytest.raises(UsageError, match="NoSuchBucket"),
    ):
        check_bucket(client)


def test_the_service_s_region_may_import_in_the_console_alone(
    access: OssAccess,
) -> None:
    with Sandbox(region="us-east-1") as box:
        keys = replace(
            access,
            access_key_id=box.access_key_id,
            access_key_secret=box.access_key_secret,
            region=box.region,
            endpoint=box.oss_url,
        )
        with BucketInspector(keys, box.bucket) as client:
            (issue,) = check_bucket(client, service_region="us-east-1")
            # At an address of one's own nobody knows where the service is.
            assert list(check_bucket(client, service_region="")) == []
    assert issue.severity is Severity.WARNING
    assert "open in ap-southeast-1 and cn-beijing" in issue.message
    assert "only the console" in issue.message


def test_a_tag_is_added_to_the_others(
    client: BucketInspector, sandbox: Sandbox
) -> None:
    sandbox.oss.set_tags(sandbox.bucket, {"team": "nlp"})
    assert tag_bucket(client)
    assert sandbox.oss.bucket(sandbox.bucket).tags == {"team": "nlp", **TAGS}
    assert not tag_bucket(client)
    assert sandbox.oss_endpoint.log_calls.count("PutBucketTags") == 1


def test_writing_is_proven_without_an_object(
    client: BucketInspector, sandbox: Sandbox, access: OssAccess
) -> None:
    changed: list[str] = []
    sandbox.oss.on_change(lambda _, key: changed.append(key))
    client.prove_writable("models/one/")
    assert changed == []
    assert sandbox.oss.uploads(sandbox.bucket) == []
    with (
        limited(sandbox, access, "oss:PutObject") as reader,
        pytest.raises(AccessDenied, match="AccessDenied"),
    ):
        reader.prove_writable("models/one/")


def test_a_small_object_is_read_to_a_limit(
    client: BucketInspector, sandbox: Sandbox
) -> None:
    sandbox.oss.put(sandbox.bucket, "a/b", [b"0123456789"], size=10)
    assert client.read_small("a/b", 100) == b"0123456789"
    assert client.read_small("a/b", 4) == b"0123"
    assert client.read_small("a/none", 4) is None


def test_a_snapshot_has_all_pages_and_no_folder_marker(
    client: BucketInspector, sandbox: Sandbox
) -> None:
    sandbox.oss.put(sandbox.bucket, "a/", [b""], size=0)
    for number in range(1001):
        sandbox.oss.put(sandbox.bucket, f"a/{number:04}", [b"x"], size=1)
    found = client.snapshot("a/")
    assert sorted(found) == [f"a/{number:04}" for number in range(1001)]
    assert abs(found["a/0000"].modified - sandbox.oss.clock()) < 60
