"""The vendor's second SDK, with its own managers of transfers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import alibabacloud_oss_v2 as oss
from reporting import (
    BUCKET,
    COPY,
    DATA,
    ENDPOINT,
    KEY,
    KEY_ID,
    PREFIX,
    REGION,
    SECRET,
    SOURCE,
    must,
    report,
)

config = oss.config.load_default()
config.credentials_provider = oss.credentials.StaticCredentialsProvider(KEY_ID, SECRET)
config.region, config.endpoint = REGION, ENDPOINT
client = oss.Client(config)


def upload() -> None:
    request = oss.PutObjectRequest(bucket=BUCKET, key=KEY)
    client.uploader(part_size=1 << 20).upload_file(request, str(SOURCE))


def download() -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "file")
        request = oss.GetObjectRequest(bucket=BUCKET, key=KEY)
        client.downloader(part_size=1 << 20).download_file(request, str(target))
        must(target.read_bytes() == DATA, "other bytes came back")


def listing() -> None:
    paginator = client.list_objects_v2_paginator()
    pages = paginator.iter_page(oss.ListObjectsV2Request(bucket=BUCKET, prefix=PREFIX))
    found = [item.key for page in pages for item in page.contents or []]
    must(found == [KEY], found)


def copy() -> None:
    request = oss.CopyObjectRequest(
        bucket=BUCKET, key=COPY, source_bucket=BUCKET, source_key=KEY
    )
    client.copier().copy(request)


def delete() -> None:
    client.delete_object(oss.DeleteObjectRequest(bucket=BUCKET, key=KEY))


report(
    "alibabacloud-oss-v2",
    {
        "upload": upload,
        "download": download,
        "list": listing,
        "copy": copy,
        "delete": delete,
    },
)
