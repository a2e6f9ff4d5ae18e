"""Full weights against the values of the base."""

from __future__ import annotations

from preflight.findings import Severity
from preflight.model.text_comparison import TextComparison
from preflight.rules.k_base import weights_are_not_the_base_s
from tests.rules.inputs import severities, told


def test_weights_that_equal_the_base_s_throughout() -> None:
    check = weights_are_not_the_base_s
    assert severities(check, text=TextComparison(398, 0)) == [Severity.WARNING]
    assert "all 398 text tensors" in told(check, text=TextComparison(398, 0))
    assert not severities(check, text=TextComparison(398, 1))
    assert not severities(check, text=TextComparison(0, 0))
