"""The HTML page: self-contained, inert, readable; `test_browser` opens it."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from preflight.api import check
from preflight.report import render, render_many
from tests.cases import case
from tests.report.pages import hostile, hostile_several
from tests.report.runs import run as record
from tests.report.test_formats import ALL, PASSED

SECONDS = 2.0  # of CPU time for a page of 504 tensors


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


def test_nothing_in_it_runs_or_is_fetched() -> None:
    cases: list[str] = [*ALL, "hostile", "several"]
    for name in cases:
        with case(name):
            if name == "several":
                text = render_many(hostile_several(), "html")
            else:
                text = render(hostile() if name == "hostile" else ALL[name], "html")
            page = Page(text)
            assert text.startswith("<!doctype html>")
            assert not {"script", "img", "iframe", "object", "form"} & set(page.tags)
            parts = {"data:,", "#run-1", "#run-2"} if name == "several" else {"data:,"}
            assert set(page.links) <= parts
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


BEHIND = {
    "text": ("page", "card", "good-back", "odd-back", "bad-back"),
    "quiet": ("page", "card", "good-back", "odd-back", "bad-back"),
    "accent": ("page", "card"),
    "good": ("card", "good-back"),
    "odd": ("card", "odd-back"),
    "bad": ("card", "bad-back"),
    "mark": ("zero", "same", "hole"),
    "on-broken": ("broken",),
}


def test_colours_can_be_read_by_everybody() -> None:
    """At least 4.5 to 1 for all text, in both colour schemes (WCAG 2 AA)."""
    schemes = re.findall(r":root \{([^}]*)\}", render(record(PASSED), "html"))
    assert len(schemes) == 2
    for scheme in schemes:
        colors = dict(re.findall(r"--([\w-]+): (#\w{6})", scheme))
        for name, places in BEHIND.items():
            for behind in places:
                ratio = contrast(colors[name], colors[behind])
                assert ratio >= 4.5, (name, behind, ratio)
        shades = [luminance(colors[f"l{level}"]) for level in range(9)]
        assert shades in (sorted(shades), sorted(shades, reverse=True))
        assert contrast(colors["l0"], colors["l8"]) >= 7


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of an adapter of Qwen3-8B in full shape: 504 tensors."""
    directory = tmp_path_factory.mktemp("html")
    adapter = build_adapter(directory / "a'b<i>c", base="qwen3-8b", rank=16)
    checked = check(adapter)
    began = time.process_time()
    text = render(checked.record, "html")
    took = time.process_time() - began
    assert took < SECONDS
    assert len(text.encode()) < 1_000_000
    path = directory / "page.html"
    path.write_text(text, "utf-8")
    return path


def test_the_map_has_every_module_as_text(page: Path) -> None:
    found = Page(page.read_text("utf-8"))
    assert found.tags.count("tr") >= 37
    assert "q_proj" in found.text
    assert "252 of 252 modules trained" in found.text
