from __future__ import annotations

import pytest

from preflight.settings import hide, masked
from preflight.terminal import Terminal


def test_secrets_are_masked_the_longest_first() -> None:
    hide("", "abc", "planted-one", "planted-one-two", "wren")
    text = "planted-one-two planted-one xplanted-onex wren wrens abc"
    assert masked(text) == "*** *** x***x *** wrens abc"


def test_what_goes_to_the_terminal_is_masked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    hide("planted-secret-0123")
    Terminal().complain("a server said: planted-secret-0123")
    assert capsys.readouterr().err == "a server said: ***\n"
