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

DOCS = Path(__file__).parent.parent / "docs"
FAULT = "b-some-zero"  # so that the map has cells that are marked
FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def picture(page: Path, target: Path, *flags: str) -> None:
    """One screen of a page as a PNG."""
    subprocess.run(
        [
            "chromium",
            *FLAGS,
            *flags,
            "--window-size=1000,1000",
            f"--screenshot={target}",
            page.as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )


def main() -> int:
    """Make the report of a broken adapter and take both pictures."""
    DOCS.mkdir(exist_ok=True)
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch:
        adapter = build_adapter(Path(scratch, "my-adapter"), base="qwen3-8b", rank=16)
        FAULTS[FAULT].apply(adapter)
        page = Path(scratch, "report.html")
        os.chdir(scratch)  # the page tells the directory as it was named
        page.write_text(render(check(adapter.name).record, "html"), "utf-8")
        picture(page, DOCS / "report-light.png")
        dark = "--blink-settings=preferredColorScheme=0"
        picture(page, DOCS / "report-dark.png", dark)
        os.chdir(before)
    return 0


if __name__ == "__main__":
    sys.exit(main())
