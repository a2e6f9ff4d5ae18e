"""The HTML page in a real browser, Debian's Chromium: `make browser-test`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from preflight.api import check
from preflight.report import render, render_many
from preflight.report.several import Several
from tests.report.pages import MARKUP, hostile, hostile_several, uneven
from tests.running import tiny_adapter

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Dialog, Page

CHROMIUM = shutil.which("chromium")
NEEDED = os.environ.get("PREFLIGHT_BROWSER") == "1"  # then a test that cannot run fails
PHONE = {"width": 360, "height": 740}

pytestmark = pytest.mark.skipif(
    CHROMIUM is None and not NEEDED, reason="chromium is missing"
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not NEEDED:
        pytest.importorskip("playwright.sync_api")
        pytest.importorskip("axe_playwright_python.sync_playwright")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        flags = ["--host-resolver-rules=MAP * ~NOTFOUND"]
        started = driver.chromium.launch(
            executable_path=CHROMIUM, args=flags, chromium_sandbox=False
        )
        yield started
        started.close()


PAGES = ("adapter", "several", "hostile", "hostile several")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An adapter of Qwen3-8B in full shape with two faults, several, and strangers."""
    place = tmp_path_factory.mktemp("pages")
    adapter = build_adapter(place / "a'b<i>c", base="qwen3-8b", rank=16)
    uneven(adapter)
    for fault in ("dora", "b-some-zero", "nan-last"):
        FAULTS[fault].apply(adapter)
    one = check(adapter).record
    other = check(tiny_adapter(place / "other")).record
    texts = {
        "adapter": render(one, "html"),
        "several": render_many(Several.of([one, other], 1, str(place)), "html"),
        "hostile": render(hostile(), "html"),
        "hostile several": render_many(hostile_several(), "html"),
    }
    made = {name: place / f"{name}.html" for name in texts}
    for name, text in texts.items():
        made[name].write_text(text, "utf-8")
    return made


