"""20 GB and 10,000 parts through the fake, with PREFLIGHT_LARGE=1 (two minutes)."""

from __future__ import annotations

import os
import subprocess
import sys

import oss2
import pytest

from preflight.crc import crc64
from tests.sandbox.oss.box import BUCKET, Box, parsed

GIB = 1 << 30
PART = 64 << 20
LARGE = pytest.mark.skipif(
    "PREFLIGHT_LARGE" not in os.environ, reason="PREFLIGHT_LARGE=1"
)

SCRIPT = """
import resource, sys
import oss2
from preflight.crc import combine_all, crc64
from preflight.sandbox.faults import FaultPlan
from preflight.sandbox.oss import Credential, OssRoutes, OssState
from preflight.sandbox.server import Endpoint

count, part = int(sys.argv[1]), int(sys.argv[2])
state = OssState(digests=True)
state.add_credential(Credential("id", "secret"))
state.create_bucket("large-bucket")
endpoint = Endpoint("oss", OssRoutes(state), faults=FaultPlan())
endpoint.start()
auth = oss2.AuthV4("id", "secret")
client = oss2.Bucket(
    auth, endpoint.url, "large-bucket", region=state.region, enable_crc=False
)
data = bytes(range(256)) * (part // 256)
upload = client.init_multipart_upload("k").upload_id
parts = [
    oss2.models.PartInfo(n, client.upload_part("k", upload, n, data).etag)
    for n in range(1, 5)
]
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for n in range(5, count + 1):
    parts.append(oss2.models.PartInfo(n, client.upload_part("k", upload, n, data).etag))
client.complete_multipart_upload("k", upload, parts)
made = state.object("large-bucket", "k")
assert made.size == count * part
assert made.crc64 == combine_all([(crc64(data), part)] * count)
kept = sum(path.stat().st_size for path in (state.directory / 'bodies').iterdir())
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
endpoint.stop()
state.close()
print(kept, after - before)
"""


def grown(count: int, part: int) -> tuple[int, int]:
    """Bytes kept, and by how many KiB the process grew behind the fourth part."""
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT, str(count), str(part)]
    run = subprocess.run(
        command, capture_output=True, text=True, timeout=1800, check=False
    )
    assert run.returncode == 0, run.stderr
    kept, growth = run.stdout.split()
    return int(kept), int(growth)


def test_a_digest_upload_takes_little_room() -> None:
    kept, growth = grown(24, 4 << 20)
    assert kept == 16 << 20
    assert growth < 16 << 10


@LARGE
@pytest.mark.timeout(600)
def test_10_000_parts_over_http(box: Box) -> None:
    """As many as an upload may have: sent, listed in pages and joined."""
    client = box.client()
    client.enable_crc = False  # oss2 would combine 10,000 sums for 80 seconds
    upload_id = client.init_multipart_upload("k").upload_id
    data = bytes(100 << 10)
    parts = []
    for number in range(1, 10_001):
        sent = client.upload_part("k", upload_id, number, data)
        parts.append(oss2.models.PartInfo(number, sent.etag))
    query = {"uploadId": upload_id, "part-number-marker": "9999"}
    root = parsed(box.send("GET", "k", query=query).content)
    assert [item.text for item in root.findall("Part/PartNumber")] == ["10000"]
    assert len(list(oss2.PartIterator(client, "k", upload_id))) == 10_000
    client.complete_multipart_upload("k", upload_id, parts)
    made = box.state.object(BUCKET, "k")
    assert (made.size, made.crc64) == (10_000 * len(data), crc64(bytes(1_024_000_000)))


@LARGE
@pytest.mark.timeout(1800)
def test_20_gb_with_flat_memory() -> None:
    kept, growth = grown(20 * GIB // PART, PART)
    assert kept == 16 << 20
    assert growth < 16 << 10
