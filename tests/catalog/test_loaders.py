from __future__ import annotations

import json

from preflight.catalog.loaders import DATA, Confirmation, load_confirmations
from preflight.rules import RULES


def test_every_confirmation_is_of_a_rule_and_says_something() -> None:
    found = load_confirmations()
    assert found.keys() <= {rule.code for rule in RULES}
    for confirmations in found.values():
        loaders = [one.loader for one in confirmations]
        assert len(loaders) == len(set(loaders)) > 0
        for one in confirmations:
            named = (*one.refuses, *one.dead)
            assert 0 < len(named) == len(set(named)) <= one.of


def test_what_is_known_of_loaders_is_there() -> None:
    """PEFT refuses a rank that the tensors do not have; it loads an untrained one."""
    found = load_confirmations()
    assert all(one.refuses for one in found["C03"] if one.loader.startswith("PEFT"))
    assert any(one.dead for one in found["S12"])
    assert "C02" not in found  # ranks are a limit of the service, not of a loader


def test_a_line_for_people() -> None:
    both = Confirmation("PEFT 1 on transformers 2", ("a", "b"), ("c",), 4)
    assert str(both) == (
        "PEFT 1 on transformers 2: refuses 2 of 4, loads 1 without use"
    )
    dead = Confirmation("PEFT 1 on transformers 2", (), ("c",), 4)
    assert str(dead) == "PEFT 1 on transformers 2: loads 1 of 4 without use"


def test_the_data_is_small() -> None:
    assert DATA.stat().st_size < 60_000
    assert json.loads(DATA.read_text("utf-8"))["environments"]
