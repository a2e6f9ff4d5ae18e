"""Ask the sink whether all that was to be uploaded has arrived."""

from __future__ import annotations

import ssl
import urllib.request
import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.benchmarks.model_dir import Written


def _listed(
    endpoint: str, prefix: str, authority: Path | None
) -> Mapping[str, Written]:
    """The objects below a prefix; the sink's ETags are CRC-64s in hexadecimal."""
    context = ssl.create_default_context(cafile=authority)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
    )
    url = f"{endpoint}/bench-bucket/?prefix={prefix}"
    with opener.open(url, timeout=30) as answer:
        root = ET.fromstring(answer.read())  # noqa: S314 - our own sink wrote it
    return {
        (item.findtext("Key") or "").removeprefix(prefix): Written(
            int(item.findtext("Size") or 0),
            int((item.findtext("ETag") or "").strip('"'), 16),
        )
        for item in root.iter("Contents")
    }


def check_arrival(
    endpoint: str,
    prefix: str,
    files: Mapping[str, Written],
    *,
    in_pieces: bool,
    authority: Path | None = None,
) -> None:
    """Raise RuntimeError unless the sink received exactly these files.

    `in_pieces`: as objects FILE.OFFSET, of which the sizes are added up. `authority`:
    the certificate that signed the sink's.
    """
    found = _listed(endpoint, prefix, authority)
    if not in_pieces:
        if found != files:
            raise RuntimeError(f"{prefix}: the sink has {found}, not {dict(files)}")
        return
    sizes = Counter[str]()
    for name, piece in found.items():
        sizes[name.rpartition(".")[0]] += piece.size
    if sizes != {name: made.size for name, made in files.items()}:
        raise RuntimeError(f"{prefix}: the sink has {sizes} bytes, not {dict(files)}")
