from __future__ import annotations

import json
from urllib.parse import quote

import pytest

from preflight.hidden import hide, masked, masked_value, without
from preflight.progress import ProgressMode
from preflight.terminal import Terminal
from preflight.text import json_text, render_lines

SECRET = "planted-secret+0123/456"


def test_secrets_are_masked_the_longest_first() -> None:
    hide("", "abc", "planted-one", "planted-one-two")
    text = "planted-one-two planted-one xplanted-onex abc"
    assert masked(text) == "*** *** x***x abc"


def test_a_short_secret_is_masked_where_it_stands_alone() -> None:
    """A proxy's password may be a word; a text with holes in it helps nobody."""
    hide("model", "pass")
    for text, shown in (
        ("model", "***"),
        ("models/one, a model: pass.", "models/one, a ***: ***."),
        ("adapter_model.safetensors passes", "adapter_model.safetensors passes"),
        ("--model-name bypass http://u:pass@h", "--model-name bypass http://u:***@h"),
    ):
        assert masked(text) == shown
        assert without(text, "model", "pass") == shown


def test_secrets_are_known_as_urls_write_them() -> None:
    hide(SECRET)
    assert masked(f"GET /?k={quote(SECRET, safe='')}") == "GET /?k=***"


def test_in_a_document_values_are_masked_and_names_stay() -> None:
    hide(SECRET, "schema", "true", "pass")
    deep = {"true": True, "deep": f"<{SECRET}>", "verdict": "pass", "said": "pass it"}
    document = {"schema": 1, "n": [SECRET, deep]}
    told = {"true": True, "deep": "<***>", "verdict": "pass", "said": "*** it"}
    shown = {"schema": 1, "n": ["***", told]}
    assert masked_value(document) == shown
    assert json.loads(json_text(document)) == shown


def test_in_a_document_a_secret_is_found_however_json_writes_it() -> None:
    for secret in ('quo"te-planted-1', "back\\slash-planted", "tab\t-planted-é-one"):
        hide(secret)
        assert masked_value([f"<{secret}>"]) == ["<***>"]
        assert json.loads(json_text({"said": secret})) == {"said": "***"}


def test_every_door_masks(capsys: pytest.CaptureFixture[str]) -> None:
    hide(SECRET)
    Terminal().complain(f"a server said: {SECRET}")
    Terminal().show_lines([f"a result: {SECRET}"])
    Terminal().show_document({"result": [SECRET]})
    Terminal().annotate(f"::error::{SECRET}\n")
    Terminal(mode=ProgressMode.JSON).event("job", job={"name": SECRET})
    done = capsys.readouterr()
    assert (done.out + done.err).count("***") == 5
    assert SECRET not in done.out + done.err
    assert render_lines([SECRET]) == "***\n"
