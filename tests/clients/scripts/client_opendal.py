"""OpenDAL's operator on its OSS service."""

from __future__ import annotations

import opendal
from reporting import (
    BUCKET,
    COPY,
    DATA,
    ENDPOINT,
    KEY,
    KEY_ID,
    PREFIX,
    SECRET,
    must,
    report,
)

operator = opendal.Operator(
    "oss",
    bucket=BUCKET,
    endpoint=ENDPOINT,
    addressing_style="path",
    access_key_id=KEY_ID,
    access_key_secret=SECRET,
)


def download() -> None:
    must(bytes(operator.read(KEY)) == DATA, "other bytes came back")
    with operator.open(KEY, "rb") as file:
        file.seek(len(DATA) - 7)
        must(bytes(file.read()) == DATA[-7:], "other bytes at the end")


def listing() -> None:
    found = [entry.path for entry in operator.list(PREFIX)]
    must(KEY in found, found)


report(
    "opendal",
    {
        "upload": lambda: operator.write(KEY, DATA),
        "download": download,
        "list": listing,
        "copy": lambda: operator.copy(KEY, COPY),
        "delete": lambda: operator.delete(KEY),
    },
)
