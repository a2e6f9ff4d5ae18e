from __future__ import annotations

from preflight.catalog.loaders import load_confirmations
from preflight.report.manual import manual_page
from preflight.rules import RULES


def test_a_page_names_the_loaders_that_confirm_the_rule() -> None:
    confirmations = load_confirmations()
    for rule in RULES:
        page = list(manual_page(rule.code))
        at = page.index(f"Fix: {rule.fix}")
        told = page[at + 2 :]
        while told[0].startswith("Repair ("):
            told = told[2:]
        if found := confirmations.get(rule.code):
            assert told[1:] == [f"  {one}" for one in found]
            assert any("transformers" in line for line in told)
        else:
            assert told == ["Loaders: none of those asked confirms it; see the source."]