@dataclass
class Heard:
    """What a page said and whom it asked while it was open."""

    console: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)

    def listen(self, page: Page) -> None:
        page.on("console", lambda said: self.console.append(said.text))
        page.on("pageerror", lambda error: self.console.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        page.on("dialog", self._dismiss)

    def _dismiss(self, shown: Dialog) -> None:
        self.dialogs.append(shown.message)
        shown.dismiss()


def opened(browser: Browser, path: Path, heard: Heard, **options: Any) -> Page:  # noqa: ANN401
    page = browser.new_context(**options).new_page()
    heard.listen(page)
    page.goto(path.as_uri())
    return page


@pytest.mark.parametrize("name", PAGES)
def test_it_asks_nobody_and_complains_of_nothing(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    heard = Heard()
    page = opened(browser, pages[name], heard)
    for summary in page.locator("summary").all():
        summary.click()
    page.wait_for_load_state("networkidle")
    own = pages[name].as_uri()
    assert [url for url in heard.asked if url not in (own, "data:,")] == []
    assert heard.console == []
    assert heard.dialogs == []
    assert page.locator("script, img, iframe, object, form").count() == 0
    page.context.close()


def test_a_page_that_asks_and_complains_would_be_noticed(
    browser: Browser, tmp_path: Path
) -> None:
    path = tmp_path / "page.html"
    path.write_text(
        "<h1>x</h1><img src='http://x.invalid/a.png'><script>console.log(1);"
        "alert(2);nothing()</script>",
        "utf-8",
    )
    heard = Heard()
    page = opened(browser, path, heard)
    page.wait_for_load_state("networkidle")
    assert "http://x.invalid/a.png" in heard.asked
    assert len(heard.console) >= 2
    assert heard.dialogs
    page.context.close()


def test_hostile_names_are_text(browser: Browser, pages: dict[str, Path]) -> None:
    page = opened(browser, pages["hostile"], Heard())
    heading = page.locator("h1").inner_text()
    assert "<script>alert(1)</script>" in heading
    assert "onerror=alert(1)" in heading
    assert heading.count("\n") <= MARKUP.count("\n")
    assert page.title().startswith("<script>")
    page.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_the_rules_of_accessibility_hold(
    browser: Browser, pages: dict[str, Path], name: str, scheme: str
) -> None:
    """axe-core's rules of WCAG 2 A and AA, contrast among them, all details open."""
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, pages[name], Heard(), color_scheme=scheme, bypass_csp=True)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = Axe().run(page)
    told = [
        (rule["id"], node["html"][:200], node.get("failureSummary", "")[:300])
        for rule in found.response["violations"]
        for node in rule["nodes"][:2]
    ]
    assert told == []
    assert any(rule["id"] == "color-contrast" for rule in found.response["passes"])
    page.context.close()


@pytest.mark.parametrize("name", PAGES)
def test_on_a_phone_nothing_is_wider_than_the_screen(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    page = opened(browser, pages[name], Heard(), viewport=PHONE, is_mobile=True)
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= PHONE["width"]
    page.context.close()


def test_both_schemes_differ_and_follow_the_reader(
    browser: Browser, pages: dict[str, Path]
) -> None:
    seen = {}
    for scheme in ("light", "dark"):
        page = opened(browser, pages["adapter"], Heard(), color_scheme=scheme)
        script = "getComputedStyle(document.body).backgroundColor"
        seen[scheme] = page.evaluate(script)
        page.context.close()
    assert seen["light"] != seen["dark"]


def test_everything_can_be_reached_by_keyboard(
    browser: Browser, pages: dict[str, Path]
) -> None:
    """Links, details and what scrolls; each shows where the focus is."""
    page = opened(browser, pages["several"], Heard())
    wanted = page.locator("a, summary, [tabindex='0']").count()
    reached = set()
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        told = page.evaluate(
            "(() => { const e = document.activeElement; return [e.tagName,"
            " e.outerHTML.slice(0, 200), getComputedStyle(e).outlineStyle] })()"
        )
        if told[0] != "BODY":
            reached.add(told[1])
            assert told[2] != "none", told
    assert page.locator("a").count() == 2
    page.locator("a").first.focus()
    page.keyboard.press("Enter")
    assert page.url.endswith("#run-1")
    summary = page.locator("summary").first
    summary.focus()
    page.keyboard.press("Enter")
    assert summary.locator("..").evaluate("d => d.open")
    assert len(reached) >= min(wanted, 4)
    page.context.close()


def test_each_picture_has_words(browser: Browser, pages: dict[str, Path]) -> None:
    page = opened(browser, pages["adapter"], Heard())
    strips = page.get_by_role("img").all()
    assert len(strips) == 7
    for strip in strips:
        assert "_proj: 3" in str(strip.get_attribute("aria-label"))
    assert page.locator(".cells .zero").count() == 7
    assert page.locator(".cells .nonfinite").count() == 1
    texts = page.locator("details.numbers td").all_text_contents()
    assert len(texts) == 36 * 7
    assert texts.count("zero") == 7
    assert texts.count("not finite") == 1
    page.context.close()


def test_it_is_printed_on_white_with_the_map_in_colour(
    browser: Browser, pages: dict[str, Path], tmp_path: Path
) -> None:
    page = opened(browser, pages["adapter"], Heard(), color_scheme="dark")
    page.emulate_media(media="print", color_scheme="light")
    script = "getComputedStyle(document.body).backgroundColor"
    assert page.evaluate(script) == "rgb(255, 255, 255)"
    cell = page.locator(".cells i.l5").first
    assert cell.evaluate("e => getComputedStyle(e).printColorAdjust") == "exact"
    path = tmp_path / "page.pdf"
    page.pdf(path=str(path))
    assert path.read_bytes().startswith(b"%PDF")
    page.context.close()
