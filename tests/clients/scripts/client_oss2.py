"""The vendor's first SDK, with multipart upload."""

from __future__ import annotations

import oss2
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

bucket = oss2.Bucket(oss2.AuthV4(KEY_ID, SECRET), ENDPOINT, BUCKET, region=REGION)


def upload() -> None:
    oss2.resumable_upload(
        bucket, KEY, str(SOURCE), multipart_threshold=1 << 20, part_size=1 << 20
    )


def download() -> None:
    must(bucket.get_object(KEY).read() == DATA, "other bytes came back")


def listing() -> None:
    found = [item.key for item in oss2.ObjectIteratorV2(bucket, prefix=PREFIX)]
    must(found == [KEY], found)


report(
    "oss2",
    {
        "upload": upload,
        "download": download,
        "list": listing,
        "copy": lambda: bucket.copy_object(BUCKET, KEY, COPY),
        "delete": lambda: bucket.delete_object(KEY),
    },
)
