"""The run of other clients: its table, and that it believes the bucket alone."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from preflight.sandbox import Sandbox
from tests.clients.run import (
    CLIENTS,
    PREFIX,
    SCRIPTS,
    SIZE,
    STEPS,
    Client,
    Outcome,
    execute,
    judge,
    table,
)
from tests.readme import README, part

OSS2 = next(client for client in CLIENTS if client.package == "oss2")


@pytest.fixture
def box() -> Iterator[Sandbox]:
    with Sandbox() as made:
        yield made
        made.check()


def test_a_client_that_is_installed_here(box: Sandbox, tmp_path: Path) -> None:
    file, data = tmp_path / "file", os.urandom(SIZE)
    file.write_bytes(data)
    told = execute(OSS2, sys.executable, box, file)
    assert told.steps == dict.fromkeys(STEPS, "works")
    assert judge(OSS2, box, data, told) == told


def test_what_is_said_and_not_done_is_found_out(box: Sandbox) -> None:
    said = Outcome("1", dict.fromkeys(STEPS, "works"))
    steps = judge(OSS2, box, b"x", said).steps or {}
    assert {name for name, text in steps.items() if text != "works"} == {
        "upload",
        "copy",
    }
    box.oss.put(box.bucket, f"{PREFIX}one.bin", [b"other"])
    steps = judge(OSS2, box, b"x", said).steps or {}
    assert "other bytes" in steps["upload"]
    assert steps["delete"] == "said to be done, and is not"


def test_a_script_that_breaks_is_told_in_its_own_words(
    box: Sandbox, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.touch()
    told = execute(Client("x", "client_ali_oss.js"), sys.executable, box, file)
    assert told.steps is None
    assert "SyntaxError" in told.problem


def test_the_table_names_every_client_and_what_fails() -> None:
    found = {
        client.package: Outcome("1.2", dict.fromkeys(STEPS, "works"))
        for client in CLIENTS
    }
    found["oss2"] = Outcome("1", {"upload": "works", "copy": "ServerError: 501"})
    found["ali-oss"] = Outcome(problem="npm is not there")
    lines = table(found).splitlines()
    assert "| `oss2` | 1 | yes | - | - | no | - |" in lines
    assert "- `oss2`, copy: ServerError: 501" in lines
    assert "- `ali-oss` did not run here: npm is not there" in lines


def test_the_readme_has_what_the_run_wrote() -> None:
    shown = part(README.read_text("utf-8"), "clients")
    for client in CLIENTS:
        assert f"| `{client.package}` | " in shown, "run `make clients`"
        assert (SCRIPTS / client.script).is_file()
