"""Pictures of the HTML report for the README: `make screenshots`."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.api import check
from preflight.report import render
from tests.report.pages import uneven

DOCS = Path(__file__).parent.parent / "docs"
FAULTY = ("dora", "b-some-zero")  # a finding, and cells that are marked
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")
DARK = "--blink-settings=preferredColorScheme=0"
PICTURES = {
    "report-light.png": ("1000,1180",),
    "report-dark.png": ("1000,1180", DARK),
    "report-phone.png": ("500,1180",),  # no narrower window can be had
}


def picture(page: Path, target: Path, size: str, *flags: str) -> None:
    """One screen of a page as a PNG."""
    subprocess.run(
        [
            "chromium",
            *FLAGS,
            *flags,
            f"--window-size={size}",
            f"--screenshot={target}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


def main() -> int:
    """Make the report of an adapter with two faults, and take the pictures."""
    DOCS.mkdir(exist_ok=True)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        adapter = build_adapter(Path(scratch, "my-adapter"), base="qwen3-8b", rank=16)
        uneven(adapter)
        for fault in FAULTY:
            FAULTS[fault].apply(adapter)
        page = Path(scratch, "report.html")
        os.chdir(scratch)  # the page tells the directory as it was named
        page.write_text(render(check(adapter.name).record, "html"), "utf-8")
        for name, (size, *flags) in PICTURES.items():
            picture(page, DOCS / name, size, *flags)
        os.chdir(before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
