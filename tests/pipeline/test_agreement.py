"""`check` and `push` say the same of a directory, in the same words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from tests.running import InProcess, tiny_adapter

# Of each family, of either severity, and what is no rule's business.
KINDS = (
    None,
    "rank-128",
    "rslora",
    "orig-mod",
    "nan-last",
    "base-null",
    "base-coder",
    "truncated",
    "empty-directory",
    "only-bin",
    "in-checkpoint",
    "template-extra",
    "both-kinds",
    "token-in-tokenizer",
    "long-name",
)


def verdict(text: str) -> str:
    found = re.findall(r"^[✔✘] .*$", text, re.MULTILINE)
    return str(found[-1]).removesuffix("; nothing was uploaded")


@pytest.mark.parametrize("kind", KINDS)
def test_check_and_push_agree(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    kind: str | None,
) -> None:
    preflight = InProcess(tmp_path / "home", monkeypatch, capsys)
    adapter = tiny_adapter(tmp_path / "one/adapter")
    if kind:
        FAULTS[kind].apply(adapter)
    push = ("push", "-n", adapter, "oss://bucket/models/one/")
    first, second = preflight("check", adapter), preflight(*push)
    assert first.code == second.code
    if kind == "in-checkpoint":  # check goes on to what lies below
        assert {verdict(each.out)[:11] for each in (first, second)} == {"✘ NOT READY"}
        return
    if "✔" in first.out or "✘" in first.out:
        assert verdict(first.out) == verdict(second.out)
    documents = [preflight(*w, "--format", "json") for w in (("check", adapter), push)]
    one, other = (done.document for done in documents)
    for field in ("verdict", "usable", "exit_code", "outcomes", "counts"):
        assert one.get(field) == other.get(field), field
    if first.code == 2:
        assert one["error"]["message"] == other["error"]["message"]
