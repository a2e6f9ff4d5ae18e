"""Is a prefix what it was, and are the models that were imported from it valid?"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from preflight.clock import compressed
from preflight.sandbox import Sandbox
from preflight.sandbox.studio.bodies import CreateRequest
from preflight.sandbox.studio.jobs import Source
from tests.running import ROOT, InProcess, tiny_adapter
from tests.sources.stored import put, store

QUICK = ("--poll-interval", "0.05")
PREFIX = "models/one/"


@pytest.fixture
def preflight(
    sandbox: Sandbox,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys).use(sandbox)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "one")


@pytest.fixture
def url(preflight: InProcess, sandbox: Sandbox, adapter: Path) -> str:
    """A model that was pushed and imported."""
    where = f"oss://{sandbox.bucket}/{PREFIX}"
    done = preflight("push", adapter, where, *QUICK, "--sha256")
    assert done.code == 0, done.err
    return where


def later(box: Sandbox) -> None:
    """So much that no clock's difference can be the cause."""
    moment = box.oss.clock() + 3600
    box.oss.clock = box.studio.clock = lambda: moment


def one_byte(box: Sandbox) -> None:
    key = f"{PREFIX}README.md"
    found = box.oss.object(box.bucket, key)
    data = b"".join(box.oss.stream(found, 0, found.size))
    put(box, key, data[:-1] + bytes([data[-1] ^ 1]))


def deleted(box: Sandbox) -> None:
    box.oss.delete(box.bucket, f"{PREFIX}README.md")


def stranger(box: Sandbox) -> None:
    put(box, f"{PREFIX}notes.txt", b"hello")


def new_job(box: Sandbox) -> None:
    source, kind = Source(box.bucket, PREFIX), box.studio.jobs()[0].weight_type
    box.studio.create(CreateRequest("qwen3-8b", "other", source, kind))


def test_an_untouched_prefix_is_as_it_was(
    preflight: InProcess, adapter: Path, url: str
) -> None:
    for more in ((), (adapter,)):
        good = preflight("verify", url, *more)
        assert good.code == 0, good.out
        assert good.out.startswith("✔ AS IT WAS  ")
        assert "valid\n" in good.out
        assert "makes invalid" in " ".join(good.out.split())


@pytest.mark.parametrize(
    ("change", "words", "invalid"),
    [
        (one_byte, "README.md: has other bytes (CRC-64)", True),
        (deleted, "README.md: is missing", False),
        (stranger, "notes.txt: does not belong there", True),
        (new_job, "is a job that is not on record here", False),
    ],
)
def test_each_change_is_found(
    preflight: InProcess,
    sandbox: Sandbox,
    adapter: Path,
    url: str,
    change: Callable[[Sandbox], None],
    words: str,
    invalid: bool,
) -> None:
    later(sandbox)
    change(sandbox)
    for more in ((), (adapter,)):
        bad = preflight("verify", url, *more)
        assert bad.code == 5
        assert words in bad.out
        assert ("not valid any more" in bad.out) is invalid
    document = preflight("verify", url, "--format", "json").document
    assert (document["same"], document["exit_code"]) == (False, 5)


def test_without_a_record_the_times_of_the_import_tell(
    preflight: InProcess,
    sandbox: Sandbox,
    url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "other").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "other"))
    assert preflight("verify", url).code == 0
    later(sandbox)
    one_byte(sandbox)
    bad = preflight("verify", url)
    assert bad.code == 5
    assert "written since: README.md" in bad.out
    unknown = f"oss://{sandbox.bucket}/models/unknown/"
    put(sandbox, "models/unknown/README.md", b"x")
    nothing = preflight("verify", unknown)
    assert nothing.code == 2
    assert "nothing is known of what should lie under" in nothing.told()[0]


