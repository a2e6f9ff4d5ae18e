"""A prefix of a bucket under whatever may happen to it: one sentence, no traceback.

And what its check costs: answers and bytes, counted by the sandbox.
"""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE
from preflight.clock import compressed
from preflight.sandbox import Sandbox
from preflight.sandbox.faults import ALWAYS, Action, Fault
from preflight.sandbox.oss.records import StoredObject
from preflight.sandbox.oss.storage import Reader
from preflight.sandbox.request_log import RequestRecord
from preflight.sources.bucket import WORKERS
from tests.depth import examples
from tests.running import InProcess, Run, tiny_adapter
from tests.sources.stored import put, store

PREFIX = "models/one/"
WEIGHTS, CONFIG = f"{PREFIX}adapter_model.safetensors", f"{PREFIX}adapter_config.json"


@pytest.fixture
def preflight(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)


@pytest.fixture
def url(sandbox: Sandbox, tmp_path: Path) -> str:
    return store(sandbox, tiny_adapter(tmp_path / "adapter"), PREFIX)


def assert_told(done: Run, code: int, words: str) -> None:
    assert done.code == code, done.err
    assert "Traceback" not in done.err
    assert words in done.out + done.err, done


# What happens meanwhile


@pytest.mark.parametrize("key", [CONFIG, WEIGHTS])
@pytest.mark.parametrize("gone", [False, True])
def test_an_object_that_changes_between_the_listing_and_the_reading(
    preflight: InProcess, sandbox: Sandbox, url: str, key: str, gone: bool
) -> None:
    def change(call: RequestRecord) -> None:
        if call.operation == "ListObjectsV2":
            sandbox.oss_endpoint.log_calls.on_call = lambda _: None
            if gone:
                sandbox.oss.delete(sandbox.bucket, key)
            else:
                put(sandbox, key, b"something else")

    sandbox.oss_endpoint.log_calls.on_call = change
    words = "was deleted while it was read" if gone else "changed while it was read"
    assert_told(preflight("check", url, "--base-model", "qwen3-8b"), 1, words)


@pytest.mark.parametrize("operation", ["ListObjectsV2", "GetObject"])
def test_a_service_that_never_answers_well(
    preflight: InProcess, sandbox: Sandbox, url: str, operation: str
) -> None:
    for key in ("*", "*.json", "*.safetensors"):
        sandbox.faults.clear()
        action = Action.STATUS
        sandbox.faults.add(
            Fault(
                service="oss",
                operation=operation,
                action=action,
                key=key,
                times=ALWAYS,
                status=503,
            )
        )
        if operation == "ListObjectsV2" and key != "*":
            continue
        with compressed():
            assert_told(preflight("check", url), 5, "HTTP 503")


@pytest.mark.parametrize(
    "fault",
    [
        {"action": "status", "status": 503, "times": 2},
        {"action": "truncate", "fraction": 0.5},
        {"action": "cut", "at": "after"},
        {"action": "captive_portal"},
    ],
)
def test_what_passes_is_asked_for_again(
    preflight: InProcess, sandbox: Sandbox, url: str, fault: dict[str, object]
) -> None:
    sandbox.faults.add(
        Fault.from_json({"service": "oss", "operation": "GetObject", **fault})
    )
    with compressed():
        done = preflight("check", url, "--scan")
    if fault["action"] == "captive_portal":
        assert_told(done, 5, "the answer is not from OSS")
    else:
        assert_told(done, 0, "READY")


# What lies there


