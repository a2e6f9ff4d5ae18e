"""fsspec's file system, as pandas and others use it."""

from __future__ import annotations

import tempfile
from pathlib import Path

import ossfs
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

system = ossfs.OSSFileSystem(key=KEY_ID, secret=SECRET, endpoint=ENDPOINT)


def upload() -> None:
    system.put(str(SOURCE), f"{BUCKET}/{KEY}")


def download() -> None:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder, "file")
        system.get(f"{BUCKET}/{KEY}", str(target))
        must(target.read_bytes() == DATA, "other bytes came back")
    with system.open(f"{BUCKET}/{KEY}", "rb") as file:
        file.seek(len(DATA) - 7)
        must(file.read() == DATA[-7:], "other bytes at the end")


def listing() -> None:
    found = system.ls(f"{BUCKET}/{PREFIX}", detail=False)
    must([name.lstrip("/") for name in found] == [f"{BUCKET}/{KEY}"], found)


report(
    "ossfs",
    {
        "upload": upload,
        "download": download,
        "list": listing,
        "copy": lambda: system.copy(f"{BUCKET}/{KEY}", f"{BUCKET}/{COPY}"),
        "delete": lambda: system.rm(f"{BUCKET}/{KEY}"),
    },
)
