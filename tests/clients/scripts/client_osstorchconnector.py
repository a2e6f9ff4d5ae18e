"""The vendor's data sets and checkpoints for PyTorch; it has no copy of its own."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

from osstorchconnector import OssCheckpoint, OssMapDataset
from reporting import (
    BUCKET,
    DATA,
    ENDPOINT,
    KEY,
    KEY_ID,
    PREFIX,
    REGION,
    SECRET,
    must,
    report,
)

folder = Path(tempfile.mkdtemp())
credentials = folder / "credentials"
credentials.write_text(json.dumps({"AccessKeyId": KEY_ID, "AccessKeySecret": SECRET}))
config = folder / "config.json"
logs = {"logLevel": 1, "logPath": f"{folder}/log", "auditPath": f"{folder}/audit"}
config.write_text(json.dumps(logs))
url = f"oss://{BUCKET}/"
options = {
    "endpoint": ENDPOINT,
    "cred_path": str(credentials),
    "config_path": str(config),
    "region": REGION,
}


def upload() -> None:
    checkpoint = OssCheckpoint(**options)
    with checkpoint.writer(url + KEY) as writer:
        writer.write(DATA)


def download() -> None:
    (one,) = OssMapDataset.from_objects([url + KEY], **options)
    must(one.read() == DATA, "other bytes came back")


def listing() -> None:
    data_set = OssMapDataset.from_prefix(url + PREFIX, **options)
    keys = [one.key for one in data_set]
    must([key.removeprefix(f"/{BUCKET}/") for key in keys] == [KEY], keys)


report("osstorchconnector", {"upload": upload, "download": download, "list": listing})
