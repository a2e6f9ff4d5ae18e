"""`preflight sandbox` as a shell uses it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import sys
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from pathlib import Path

import oss2
import pytest
import requests

from tests.running import Process, command, ended, environment, run, started, until

_EXPORT = re.compile(r"export ([A-Z_]+)=(\S+)")
_NAMES = {
    "OSS_ACCESS_KEY_ID",
    "OSS_ACCESS_KEY_SECRET",
    "OSS_REGION",
    "OSS_ENDPOINT",
    "DASHSCOPE_API_KEY",
    "DASHSCOPE_HTTP_BASE_URL",
}
Running = tuple[Process, dict[str, str]]


@contextmanager
def serving(
    home: Path, *flags: object, names: AbstractSet[str] = frozenset(_NAMES)
) -> Iterator[Running]:
    """The command once it serves, and what it told to export."""
    words = command("sandbox", *flags)
    with started(words, environment(home)) as process:
        assert process.stdout is not None
        values: dict[str, str] = {}
        for line in process.stdout:
            found = _EXPORT.fullmatch(line.strip())
            assert found, line
            values[found[1]] = found[2]
            if set(values) == names:
                break
        assert set(values) == names, process.communicate()
        yield process, values


def bucket_of(
    values: Mapping[str, str], name: str = "preflight-sandbox"
) -> oss2.Bucket:
    auth = oss2.AuthV4(values["OSS_ACCESS_KEY_ID"], values["OSS_ACCESS_KEY_SECRET"])
    url, region = values["OSS_ENDPOINT"], values["OSS_REGION"]
    return oss2.Bucket(auth, url, name, region=region)


def jobs(values: Mapping[str, str], **sent: object) -> requests.Response:
    url = f"{values['DASHSCOPE_HTTP_BASE_URL']}/custom_models/import"
    headers = {"Authorization": f"Bearer {values['DASHSCOPE_API_KEY']}"}
    method = "POST" if sent else "GET"
    return requests.request(method, url, headers=headers, json=sent or None, timeout=10)


def stop(process: Process, number: int = signal.SIGINT) -> int:
    process.send_signal(number)
    return ended(process).code


SCRIPT = """
exports=$("$@" --background)
eval "$exports"
trap 'kill "$PREFLIGHT_SANDBOX_PID"' EXIT
env | grep -E '^(OSS|DASHSCOPE)_' | cut -d= -f1 | sort
curl --silent --fail --header "Authorization: Bearer $DASHSCOPE_API_KEY" \\
    "$DASHSCOPE_HTTP_BASE_URL/custom_models/import"
echo
echo "$PREFLIGHT_SANDBOX_PID"
"""


def is_alive(pid: int) -> bool:
    """Whether the process runs; one that ended and was not waited for does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("utf-8")
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] != "Z"


@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_script_leaves_it_running_and_ends_it(tmp_path: Path, shell: str) -> None:
    """Both services answer at once; the script's output is closed when it ends."""
    env = environment(tmp_path / "home")
    done = run([shell, "-eu", "-c", SCRIPT, shell, *command("sandbox")], env)
    assert done.code == 0, done.err
    *names, answer, pid = done.out.splitlines()
    assert set(names) == _NAMES
    assert json.loads(answer)["output"]["total"] == 0
    assert done.err == ""
    until(lambda: not is_alive(int(pid)))


def test_in_the_background_it_fails_as_in_the_foreground(tmp_path: Path) -> None:
    env = environment(tmp_path / "home")
    with serving(tmp_path / "home") as (process, values):
        port = values["OSS_ENDPOINT"].rpartition(":")[2]
        words = command("sandbox", "--port", port)
        failed = [run([*words, *more], env) for more in ([], ["--background"])]
        assert stop(process) == 0
    assert failed[0] == failed[1]
    assert (failed[0].code, failed[0].out) == (2, "")


