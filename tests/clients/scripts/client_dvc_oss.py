"""DVC's remote, as `dvc push` and `dvc pull` use it."""

from __future__ import annotations

import tempfile
from pathlib import Path

from dvc_oss import OSSFileSystem
from reporting import (
    BUCKET,
    COPY,
    DATA,
    ENDPOINT,
    KEY,
    KEY_ID,
    PREFIX,
    SECRET,
    SOURCE,
    must,
    report,
)

system = OSSFileSystem(
    url=f"oss://{BUCKET}",
    oss_endpoint=ENDPOINT,
    oss_key_id=KEY_ID,
    oss_key_secret=SECRET,
)


def upload() -> None:
    system.put_file(str(SOURCE), f"{BUCKET}/{KEY}")


def download() -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "file")
        system.get_file(f"{BUCKET}/{KEY}", str(target))
        must(target.read_bytes() == DATA, "other bytes came back")


def listing() -> None:
    found = list(system.find(f"{BUCKET}/{PREFIX}"))
    must([name.lstrip("/") for name in found] == [f"{BUCKET}/{KEY}"], found)


report(
    "dvc-oss",
    {
        "upload": upload,
        "download": download,
        "list": listing,
        "copy": lambda: system.copy(f"{BUCKET}/{KEY}", f"{BUCKET}/{COPY}"),
        "delete": lambda: system.rm_file(f"{BUCKET}/{KEY}"),
    },
)
