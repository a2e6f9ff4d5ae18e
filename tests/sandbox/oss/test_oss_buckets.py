from __future__ import annotations

import json
import shutil
import subprocess

import oss2
import pytest

from preflight.sandbox.oss import Policy
from preflight.sandbox.oss.records import Attributes
from tests.sandbox.oss.box import (
    BUCKET,
    KEY_ID,
    REGION,
    SECRET,
    Box,
    code_of,
    parsed,
    refused,
)


def test_what_a_bucket_says_of_itself(box: Box) -> None:
    box.state.create_bucket("cold-bucket", storage_class="Archive", acl="public-read")
    client = box.client(bucket="cold-bucket")
    info = client.get_bucket_info()
    assert (info.name, info.storage_class) == ("cold-bucket", "Archive")
    assert info.location == "oss-ap-southeast-1"
    assert info.extranet_endpoint == "oss-ap-southeast-1.aliyuncs.com"
    assert info.intranet_endpoint == "oss-ap-southeast-1-internal.aliyuncs.com"
    assert info.acl.grant == "public-read"
    assert info.versioning_status is None
    assert client.get_bucket_location().location == "oss-ap-southeast-1"
    assert client.get_bucket_acl().acl == "public-read"
    assert client.get_bucket_versioning().status is None
    client.put_object("k", b"x")
    assert client.head_object("k").headers["x-oss-storage-class"] == "Archive"


def test_tags(box: Box) -> None:
    client = box.client()
    answer = box.send("GET", query={"tagging": ""})
    assert answer.status_code == 200  # S3 would say 404
    assert b"<TagSet />" in answer.content
    rule = oss2.models.TaggingRule()
    rule.add("bailian-datahub-access", "read")
    rule.add("team", "ü")
    client.put_bucket_tagging(oss2.models.Tagging(rule))
    wanted = {"bailian-datahub-access": "read", "team": "ü"}
    assert client.get_bucket_tagging().tag_set.tagging_rule == wanted
    assert box.state.bucket(BUCKET).tags == wanted
    client.delete_bucket_tagging()
    assert client.get_bucket_tagging().tag_set.tagging_rule == {}


def test_creating_and_deleting(box: Box) -> None:
    client = box.client(bucket="fresh-bucket")
    refused("NoSuchBucket", 404, client.get_bucket_info)
    config = oss2.models.BucketCreateConfig(oss2.BUCKET_STORAGE_CLASS_IA)
    client.create_bucket(oss2.BUCKET_ACL_PRIVATE, config)
    assert client.get_bucket_info().storage_class == "IA"
    refused("BucketAlreadyExists", 409, client.create_bucket)
    client.put_object("k", b"x")
    upload = client.init_multipart_upload("part")
    refused("BucketNotEmpty", 409, client.delete_bucket)
    client.delete_object("k")
    refused("BucketNotEmpty", 409, client.delete_bucket)  # parts count, too
    client.abort_multipart_upload("part", upload.upload_id)
    client.delete_bucket()
    refused("NoSuchBucket", 404, client.get_bucket_info)


def test_listing_buckets(box: Box) -> None:
    for name in ("alpha-1", "alpha-2", "beta-1"):
        box.state.create_bucket(name)
    auth, session = oss2.AuthV4(KEY_ID, SECRET), oss2.Session()
    service = oss2.Service(auth, box.endpoint.url, region=REGION, session=session)
    found = oss2.BucketIterator(service, max_keys=1)
    assert [item.name for item in found] == ["alpha-1", "alpha-2", "beta-1", BUCKET]
    below = service.list_buckets(prefix="alpha")
    assert [item.name for item in below.buckets] == ["alpha-1", "alpha-2"]
    session.session.close()


@pytest.mark.parametrize(
    "name", ["ab", "Upper-case", "-front", "back-", "a_b", "a" * 64]
)
def test_bucket_names(box: Box, name: str) -> None:
    answer = box.send("GET", query={"bucketInfo": ""}, bucket=name)
    assert (answer.status_code, code_of(answer)) == (400, "InvalidBucketName")


def test_a_bucket_of_another_region(box: Box) -> None:
    box.state.create_bucket("far-bucket", region="cn-hangzhou")
    client = box.client(bucket="far-bucket")
    error = refused("AccessDenied", 403, lambda: client.put_object("k", b"x"))
    assert error.details["Endpoint"] == "oss-cn-hangzhou.aliyuncs.com"
    # documented: GetBucketInfo may be asked at any endpoint
    assert client.get_bucket_info().location == "oss-cn-hangzhou"


