"""No secret is ever shown or kept: not when all is well, not when all goes wrong."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from pytest_httpserver import HTTPServer

from preflight.sandbox import Sandbox
from preflight.sandbox.database import FILE
from preflight.sandbox.faults import Action, Fault
from preflight.sandbox.oss.credentials import Credential
from preflight.settings import with_role_keys
from tests.running import (
    InProcess,
    Run,
    command,
    environment,
    run,
    run_script,
    state_files,
    tiny_adapter,
)

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


def assert_nowhere(secrets: tuple[str, ...], *texts: str, below: Path) -> None:
    """No piece of a secret in a text, nor in any file below a directory."""
    files = [path for path in below.rglob("*") if path.is_file()]
    texts = (*texts, *(path.read_text("utf-8", "replace") for path in files))
    for secret in secrets:
        pieces = {secret[at : at + 12] for at in range(0, len(secret) - 11, 4)}
        for form in {*pieces, quote(secret, safe="")}:
            assert not [text for text in texts if form in text], form


@pytest.fixture
def preflight(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    box: Sandbox,
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(box)


FORMS = (
    ("-vv", "--format", "json"),
    ("-vv", "--progress", "json"),
    ("-vv", "--format", "html", "--format", "markdown", "--format", "junit"),
)


def outputs(tmp_path: Path, flags: tuple[str, ...]) -> tuple[str, ...]:
    count = max(0, flags.count("--format") - 1)
    words = [("--output", str(tmp_path / "home" / f"report{n}")) for n in range(count)]
    return tuple(word for pair in words for word in pair)


def test_an_id_that_is_really_the_secret_is_never_shown(
    box: Sandbox, preflight: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """People swap the two, and OSS repeats the id in its refusal."""
    monkeypatch.setenv("OSS_ACCESS_KEY_ID", SECRET)
    monkeypatch.setenv("OSS_ACCESS_KEY_SECRET", KEY_ID)
    said = f"The Access Key Id you provided does not exist: <{SECRET}>."
    box.faults.add(
        Fault.from_json(
            {
                "service": "oss",
                "operation": "*",
                "times": "always",
                "action": "status",
                "status": 403,
                "code": "InvalidAccessKeyId",
                "message": said,
            }
        )
    )
    adapter = tiny_adapter(tmp_path / "adapter")
    url = f"oss://{box.bucket}/models/one/"
    for flags in FORMS:
        places = outputs(tmp_path, flags)
        done = preflight("push", adapter, url, *flags, *places)
        assert done.code == 4
        assert_nowhere((SECRET, KEY_ID), done.out, done.err, below=tmp_path / "home")
    for words in (
        ("doctor", url),
        ("doctor", url, "--format", "json"),
        ("clean", url, "--format", "json"),
        ("import", url, "--base-model", "qwen3-8b", "-vv", "--format", "json"),
        ("status",),
        ("status", "--format", "json"),
    ):
        done = preflight(*words)
        assert_nowhere((SECRET, KEY_ID), done.out, done.err, below=tmp_path / "home")


@pytest.mark.parametrize("service", ["oss", "studio"])
def test_no_half_of_a_secret_is_left_where_a_text_is_cut(
    box: Sandbox, preflight: InProcess, tmp_path: Path, service: str
) -> None:
    fault = {"service": service, "operation": "*", "action": "status", "status": 403}
    url = f"oss://{box.bucket}/models/one/"
    for before in (180, 280, 290, 380, 780, 1980, 3980):
        box.faults.clear()
        said = "x" * before + f" {API_KEY} {box.access_key_secret} " + "y" * 400
        more = {"code": "AccessDenied", "message": said, "times": "always"}
        box.faults.add(Fault.from_json({**fault, **more}))
        done = preflight("doctor", url)
        assert done.code == 4
        secrets = (API_KEY, box.access_key_secret)
        assert_nowhere(secrets, done.out, done.err, below=tmp_path / "home")


ROLE = {"AccessKeyId": "STS.ofTheRole01", "AccessKeySecret": SECRET}


def test_keys_of_a_role_are_as_secret_as_others(
    box: Sandbox,
    preflight: InProcess,
    httpserver: HTTPServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    form = {**ROLE, "SecurityToken": TOKEN}
    httpserver.expect_request("/latest/api/token").respond_with_data(WRONG)
    httpserver.expect_request(
        "/latest/meta-data/ram/security-credentials/trainer"
    ).respond_with_json(form)
    host = httpserver.url_for("").rstrip("/")
    monkeypatch.setitem(with_role_keys.__kwdefaults__ or {}, "host", host)
    for name in ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALIBABA_CLOUD_ECS_METADATA", "trainer")
    box.oss.add_credential(Credential(ROLE["AccessKeyId"], SECRET, token=TOKEN))
    adapter = tiny_adapter(tmp_path / "adapter")
    url = f"oss://{box.bucket}/models/one/"
    assert preflight("push", adapter, url, "--poll-interval", "0.05").code == 0
    said = f"keys {ROLE['AccessKeyId']} {SECRET} {TOKEN}"
    refusal = {"action": "status", "status": 403, "code": "AccessDenied"}
    more = {"service": "oss", "operation": "*", "times": "always", "message": said}
    box.faults.add(Fault.from_json(refusal | more))
    for flags in FORMS:
        places = outputs(tmp_path, flags)
        done = preflight("push", adapter, url, "--again", *flags, *places)
        assert done.code == 4
        secrets = (SECRET, TOKEN, ROLE["AccessKeyId"])
        assert_nowhere(secrets, done.out, done.err, below=tmp_path / "home")


def test_an_error_that_nobody_foresaw_leaves_a_log_without_secrets(
    preflight: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"with {API_KEY}")

    monkeypatch.setattr("preflight.commands.bases.run", broken)
    done = preflight("bases", "-vv", "--format", "json")
    assert done.code == 3
    (log,) = (tmp_path / "home/.local/state/preflight/logs").iterdir()
    assert "ZeroDivisionError: with ***" in log.read_text("utf-8")
    assert_nowhere((API_KEY,), done.out, done.err, below=tmp_path / "home")


def test_keys_from_files_are_shown_nowhere_but_there(
    box: Sandbox, tmp_path: Path
) -> None:
    keys, home = tmp_path / "keys", tmp_path / "home"
    keys.mkdir()
    (keys / "api_key").write_text(f"{API_KEY}\n", "utf-8")
    lines = (f"accessKeyID={KEY_ID}", f"accessKeySecret={WRONG}", f"stsToken={TOKEN}")
    (keys / "ossutil").write_text("\n".join(("[Credentials]", *lines)), "utf-8")
    values = {
        **box.environment(),
        "DASHSCOPE_API_KEY_FILE_PATH": str(keys / "api_key"),
        "OSS_CONFIG_FILE": str(keys / "ossutil"),
    }
    for name in ("DASHSCOPE_API_KEY", "OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET"):
        del values[name]
    adapter = tiny_adapter(tmp_path / "adapter")
    url = f"oss://{box.bucket}/models/one/"
    for words in (
        ("push", adapter, url, "-vv", "--format", "json"),
        ("doctor", url, "-vv"),
        ("jobs", "-vv"),
    ):
        done = run(command(*words), environment(home, values))
        assert "Traceback" not in done.out
        secrets = (API_KEY, WRONG, TOKEN)
        assert_nowhere(secrets, done.out, done.err, below=home)


CHILDREN = """
import os, sys
def tell(event, arguments):
    if event == "subprocess.Popen":
        program, words, cwd, env = arguments
        for text in (*words, *(os.environ if env is None else env).values()):
            print("child:", os.fsdecode(text), file=sys.stderr)
sys.addaudithook(tell)
from preflight.__main__ import entry
entry()
"""


def test_no_process_that_is_started_knows_a_secret(
    box: Sandbox, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "adapter")
    own = "{% for message in messages %}{{ message.content }}{% endfor %}"
    (adapter / "chat_template.jinja").write_text(own, "utf-8")
    base = tmp_path / "base"
    shutil.copytree(adapter, base)
    (base / "config.json").write_text("{}", "utf-8")
    (base / "chat_template.jinja").write_text(own + " ", "utf-8")
    values = {
        **box.environment(),
        "OSS_ACCESS_KEY_SECRET": SECRET,
        "HTTPS_PROXY": f"http://user:{WRONG}@proxy.example:1",
    }
    words = ["check", adapter, "--base-dir", base]
    done = run_script(CHILDREN, environment(tmp_path / "home", values), *words)
    assert "child: preflight.model.rendering" in done.err
    assert_nowhere((SECRET, WRONG, API_KEY), done.err, below=tmp_path / "home")