def test_empty_objects_archived_ones_and_a_folder_s_marker(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    put(sandbox, f"{PREFIX}tokenizer.json", b"")
    assert_told(preflight("check", url), 1, "tokenizer.json: is empty (0 bytes)")
    sandbox.oss.delete(sandbox.bucket, f"{PREFIX}tokenizer.json")
    put(sandbox, PREFIX, b"")
    assert_told(preflight("check", url), 0, "READY")
    found = sandbox.oss.object(sandbox.bucket, WEIGHTS)
    archived = found.attributes.__class__("Archive")
    data = b"".join(sandbox.oss.stream(found, 0, found.size))
    sandbox.oss.put(
        sandbox.bucket, WEIGHTS, [data], size=len(data), attributes=archived
    )
    done = preflight("check", url, "--scan")
    assert_told(done, 1, "error D22 objects-can-be-read")
    assert "which cannot be read before it is restored" in done.out


# oss2 tells of such objects by a method of the standard library that is old.
@pytest.mark.filterwarnings("ignore:The 'warn' method:DeprecationWarning")
def test_an_object_that_its_uploader_encrypted(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    found = sandbox.oss.object(sandbox.bucket, CONFIG)
    sealed = found.attributes.__class__(
        headers={"x-oss-meta-client-side-encryption-key": "c2VhbGVk"}
    )
    sandbox.oss.put(sandbox.bucket, CONFIG, [b"\x8f" * 40], size=40, attributes=sealed)
    words = "was encrypted before it was uploaded"
    assert_told(preflight("check", url, "--base-model", "qwen3-8b"), 1, words)


def test_thousands_of_keys_are_listed_and_not_read(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    count = min(examples(1_200), 10_000)  # more than a page
    for number in range(count):
        put(sandbox, f"{PREFIX}logs/{number}.json", b"{}")
    sandbox.oss_endpoint.log_calls.clear()
    assert_told(preflight("check", url), 0, "READY")
    assert sandbox.oss_endpoint.log_calls.count("GetObject") <= 4
    assert sandbox.oss_endpoint.log_calls.count("ListObjectsV2") <= count // 1000 + 2


def test_what_lies_beside_the_prefix_tells_of_the_trainer(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    """ZeRO's states lie one folder above the adapter that was never gathered."""
    sandbox.oss.delete(sandbox.bucket, WEIGHTS)
    for name in ("zero_to_fp32.py", "latest", "global_step5/mp_rank_00.pt"):
        put(sandbox, f"models/{name}", b"x")
    done = preflight("check", url)
    assert_told(done, 1, "DeepSpeed's ZeRO states, one directory up")


@pytest.mark.parametrize(
    ("action", "words"),
    [("oss:GetObject", "oss:GetObject"), ("oss:ListObjects", "oss:ListObjects")],
)
def test_denied_reads(
    preflight: InProcess, sandbox: Sandbox, url: str, action: str, words: str
) -> None:
    statements = [
        {"Effect": "Allow", "Action": "oss:*", "Resource": "*"},
        {"Effect": "Deny", "Action": action, "Resource": "*"},
    ]
    sandbox.restrict({"Version": "1", "Statement": statements})
    assert_told(preflight("check", url), 4, words)


def test_a_key_for_this_prefix_alone_is_enough(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    """What lies beside it is a help where it may be seen, and no more."""
    beside = {"StringEquals": {"oss:Prefix": [PREFIX.rpartition("one/")[0]]}}
    all_of_it = {"Effect": "Allow", "Action": "oss:*", "Resource": "*"}
    denied = {"Effect": "Deny", "Action": "oss:ListObjects", "Resource": "*"}
    statements = [all_of_it, {**denied, "Condition": beside}]
    sandbox.restrict({"Version": "1", "Statement": statements})
    sandbox.oss_endpoint.log_calls.clear()
    assert_told(preflight("check", url), 0, "READY")
    listed = sandbox.oss_endpoint.log_calls.last("ListObjectsV2")
    assert 403 in {call.status for call in listed}


def test_nothing_there_no_bucket_no_keys(
    preflight: InProcess, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    nothing = f"oss://{sandbox.bucket}/nothing/"
    assert_told(preflight("check", nothing), 2, "nothing lies under")
    assert_told(preflight("check", "oss://no-such-bucket/m/"), 2, "NoSuchBucket")
    assert_told(preflight("check", "oss://"), 2, "no bucket in")
    monkeypatch.delenv("OSS_ACCESS_KEY_SECRET")
    assert_told(preflight("check", nothing), 2, "OSS_ACCESS_KEY_SECRET")


def test_bytes_that_are_damaged_on_their_way_are_not_judged(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    fault = {"service": "oss", "operation": "GetObject", "key": "*.safetensors"}
    sandbox.faults.add(
        Fault.from_json({**fault, "action": "wrong_crc", "times": "always"})
    )
    assert_told(preflight("check", url, "--scan"), 5, "the bytes that came have CRC-64")


# What it costs


class Sent:
    """Counts the bytes of objects that are sent, and how many answers at a time.

    An answer waits for others, so that those that are asked for together are seen.
    """

    def __init__(self, box: Sandbox) -> None:
        self.bytes = self.at_once = 0
        self._lock, self._now = threading.Lock(), 0
        stream = box.oss.stream

        def counted(found: StoredObject, start: int, length: int) -> Reader:
            with self._lock:
                self.bytes += length
                self._now += 1
                self.at_once = max(self.at_once, self._now)
            time.sleep(0.02)
            with self._lock:
                self._now -= 1
            return stream(found, start, length)

        box.oss.stream = counted  # type: ignore[method-assign]


def put_sparse(box: Sandbox, key: str, path: Path) -> None:
    """An object of a file that is mostly holes, which are not written."""
    with path.open("rb") as file:
        length = file.read(8)
        head = length + file.read(int.from_bytes(length, "little"))
    put(box, key, head)
    size, content = path.stat().st_size, box.oss.object(box.bucket, key).content.id
    database = box.oss._db
    query = "SELECT name FROM extent WHERE content = ?"
    ((body,),) = database.rows(query, [content])
    os.truncate(box.oss.directory / "bodies" / body, size)
    for table, column in (("extent", "content"), ("content", "id")):
        database.run(
            f"UPDATE {table} SET size = ? WHERE {column} = ?",  # noqa: S608
            [size, content],
        )


def test_a_model_of_145_gb_takes_few_answers_and_few_bytes(
    preflight: InProcess, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Under 5 MB, and at 100 ms an answer under 10 s: so many rounds of answers."""
    model = build_full(
        tmp_path / "m", base="qwen2.5-72b-instruct", template=TINY_TEMPLATE
    )
    whole = sum(path.stat().st_size for path in model.iterdir())
    assert whole > 145_000_000_000
    for path in model.iterdir():
        if path.suffix == ".safetensors":
            put_sparse(sandbox, PREFIX + path.name, path)
        else:
            put(sandbox, PREFIX + path.name, path.read_bytes())
    log, sent = sandbox.oss_endpoint.log_calls, Sent(sandbox)
    log.clear()
    words = ("check", f"oss://{sandbox.bucket}/{PREFIX}", "--format", "json")
    done = preflight(*words, "--base-model", "qwen2.5-72b-instruct")
    failed = {o["code"] for o in done.document["outcomes"] if o["result"] == "failed"}
    # The tokenizer is an invented one; names, shapes and index are those of the base.
    assert not {code for code in failed if code[0] in "SIKD"}, failed
    assert sent.bytes < 5_000_000, sent.bytes
    # What is not listed is asked for by so many threads at a time.
    rounds = log.count("ListObjectsV2") + -(-log.count("GetObject") // WORKERS)
    assert rounds <= 6, log.last()
    assert sent.at_once > 1
