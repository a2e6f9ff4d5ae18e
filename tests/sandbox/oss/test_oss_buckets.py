from __future__ import annotations

import oss2
import pytest

from tests.sandbox.oss.box import BUCKET, KEY_ID, REGION, SECRET, Box, code_of, refused


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
    for method, key, query in (
        ("GET", "", {"lifecycle": ""}),
        ("GET", "", {"max-keys": "1", "maxkeys": "2"}),
        ("PUT", "k", {"acl": ""}),
        ("POST", "k", {"append": "", "position": "0"}),
        ("POST", "", {}),
        ("PATCH", "k", {}),
        ("PUT", "k", {"partNumber": "1"}),
        ("GET", "k", {"x-oss-process": "image/info"}),
    ):
        answer = box.send(method, key, query=query, data=b"")
        assert answer.status_code == 501, (method, query)
        assert f"{method} /{BUCKET}/{key}" in answer.text
        assert all(name in answer.text for name in query)
    answer = box.send("PUT", "k", headers={"x-oss-tagging": "a=b"}, data=b"")
    assert answer.status_code == 501
    assert "x-oss-tagging" in answer.text
    assert box.state.objects(BUCKET) == []