def test_what_it_prints_can_be_evaluated(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as (process, values):
        assert set(values) == _NAMES
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert done.err.splitlines()[-1] == "sandbox: stopped"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(tmp_path: Path, number: int) -> None:
    with serving(tmp_path / "home") as (process, values):
        bucket_of(values).put_object("k", b"abc")
        assert jobs(values).status_code == 200
        assert process.poll() is None
        assert stop(process, number) == 0
    with pytest.raises(requests.ConnectionError):
        jobs(values)


def test_buckets_and_jobs_outlive_it(tmp_path: Path) -> None:
    state, home = tmp_path / "state", tmp_path / "home"
    flags = ("--state", state, "--seed-bucket", "my-own-bucket")
    sent = {"model_name": "qwen3-8b", "source": "oss", "weight_type": "lora"}
    place = {"bucket_name": "my-own-bucket", "object_key": "models/one/"}
    with serving(home, *flags) as (process, first):
        bucket_of(first, "my-own-bucket").put_object("models/one/k", b"kept")
        made = jobs(first, **sent, storage_info=place).json()["output"]["job_id"]
        assert stop(process) == 0
    with serving(home, *flags) as (process, second):
        bucket = bucket_of(second, "my-own-bucket")
        assert bucket.get_object("models/one/k").read() == b"kept"
        listed = jobs(second).json()["output"]["list"]
        assert [job["job_id"] for job in listed] == [made]
        assert stop(process) == 0
    same = _NAMES - {"OSS_ENDPOINT", "DASHSCOPE_HTTP_BASE_URL"}
    assert all(first[name] == second[name] for name in same)


def test_a_seed_bucket_may_be_imported_from(tmp_path: Path) -> None:
    with serving(tmp_path / "home", "--seed-bucket", "another") as (process, values):
        tags = bucket_of(values, "another").get_bucket_tagging().tag_set.tagging_rule
        assert tags == {"bailian-datahub-access": "read"}
        assert stop(process) == 0


def free_ports() -> int:
    """The first of two neighbouring ports that nobody uses."""
    for port in range(20_000, 30_000, 2):
        with socket.socket() as one, socket.socket() as two:
            try:
                one.bind(("127.0.0.1", port))
                two.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
    raise AssertionError("no two free ports")


def test_ports(tmp_path: Path) -> None:
    port, home = free_ports(), tmp_path / "home"
    with serving(home, "--port", port) as (process, values):
        assert values["OSS_ENDPOINT"] == f"http://127.0.0.1:{port}"
        studio = f"http://127.0.0.1:{port + 1}/api/v1"
        assert values["DASHSCOPE_HTTP_BASE_URL"] == studio
        second = run(command("sandbox", "--port", port), environment(home))
        assert (second.code, second.out) == (2, "")
        told = f"preflight: cannot listen on port {port}: Address already in use"
        assert second.told()[0].startswith(told)
        assert stop(process) == 0


def test_digests_keep_no_large_body(tmp_path: Path) -> None:
    state = tmp_path / "state"
    flags = ("--digests", "--state", state)
    with serving(tmp_path / "home", *flags) as (process, values):
        bucket = bucket_of(values)
        made = bucket.put_object("large", bytes(40 << 20))
        assert bucket.head_object("large").content_length == 40 << 20
        assert bucket.head_object("large").etag == made.etag
        kept = sum(
            path.stat().st_blocks * 512 for path in state.rglob("*") if path.is_file()
        )
        assert kept < 20 << 20
        assert stop(process) == 0


def test_a_fault_plan(tmp_path: Path) -> None:
    plan = tmp_path / "faults.json"
    fault = {
        "service": "oss",
        "operation": "PutObject",
        "key": "*.safetensors",
        "action": "status",
        "status": 503,
        "code": "ServiceUnavailable",
    }
    plan.write_text(json.dumps([fault]), "utf-8")
    with serving(tmp_path / "home", "--faults", plan) as (process, values):
        bucket = bucket_of(values)
        bucket.put_object("k.json", b"{}")
        with pytest.raises(oss2.exceptions.ServerError) as caught:
            bucket.put_object("k.safetensors", b"x")
        assert (caught.value.status, caught.value.code) == (503, "ServiceUnavailable")
        bucket.put_object("k.safetensors", b"x")
        assert stop(process) == 0


NO_PLANS = [
    (None, "cannot read {path}: No such file or directory"),
    ("[", "not a fault plan: {path}: Expecting value"),
    ("{}", "not a fault plan: {path}: a fault plan is a JSON list of objects"),
    ('[{"action": "boom"}]', "not a fault plan: {path}: fault action 'boom' is"),
    ("\ufeff" + "[" * 100_000, "not a fault plan: {path}: "),
]
NO_POLICIES = [
    (None, "cannot read {path}: No such file or directory"),
    ("[", "not a policy: {path}: Expecting value"),
    ("[]", "not a policy: {path}: a policy is a JSON object with"),
]


@pytest.mark.parametrize(
    ("flag", "text", "words"),
    [
        *(("--faults", *case) for case in NO_PLANS),
        *(("--policy", *case) for case in NO_POLICIES),
    ],
)
def test_a_file_that_is_none(
    tmp_path: Path, flag: str, text: str | None, words: str
) -> None:
    file = tmp_path / "file.json"
    if text is not None:
        file.write_text(text, "utf-8")
    done = run(command("sandbox", flag, file), environment(tmp_path / "home"))
    assert (done.code, done.out) == (2, "")
    assert done.told()[0].startswith(f"preflight: {words.format(path=file)}")


def test_a_policy(tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    statement = {"Effect": "Allow", "Action": "oss:Get*", "Resource": "*"}
    file.write_text(json.dumps({"Version": "1", "Statement": [statement]}), "utf-8")
    with serving(tmp_path / "home", "--policy", file) as (process, values):
        bucket = bucket_of(values)
        assert bucket.get_bucket_info().name == "preflight-sandbox"
        with pytest.raises(oss2.exceptions.AccessDenied):
            bucket.put_object("k", b"x")
        assert stop(process) == 0


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (("--seed-bucket", "Not_A_Bucket"), "not a bucket name: Not_A_Bucket"),
        (("--state", "{file}"), "{file}: File exists"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(
    tmp_path: Path, flags: tuple[str, str], words: str
) -> None:
    file = tmp_path / "file"
    file.touch()
    given = [flag.format(file=file) for flag in flags]
    done = run(command("sandbox", *given), environment(tmp_path / "home"))
    assert (done.code, done.out) == (2, "")
    assert done.told()[0] == f"preflight: {words.format(file=file)}"


@pytest.mark.parametrize("port", ["0", "-1", "65535", "70000", "http"])
def test_ports_that_are_none(tmp_path: Path, port: str) -> None:
    done = run(command("sandbox", "--port", port), environment(tmp_path / "home"))
    assert done.code == 2
    assert "--port" in done.err
    assert "Traceback" not in done.err


def test_it_serves_this_machine_alone(tmp_path: Path) -> None:
    with serving(tmp_path / "home") as (process, values):
        pid = process.pid
        folder = Path(f"/proc/{pid}/fd")
        links = {os.fspath(path.readlink()) for path in folder.iterdir()}
        inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
        rows = Path(f"/proc/{pid}/net/tcp").read_text("utf-8").splitlines()[1:]
        listening = [
            row.split()[1].partition(":")[0]
            for row in rows
            if row.split()[3] == "0A" and row.split()[9] in inodes
        ]
        assert listening == ["0100007F"] * 2
        assert values["OSS_ENDPOINT"].startswith("http://127.0.0.1:")
        assert stop(process) == 0


def test_it_loads_nothing_that_it_does_not_need(tmp_path: Path) -> None:
    """Which is why it answers in a third of a second."""
    script = (
        "import sys, preflight.cli, preflight.commands.sandbox\n"
        "from preflight.sandbox import Sandbox\n"
        "with Sandbox(): pass\n"
        "print(sorted(name for name in sys.modules if name in "
        "('preflight.rules', 'preflight.pipeline', 'preflight.record', 'preflight.oss',"
        " 'oss2', 'requests', 'numpy', 'cryptography', 'pytest')))"
    )
    done = run([sys.executable, "-c", script], environment(tmp_path / "home"))
    assert (done.out, done.err) == ("[]\n", "")
