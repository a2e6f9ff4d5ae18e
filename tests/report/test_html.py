"""The HTML page: self-contained, inert, readable; in a real browser if there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from preflight.api import check
from preflight.record import RunRecord
from preflight.report import render
from tests.report.runs import imported, uploaded
from tests.report.runs import run as record
from tests.report.test_formats import ALL, FAILED, HOSTILE, PASSED, WARNED

BROWSER = shutil.which("chromium")
STYLE = re.compile(r"\.l\d\{background:(#\w+);color:(#\w+)\}")


class Page(HTMLParser):
    """Tags, attributes and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def hostile() -> RunRecord:
    run = record(PASSED, WARNED, FAILED, command="push")
    run.directory = f"{HOSTILE}/'\"><img src=x onerror=alert(1)>"
    run.uploaded = uploaded()
    run.imported = imported(HOSTILE, job={"model_name": HOSTILE})
    return run


@pytest.mark.parametrize("name", [*ALL, "hostile"])
def test_nothing_in_it_runs_or_is_fetched(name: str) -> None:
    text = render(hostile() if name == "hostile" else ALL[name], "html")
    page = Page(text)
    assert not {"script", "img", "iframe", "object", "form"} & set(page.tags)
    assert set(page.links) <= {"data:,"}
    assert "default-src 'none'" in text
    assert not re.search(r"url\(|@import|https?://", text)


def test_every_finding_is_told_with_its_fix() -> None:
    page = Page(render(ALL["failed"], "html"))
    assert "NOT READY" in page.text
    assert "<script>alert(1)</script>" in page.text
    for words in ("X03", "Mend it.", "B.", "and 5 more", "is odd"):
        assert words in page.text


def luminance(color: str) -> float:
    """As WCAG 2 defines it."""
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_colours_can_be_read_by_everybody() -> None:
    """At least 4.5 to 1, in the map's shades and in both colour schemes."""
    text = render(record(PASSED), "html")
    shades = STYLE.findall(text)
    assert len(shades) == 9
    for background, color in shades:
        assert contrast(background, color) >= 4.5, background
    schemes = re.findall(r":root \{([^}]*)\}", text)
    assert len(schemes) == 2
    for scheme in schemes:
        colors = dict(re.findall(r"--(\w+): (#\w{6})", scheme))
        for name in ("text", "quiet", "good", "odd", "bad"):
            for behind in ("page", "card"):
                assert contrast(colors[name], colors[behind]) >= 4.5, (name, behind)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an adapter of Qwen3-8B in full shape: 504 tensors."""
    directory = tmp_path_factory.mktemp("html")
    adapter = build_adapter(directory / "a'b<i>c", base="qwen3-8b", rank=16)
    checked = check(adapter)
    began = time.process_time()
    text = render(checked.record, "html")
    took = time.process_time() - began
    assert took < 10  # seconds of a busy machine; on an idle one it is below two
    assert len(text.encode()) < 1_000_000
    path = directory / "page.html"
    path.write_text(text, "utf-8")
    return path


def test_the_map_has_every_module_as_text(page: Path) -> None:
    found = Page(page.read_text("utf-8"))
    assert found.tags.count("tr") >= 37
    assert "self_attn.q_proj" in found.text
    assert "252 trained" in found.text


@dataclass(frozen=True, slots=True)
class Visit:
    """What a browser made of a page: the document, complaints, and whom it asked."""

    dom: str
    console: list[str]
    asked: list[str]


def visited(page: Path, scratch: Path) -> Visit:
    """Open a page in a browser that cannot resolve any host."""
    log = scratch / "net.json"
    words = [
        str(BROWSER),
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        f"--user-data-dir={scratch}/profile",
        f"--log-net-log={log}",
        "--dump-dom",
        page.as_uri(),
    ]
    done = subprocess.run(
        words, capture_output=True, text=True, timeout=100, check=False
    )
    assert done.returncode == 0, done.stderr
    console = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    asked = []
    for event in json.loads(log.read_text("utf-8"))["events"]:
        told = event.get("params") or {}
        # What the browser does for itself comes from no document.
        initiator = told.get("initiator", "not an origin")
        if initiator != "not an origin" and "url" in told:
            asked.append(str(told["url"]))
    return Visit(done.stdout, console, [url for url in asked if ":" in url[:6]])


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
@pytest.mark.parametrize("which", ["adapter", "hostile"])
def test_in_a_browser_it_asks_nobody_and_complains_of_nothing(
    page: Path, tmp_path: Path, which: str
) -> None:
    if which == "hostile":
        page = tmp_path / "page.html"
        page.write_text(render(hostile(), "html"), "utf-8")
    seen = visited(page, tmp_path)
    assert "<h1>" in seen.dom
    assert "<script" not in seen.dom
    assert seen.console == []
    assert [url for url in seen.asked if not url.startswith("data:")] == []


@pytest.mark.skipif(BROWSER is None, reason="chromium is not installed")
def test_a_page_that_asks_and_complains_would_be_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(
        "<h1>x</h1><img src='http://x.invalid/a.png'><script>console.log(1);"
        "nothing()</script>",
        "utf-8",
    )
    seen = visited(page, tmp_path)
    assert "http://x.invalid/a.png" in seen.asked
    assert seen.console
