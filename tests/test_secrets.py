"""No secret is ever shown or kept: not when all is well, not when all goes wrong."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from preflight.sandbox import Sandbox
from preflight.sandbox.database import FILE
from preflight.sandbox.faults import Action, Fault
from preflight.sandbox.oss.credentials import Credential
from tests.running import Run, command, environment, run, state_files, tiny_adapter

KEY_ID = "STS.recognisableKeyId"
SECRET = "recognisable+secret/0123456789"
TOKEN = "recognisable+token/" + "0123456789" * 8
API_KEY = "sk-recognisableapikey0123456789abcd"
WRONG = "recognisable-but-wrong-0123456"


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Sandbox]:
    kept = tmp_path / "sandbox"
    with Sandbox(directory=kept):
        pass  # it makes the keys that it keeps
    with contextlib.closing(sqlite3.connect(kept / FILE)) as database, database:
        database.execute("UPDATE key SET value = ? WHERE name = 'api_key'", [API_KEY])
    with Sandbox(directory=kept) as made:
        made.oss.add_credential(Credential(KEY_ID, SECRET, token=TOKEN))
        yield made


def push(box: Sandbox, tmp_path: Path, *flags: str, **changed: str) -> Run:
    values = {
        **box.environment(),
        "OSS_ACCESS_KEY_ID": KEY_ID,
        "OSS_ACCESS_KEY_SECRET": SECRET,
        "OSS_SESSION_TOKEN": TOKEN,
        **changed,
    }
    adapter = tmp_path / "adapter"
    if not adapter.exists():
        tiny_adapter(adapter)
    url = f"oss://{box.bucket}/models/one/"
    words = command("push", adapter, url, "--poll-interval", "0.05", *flags)
    return run(words, environment(tmp_path / "home", values))


def assert_no_secret(done: Run, tmp_path: Path) -> None:
    kept = [path.read_text("utf-8") for path in state_files(tmp_path / "home")]
    assert kept
    for text in (done.out, done.err, *kept):
        for secret in (SECRET, TOKEN, API_KEY, WRONG):
            assert secret not in text
            assert quote(secret, safe="") not in text
            assert secret[:20] not in text
        assert "Signature=" not in text


@pytest.mark.parametrize("flags", [(), ("-vv",), ("-vv", "--format", "json")])
def test_when_all_is_well(box: Sandbox, tmp_path: Path, flags: tuple[str, ...]) -> None:
    done = push(box, tmp_path, *flags)
    assert done.code == 0
    assert_no_secret(done, tmp_path)


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"OSS_ACCESS_KEY_SECRET": WRONG}, 4),
        ({"OSS_SESSION_TOKEN": WRONG}, 4),
        ({"DASHSCOPE_API_KEY": f"sk-{WRONG}"}, 4),
        ({"OSS_ACCESS_KEY_SECRET": f'"{SECRET}"'}, 2),
        ({"DASHSCOPE_API_KEY": f"{API_KEY} \n"}, 2),
        ({"OSS_SESSION_TOKEN": f"{TOKEN}é"}, 2),
        (
            {"DASHSCOPE_HTTP_BASE_URL": f"https://u:{SECRET}@dashscope.example/api/v1"},
            2,
        ),
        ({"OSS_ENDPOINT": f"https://oss.example/?token={SECRET}"}, 2),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
def test_when_the_keys_are_wrong(
    box: Sandbox, tmp_path: Path, changed: dict[str, str], code: int
) -> None:
    done = push(box, tmp_path, "-vv", "--format", "json", **changed)
    assert (done.code, done.document["exit_code"]) == (code, code)
    assert_no_secret(done, tmp_path)


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"operation": "PutObject", "action": "expire_token"}, 4),
        ({"operation": "PutObject", "action": "cut", "at": "body"}, 0),
        ({"operation": "PutObject", "action": "wrong_crc"}, 0),
        (
            {
                "operation": "PutObject",
                "action": "status",
                "status": 400,
                "code": "Bad",
                "message": f"the secret is {SECRET}, the token {TOKEN}",
            },
            5,
        ),
        (
            {
                "operation": "CreateImportJob",
                "action": "status",
                "status": 400,
                "code": "Bad",
                "message": f"the header was Authorization: {API_KEY}",
            },
            6,
        ),
        ({"operation": "CreateImportJob", "action": "cut", "at": "after"}, 0),
    ],
    ids=lambda value: value["action"] if isinstance(value, dict) else str(value),
)
def test_when_the_services_fail(
    box: Sandbox, tmp_path: Path, fault: dict[str, Any], code: int
) -> None:
    """Even what a server echoes is masked before it is shown or kept."""
    service = "studio" if fault["operation"].endswith("Job") else "oss"
    wrong = Fault.from_json({"service": service, "times": 1, **fault})
    box.faults.add(wrong)
    done = push(box, tmp_path, "-vv", "--format", "json")
    assert box.faults.fired
    assert wrong.action in Action
    assert done.code == code
    assert_no_secret(done, tmp_path)