def test_what_the_sandbox_does_not_know_is_501(box: Box) -> None:
    """In the words of OSS, with what was asked, and never a success."""
    for method, key, query in (
        ("GET", "", {"website": ""}),
        ("GET", "", {"max-keys": "1", "maxkeys": "2"}),
        ("PUT", "", {"lifecycle": ""}),
        ("PUT", "k", {"acl": ""}),
        ("POST", "", {}),
        ("PATCH", "k", {}),
        ("PUT", "k", {"partNumber": "1"}),
        ("GET", "k", {"x-oss-process": "image/info"}),
    ):
        answer = box.send(method, key, query=query, data=b"")
        assert (answer.status_code, code_of(answer)) == (501, "NotImplemented")
        assert answer.headers["x-oss-ec"]
        asked = parsed(answer.content).findtext("Request") or ""
        assert asked.startswith(f"{method} /{BUCKET}/{key}")
        assert all(name in answer.text for name in query)
    answer = box.send("PUT", "k", headers={"x-oss-callback": "a"}, data=b"")
    assert (answer.status_code, code_of(answer)) == (501, "NotImplemented")
    assert "x-oss-callback" in answer.text
    error = refused("NotImplemented", 501, box.client().get_bucket_website)
    assert "does not do this" in error.message
    assert box.state.objects(BUCKET) == []


def test_requests_that_are_signed_for_s3_are_told_so(box: Box) -> None:
    url = f"{box.endpoint.url}/{BUCKET}/k"
    header = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/s3/aws4_request"}
    for answer in (
        box.http.put(url, data=b"x", headers=header, timeout=10),
        box.http.get(url, headers={"Authorization": "AWS a:b"}, timeout=10),
        box.http.get(url, params={"X-Amz-Algorithm": "AWS4-HMAC-SHA256"}, timeout=10),
    ):
        assert (answer.status_code, code_of(answer)) == (501, "NotImplemented")
        assert "signed for S3" in answer.text
        assert answer.headers["x-oss-ec"] == "0002-00000033"


def test_names_of_the_endpoint_and_of_buckets(box: Box) -> None:
    """Path style at the endpoint's own names, the bucket's name before them else."""
    box.client().put_object("dir/k", b"x")
    port = box.endpoint.port
    own = f"oss-{REGION}.aliyuncs.com"
    for host, path in (
        ("127.0.0.1", f"{BUCKET}/dir/k"),
        ("localhost", f"{BUCKET}/dir/k"),
        (f"LocalHost:{port}", f"{BUCKET}/dir/k"),
        (own, f"{BUCKET}/dir/k"),
        (f"{BUCKET}.localhost:{port}", "dir/k"),
        (f"{BUCKET}.{own}", "dir/k"),
        (f"{BUCKET}.oss-{REGION}-internal.aliyuncs.com", "dir/k"),
    ):
        signed = box.client().sign_url("GET", "dir/k", 60)
        query = signed.partition("?")[2]
        url = f"{box.endpoint.url}/{path}?{query}"
        answer = box.http.get(url, headers={"Host": host}, timeout=10)
        assert (answer.status_code, answer.content) == (200, b"x"), host


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl")
def test_a_client_that_resolves_names_below_localhost(box: Box) -> None:
    box.client().put_object("k", b"x")
    query = box.client().sign_url("GET", "k", 60).partition("?")[2]
    url = f"http://{BUCKET}.localhost:{box.endpoint.port}/k?{query}"
    command = ["curl", "--silent", "--noproxy", "*", "--fail", url]
    done = subprocess.run(command, capture_output=True, timeout=30, check=True)
    assert done.stdout == b"x"


def test_what_a_bucket_tells_of_itself(box: Box) -> None:
    client = box.client()
    for call, code in (
        (client.get_bucket_encryption, "NoSuchServerSideEncryptionRule"),
        (client.get_bucket_lifecycle, "NoSuchLifecycle"),
        (client.get_bucket_policy, "NoSuchBucketPolicy"),
    ):
        refused(code, 404, call)
    client.put_object("k", b"12345")
    box.state.put(BUCKET, "cold", [b"123"], attributes=Attributes("IA"))
    upload = client.init_multipart_upload("open").upload_id
    client.upload_part("open", upload, 1, b"12")
    stat = client.get_bucket_stat()
    assert (stat.storage_size_in_bytes, stat.object_count) == (10, 2)
    assert stat.multi_part_upload_count == 1
    assert (stat.standard_storage, stat.infrequent_access_storage) == (5, 3)
    box.state.set_encryption(BUCKET, "KMS", "key-1")
    rule = client.get_bucket_encryption()
    assert (rule.sse_algorithm, rule.kms_master_keyid) == ("KMS", "key-1")
    allow = {"Effect": "Allow", "Action": ["oss:*"], "Resource": "*", "Principal": []}
    document = {"Version": "1", "Statement": [allow]}
    box.state.set_policy(BUCKET, Policy.from_json(document))
    assert json.loads(client.get_bucket_policy().policy) == document
