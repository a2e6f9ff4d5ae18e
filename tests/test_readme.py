from __future__ import annotations

from tests.readme import README, part, rules_table


def test_the_table_of_rules_is_the_code_s_own() -> None:
    text = README.read_text("utf-8")
    assert part(text, "rules") == rules_table(), "run `make readme`"


def test_the_transcripts_show_a_success_and_a_refusal() -> None:
    text = README.read_text("utf-8")
    demo = part(text, "demo").splitlines()
    assert demo[1].startswith("$ preflight push --sandbox")
    assert demo[-2].startswith("imported qwen3-8b-lora, an adapter of qwen3-8b")
    assert "error K01 lora-keys-well-formed" in part(text, "broken")