def test_watching_tells_of_changes_alone(
    preflight: InProcess, sandbox: Sandbox, url: str
) -> None:
    words = ("verify", url, "--watch")
    assert (preflight(*words).out, preflight(*words).code) == ("", 0)
    later(sandbox)
    stranger(sandbox)
    first = preflight(*words)
    assert first.code == 5
    assert len(first.out.splitlines()) == 1
    assert "notes.txt does not belong there" in first.out
    again = preflight(*words)
    assert (again.code, again.out) == (5, "")


def test_a_prefix_of_which_nothing_is_known_is_watched_from_the_first_look_on(
    preflight: InProcess, sandbox: Sandbox, adapter: Path
) -> None:
    where = store(sandbox, adapter, "models/two/")
    words = ("verify", where, "--watch")
    assert (preflight(*words).out, preflight(*words).code) == ("", 0)
    put(sandbox, "models/two/README.md", b"# other")
    assert "README.md has 7 bytes" in preflight(*words).out


def manifest_file(preflight: InProcess) -> Path:
    folder = preflight.home / ".local/state/preflight/manifests"
    return sorted(folder.glob("*.json"))[-1]


def test_the_manifest_is_what_model_signing_makes_of_the_directory(
    preflight: InProcess, sandbox: Sandbox, adapter: Path, url: str
) -> None:
    """The statement's form; `make clients` and the like ask the library itself."""
    form: dict[str, Any] = json.loads(manifest_file(preflight).read_text("utf-8"))
    assert form["_type"] == "https://in-toto.io/Statement/v1"
    assert form["predicateType"] == "https://model_signing/signature/v1.0"
    resources = form["predicate"]["resources"]
    names = [each["name"] for each in resources]
    assert names == sorted(names)
    total = hashlib.sha256()
    for each in resources:
        data = b"".join(
            sandbox.oss.stream(
                found := sandbox.oss.object(sandbox.bucket, PREFIX + each["name"]),
                0,
                found.size,
            )
        )
        assert each["algorithm"] == "sha256"
        assert each["digest"] == hashlib.sha256(data).hexdigest()
        total.update(hashlib.sha256(data).digest())
    assert form["subject"][0]["digest"]["sha256"] == total.hexdigest()
    ours = form["predicate"]["preflight"]
    (job,) = sandbox.studio.jobs()
    assert (ours["job_id"], ours["base_model"]) == (job.id, "qwen3-8b")
    keys = {each.key for each in sandbox.oss.objects(sandbox.bucket)}
    assert not any("manifest" in key for key in keys)
    path = manifest_file(preflight)
    assert preflight("verify", url, "--manifest", path).code == 0
    assert preflight("verify", adapter, "--manifest", path).code == 0
    (adapter / "README.md").write_text("other")
    changed = preflight("verify", adapter, "--manifest", path)
    assert changed.code == 5
    assert "README.md: has other bytes" in changed.out
    path.write_text(json.dumps({**form, "subject": []}))
    nameless = preflight("verify", adapter, "--manifest", path)
    assert nameless.code == 2
    assert "is no manifest of preflight" in nameless.told()[0]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"predicateType": 1}', "\x00"])
def test_what_is_no_manifest_is_told(
    preflight: InProcess, tmp_path: Path, text: str
) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    for place in ("oss://preflight-sandbox/m/", tmp_path):
        done = preflight("verify", place, "--manifest", path)
        assert done.code == 2
        assert "is no manifest of preflight" in done.told()[0]


def test_the_readme_s_six_lines(
    preflight: InProcess,
    sandbox: Sandbox,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Already uploaded?")[2].partition("\n## ")[0]
    lines = re.findall(r"^\$ preflight (.*)$", section, re.MULTILINE)
    assert len(lines) == 6
    store(sandbox, adapter, "models/mine/")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "out").mkdir()
    adapter.rename(tmp_path / "out" / "adapter")
    for line in lines:
        words = shlex.split(line, comments=True)
        words = [w.replace("my-bucket", sandbox.bucket) for w in words]
        with compressed():
            done = preflight(*words)
        assert done.code == 0, (line, done.out, done.err)
