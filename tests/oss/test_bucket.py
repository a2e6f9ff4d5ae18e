from __future__ import annotations

from dataclasses import replace

import pytest

from preflight.errors import AccessDenied, UsageError
from preflight.findings import Severity
from preflight.oss.access import OssAccess
from preflight.oss.bucket import check_bucket, is_importable_class
from preflight.oss.client import BucketClient
from preflight.sandbox import Sandbox
from preflight.sandbox.oss.credentials import Credential

TAGS = {"bailian-datahub-access": "read"}


def test_a_good_bucket_has_no_issues(client: BucketClient, sandbox: Sandbox) -> None:
    assert check_bucket(client) == []
    assert check_bucket(client, service_region=sandbox.region) == []


@pytest.mark.parametrize(
    ("tags", "words"),
    [
        ({}, "is not set"),
        ({"bailian-datahub-access": "write"}, "is 'write'"),
        ({"Bailian-Datahub-Access": "read"}, "is not set"),
    ],
)
def test_the_tag_must_be_there(
    client: BucketClient, sandbox: Sandbox, tags: dict[str, str], words: str
) -> None:
    sandbox.oss.set_tags(sandbox.bucket, tags)
    (issue,) = check_bucket(client)
    assert issue.severity is Severity.ERROR
    assert words in issue.message
    assert "bailian-datahub-access = read" in issue.hint


@pytest.mark.parametrize("storage_class", ["Archive", "ColdArchive", "DeepColdArchive"])
def test_an_archive_cannot_be_imported_from(
    access: OssAccess, sandbox: Sandbox, storage_class: str
) -> None:
    sandbox.oss.create_bucket("cold-bucket", storage_class=storage_class, tags=TAGS)
    with BucketClient(access, "cold-bucket") as client:
        (issue,) = check_bucket(client)
    assert issue.severity is Severity.ERROR
    assert storage_class in issue.message


def test_infrequent_access_can(access: OssAccess, sandbox: Sandbox) -> None:
    sandbox.oss.create_bucket("warm-bucket", storage_class="IA", tags=TAGS)
    with BucketClient(access, "warm-bucket") as client:
        assert check_bucket(client) == []
    assert is_importable_class("Standard")


def test_the_service_may_lie_elsewhere(client: BucketClient) -> None:
    (issue,) = check_bucket(client, service_region="cn-beijing")
    assert issue.severity is Severity.WARNING
    assert "cn-beijing" in issue.message


def limited(
    sandbox: Sandbox, access: OssAccess, *denied: str, bucket: str = ""
) -> BucketClient:
    key = Credential("LTAIlimited", "secret", denied=frozenset(denied))
    sandbox.oss.add_credential(key)
    keys = replace(access, access_key_id=key.id, access_key_secret=key.secret)
    return BucketClient(keys, bucket or sandbox.bucket)


@pytest.mark.parametrize(
    ("denied", "permission"),
    [("GetBucketInfo", "oss:GetBucketInfo"), ("GetBucketTags", "oss:GetBucketTagging")],
)
def test_a_lacking_permission_means_that_nobody_can_tell(
    sandbox: Sandbox, access: OssAccess, denied: str, permission: str
) -> None:
    with limited(sandbox, access, denied) as client:
        (issue,) = check_bucket(client)
    assert issue.severity is Severity.WARNING
    assert issue.message.startswith("cannot tell")
    assert permission in issue.hint


def test_a_wrong_key_is_an_error_not_an_unknown(
    sandbox: Sandbox, access: OssAccess
) -> None:
    wrong = replace(access, access_key_secret="wrong")
    with (
        BucketClient(wrong, sandbox.bucket) as client,
        pytest.raises(AccessDenied, match="SignatureDoesNotMatch"),
    ):
        check_bucket(client)


def test_no_such_bucket(access: OssAccess) -> None:
    with (
        BucketClient(access, "not-there") as client,
        pytest.raises(UsageError, match="NoSuchBucket"),
    ):
        check_bucket(client)
