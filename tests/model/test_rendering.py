"""Templates that make the same text, and programs that never end."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from preflight.model.rendering import renders_alike
from tests.cases import case

PLAIN = (
    "{%- for message in messages %}\n"
    "    {{- '<|im_start|>' + message.role + '\\n' }}{{ message.content | string }}\n"
    "{%- endfor %}\n"
    "{%- if add_generation_prompt %}{{ '<|im_start|>assistant' }}{% endif %}"
)


@pytest.fixture(autouse=True)
def nothing_is_known() -> None:
    """Each test asks a process of its own, also where the question is the same."""
    renders_alike.cache_clear()


def test_the_same_text_from_another_spelling() -> None:
    spelt = PLAIN.replace("message.role", "message['role']")
    assert renders_alike(PLAIN, PLAIN + "{# nothing #}") is True
    assert renders_alike(PLAIN, spelt) is True


def test_a_difference_in_any_kind_of_chat_is_seen() -> None:
    cases: list[str] = [
        PLAIN.replace("assistant'", "bot'"),
        PLAIN + "{% if tools %}{{ tools | tojson }}{% endif %}",
        PLAIN + "{% if enable_thinking is false %}<think></think>{% endif %}",
        PLAIN
        + "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}",
    ]
    for other in cases:
        with case(other):
            assert renders_alike(PLAIN, other) is False


def test_what_renders_nothing_tells_nothing() -> None:
    cases: list[str] = [
        "{% if %}",
        "{{ raise_exception('never') }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ 'x' * (10 ** 12) }}",
    ]
    for other in cases:
        with case(other):
            assert renders_alike(PLAIN, other) is None


def test_a_template_that_never_ends_is_given_up() -> None:
    forever = "{% for a in range(9999) %}" * 4 + "{% endfor %}" * 4
    assert renders_alike(PLAIN, forever, seconds=0.3) is None


def test_the_same_question_starts_no_other_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert renders_alike(PLAIN, PLAIN + "{# again #}") is True
    monkeypatch.setattr(sys, "executable", "/nothing/there")
    assert renders_alike(PLAIN, PLAIN + "{# again #}") is True
    assert renders_alike(PLAIN, PLAIN + "{# another #}") is None


def test_what_lies_in_the_current_directory_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A model's directory may hold modules, and people go there to check it."""
    for name in ("json", "jinja2", "resource", "subprocess"):
        ran = f"open({str(tmp_path / 'ran')!r}, 'w'); raise SystemExit"
        (tmp_path / f"{name}.py").write_text(ran, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert renders_alike(PLAIN, PLAIN + "{# nothing #}") is True
    assert not (tmp_path / "ran").exists()
