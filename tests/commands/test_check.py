"""`preflight check` as its users see it: exit code, standard output, standard error."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from fixtures.tiny import TINY_TEXT, write_tiny_bases
from preflight.commands._shown import SUMMARY_BYTES
from preflight.findings import WeightType
from preflight.report import FORMATS
from preflight.rules import RULES
from tests.running import (
    InProcess,
    assert_contract,
    environment,
    run_each,
    tiny_adapter,
    unprivileged,
)

LORA_RULES = sum(WeightType.LORA in rule.applies for rule in RULES)


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    return tiny_adapter(tmp_path / "adapter")


def sums(text: str) -> tuple[int, int, int]:
    """How many rules passed, failed and were skipped, by the report's verdict."""
    found = re.findall(r"^(?:✔|✘|OK|FAIL) [A-Z ]+  (.*)$", text, re.MULTILINE)
    assert len(set(found)) == 1, text

    def number(words: str) -> int:
        each = re.search(rf"(\d+) {words}", found[0])
        return int(each[1]) if each else 0

    failed = number("errors?") + number("warnings?")
    others = number("skipped") + number("not applicable")
    return number("(?:rules? )?passed"), failed, others


def is_all_well(text: str) -> bool:
    """Whether the report is three lines of a directory of which every rule was run."""
    passed, failed, skipped = sums(text)
    about, verdict, following = text.splitlines()
    assert about.split("  ")[1].startswith("LoRA rank")
    assert verdict.startswith("✔ READY  ")
    assert following.startswith("next  preflight push ")
    return not failed and passed + skipped == LORA_RULES and skipped < 9


def broken(directory: Path, fault: str) -> Path:
    FAULTS[fault].apply(directory)
    return directory


def test_a_sound_adapter_passes(preflight: InProcess, adapter: Path) -> None:
    done = preflight("check", adapter)
    assert (done.code, done.err) == (0, "")
    assert is_all_well(done.out)
    quiet = preflight("check", adapter, "-q")
    assert quiet.out == done.out.splitlines()[1] + "\n"


def test_a_broken_adapter_fails(preflight: InProcess, adapter: Path) -> None:
    done = preflight("check", broken(adapter, "rank-128"), "--progress", "off")
    lines = done.out.splitlines()
    assert done.code == 1
    assert lines[0] == lines[-2]
    assert lines[0].startswith("✘ NOT READY  1 error (C02), 0 warnings, ")
    assert lines[2].startswith("error C02 ")
    assert "128" in lines[3]
    assert any(line.startswith("  why  ") for line in lines)
    assert any(line.startswith("  fix  ") for line in lines)
    assert sums(done.out)[1] >= 1
    assert done.err == ""


def test_a_warning_is_told_and_is_no_failure(
    preflight: InProcess, adapter: Path
) -> None:
    broken(adapter, "rslora")
    done = preflight("check", adapter)
    assert done.code == 0
    assert done.out.startswith("✔ READY  1 warning (C10), ")
    assert "\nwarning C10 " in done.out
    assert preflight("check", adapter, "--format", "json").document["verdict"] == "warn"


def test_verbose_lists_every_rule_once(preflight: InProcess, adapter: Path) -> None:
    done = preflight("check", adapter, "-v")
    codes = [r.code for r in RULES if WeightType.LORA in r.applies]
    for line, code in zip(done.out.splitlines(), codes, strict=False):
        assert f" {code} " in line
    assert sums(done.out)[1] == 0


def test_without_the_scan_its_rules_are_skipped(
    preflight: InProcess, adapter: Path
) -> None:
    broken(adapter, "nan-first")
    assert preflight("check", adapter, "-q").code == 1
    done = preflight("check", adapter, "--no-scan")
    assert done.code == 0
    assert sums(done.out)[1] == 0
    assert "note  not judged: S" in done.out
    assert "not scanned, as --no-scan asks" in done.out


@pytest.mark.parametrize("no_color", [True, False])
def test_color(
    preflight: InProcess,
    adapter: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    no_color: bool,
) -> None:
    broken(adapter, "rank-128")
    flags = ("check", adapter, "--color")
    assert "\x1b" not in preflight("check", adapter).out  # not a terminal
    if no_color:
        monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[1;31merror\x1b[0m " in preflight(*flags, "always").out
    assert "\x1b" not in preflight(*flags, "never").out
    assert "\x1b" not in preflight(*flags, "auto").out


# JSON


@pytest.mark.parametrize("fault", [None, "rank-128", "rslora", "nan-all"])
def test_json_is_one_document_that_keeps_the_contract(
    preflight: InProcess, adapter: Path, fault: str | None
) -> None:
    if fault:
        broken(adapter, fault)
    done = preflight("check", adapter, "--format", "json")
    document = done.document
    assert_contract(document)
    assert document["command"] == "check"
    assert document["exit_code"] == done.code
    assert (document["weight_type"], document["base_model"]) == ("lora", "qwen3-8b")
    assert len(document["outcomes"]) == LORA_RULES
    assert (document["verdict"] == "fail") == (done.code == 1)
    assert "upload" not in document


@pytest.mark.parametrize(
    ("path", "message"),
    [("nowhere", "no such directory: "), ("a file", "not a directory: ")],
)
def test_an_error_is_a_document_too(
    preflight: InProcess, tmp_path: Path, path: str, message: str
) -> None:
    (tmp_path / "a file").write_text("x")
    done = preflight("check", tmp_path / path, "--format", "json")
    document = done.document
    assert_contract(document)
    assert done.code == 2
    assert (document["exit_code"], document["verdict"]) == (2, "fail")
    assert document["error"]["message"] == f"{message}{tmp_path / path}"
    assert document["error"]["hint"]
    assert done.told()[0] == f"preflight: {message}{tmp_path / path}"


def test_output_goes_to_a_file_in_a_new_directory(
    preflight: InProcess, adapter: Path, tmp_path: Path
) -> None:
    target = tmp_path / "new" / "place" / "report.json"
    done = preflight("check", adapter, "-q", "--format", "json", "--output", target)
    assert (done.code, done.out, done.err) == (0, "", "")
    document = json.loads(target.read_text("utf-8"))
    assert_contract(document)
    assert [file.name for file in target.parent.iterdir()] == ["report.json"]


def test_output_replaces_an_old_report(
    preflight: InProcess, adapter: Path, tmp_path: Path
) -> None:
    target = tmp_path / "report.txt"
    target.write_text("old")
    assert preflight("check", adapter, "--output", target).code == 0
    assert is_all_well(target.read_text("utf-8"))


def test_output_in_colour_stays_plain(
    preflight: InProcess, adapter: Path, tmp_path: Path
) -> None:
    target = tmp_path / "report.txt"
    broken(adapter, "rank-128")
    preflight("check", adapter, "--color", "always", "--output", target)
    assert "\x1b" not in target.read_text("utf-8")


@pytest.mark.parametrize("place", ["a file/report.txt", "a directory"])
def test_output_that_cannot_be_written(
    preflight: InProcess, adapter: Path, tmp_path: Path, place: str
) -> None:
    (tmp_path / "a file").write_text("x")
    (tmp_path / "a directory").mkdir()
    done = preflight("check", adapter, "--output", tmp_path / place)
    assert done.code == 2
    assert is_all_well(done.out)  # better there than lost
    assert done.told()[0].startswith(f"preflight: cannot write {tmp_path / place}: ")
    assert [file.name for file in (tmp_path / "a directory").iterdir()] == []


# Directories that are none, or hold surprises


def test_no_such_directory(preflight: InProcess) -> None:
    done = preflight("check", "nowhere/at all")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        "preflight: no such directory: nowhere/at all",
        "  try  give the directory that holds the trained weights",
    ]


def test_a_file_in_its_place(preflight: InProcess, adapter: Path) -> None:
    done = preflight("check", adapter / "adapter_config.json")
    assert (done.code, done.out) == (2, "")
    assert done.told()[0].startswith("preflight: not a directory: ")
    assert done.told()[1].startswith("  try  ")


def test_an_empty_directory_fails_d01(preflight: InProcess, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = preflight("check", tmp_path / "empty")
    assert done.code == 1
    assert "\nerror D01 directory-readable\n" in done.out
    told = done.out.replace("\n   ", "")
    assert f"{tmp_path}/empty: the directory is empty" in told
    document = preflight("check", tmp_path / "empty", "--format", "json").document
    assert_contract(document)
    assert (document["weight_type"], document["verdict"]) == (None, "fail")


def test_what_may_not_be_read_or_written_is_told(tmp_path: Path) -> None:
    file, directory, sound = (tiny_adapter(tmp_path / name) for name in "abc")
    (file / "adapter_config.json").chmod(0)
    directory.chmod(0)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    commands = [
        ["check", str(file)],
        ["check", str(directory)],
        ["check", str(sound), "--output", f"{closed}/report.txt"],
    ]
    env = environment(tmp_path / "home")
    of_file, of_directory, of_output = run_each(commands, env, before=unprivileged([]))
    directory.chmod(0o700)

    assert of_file.code == 1
    told = "adapter_config.json: the file cannot be read (permission)"
    assert told in of_file.out
    assert "Traceback" not in of_file.err

    assert of_directory.code in (1, 2)
    assert "Traceback" not in of_directory.err
    assert "permission" in (of_directory.out + of_directory.err).lower()

    assert of_output.code == 2
    assert is_all_well(of_output.out)  # better there than lost
    assert of_output.told() == [
        f"preflight: cannot write {closed}/report.txt: Permission denied",
        "  try  another place; the report went to standard output instead",
    ]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("模型 é 🙂", "模型 é 🙂"),
        ("a\nb", r"a\nb"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("right\u202eleft", r"right\u202eleft"),
        (os.fsdecode(b"no\xffutf-8"), r"no\xffutf-8"),
    ],
    ids=["wide", "newline", "escape", "direction", "bytes"],
)
def test_odd_names_are_shown_harmlessly(
    preflight: InProcess, tmp_path: Path, name: str, shown: str
) -> None:
    done = preflight("check", tmp_path / name)
    assert done.told()[0] == f"preflight: no such directory: {tmp_path}/{shown}"
    adapter = tiny_adapter(tmp_path / name)
    (adapter / f"{name}.pt").write_bytes(b"x")
    (adapter / f"adapter_model {name}.bin").write_bytes(b"x")
    for form in ("text", "json"):
        done = preflight("check", adapter, "-v", "--format", form)
        assert done.code in (0, 1)
        assert "\x1b" not in done.out
        assert "\u202e" not in done.out
        done.out.encode("utf-8")
        assert "\x1b" not in done.err
    assert done.document["directory"] == f"{tmp_path}/{name}"  # raw, for programs


# What a push would have to be told


def nameless(adapter: Path) -> Path:
    """An adapter that does not tell its base."""
    path = adapter / "adapter_config.json"
    config = json.loads(path.read_text("utf-8"))
    config["base_model_name_or_path"] = None
    path.write_text(json.dumps(config), "utf-8")
    return adapter


BUCKET = "oss://BUCKET/PREFIX/"


@pytest.mark.parametrize("twins", [False, True], ids=["one fits", "two fit"])
@pytest.mark.parametrize("words", [["check"], ["push", "-n"], ["push"]])
def test_check_and_push_agree_on_a_base_that_is_not_named(
    preflight: InProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    twins: bool,
) -> None:
    """Both end alike, so that `check && push` never comes to another end than push."""
    bases = write_tiny_bases(tmp_path / "bases")
    if not twins:  # of which one has a vision tower
        (bases / "tiny-qwen2.5-vl.json").unlink()
    monkeypatch.setenv("PREFLIGHT_BASES", str(bases))
    adapter = nameless(build_adapter(tmp_path / "adapter", base=TINY_TEXT))
    preflight.set_keys()
    where = [] if words == ["check"] else ["oss://bucket/models/one/"]
    done = preflight(*words, adapter, *where)
    assert (done.code, done.err) == (2, "")
    verdict, following = done.out.splitlines()[-2:]
    assert verdict.startswith("✘ NOT READY TO PUSH  the base model is not named; ")
    again = [*words, adapter, *where] if where else ["push", adapter, BUCKET]
    told = " ".join(map(str, again))
    listed = "  (`preflight bases` lists them)"
    base = f"ID{listed}" if twins else TINY_TEXT
    assert following == f"next  preflight {told} --base-model {base}"
    form = preflight(*words, adapter, *where, "--format", "json")
    assert (form.code, form.document["exit_code"]) == (2, 2)
    assert form.document["error"]["message"] in verdict
    assert form.document["usable"] is False
    assert preflight(*words[:1], "-n", adapter, *where).code == 2 if where else True
    named = ("--base-model", TINY_TEXT)
    assert preflight("check", adapter, *named).code == 0
    assert preflight("push", "-n", adapter, "oss://bucket/m/", *named).code == 0


def test_a_file_that_cannot_go_up_is_no_ready_directory(
    preflight: InProcess, adapter: Path, tmp_path: Path
) -> None:
    (tmp_path / "elsewhere.md").write_text("x")
    (adapter / "README.md").unlink()
    (adapter / "README.md").symlink_to(tmp_path / "elsewhere.md")
    codes = {
        preflight("check", adapter).code,
        preflight("push", "-n", adapter, "oss://bucket/m/").code,
    }
    assert len(codes) == 1
    assert 0 not in codes


# Several directories


def test_several_directories_are_a_table_and_the_newest_is_recommended(
    preflight: InProcess, tmp_path: Path
) -> None:
    runs = tmp_path / "runs"
    for number, age in ((100, 300), (200, 200), (300, 100)):
        made = tiny_adapter(runs / f"checkpoint-{number}")
        for path in made.iterdir():
            os.utime(path, (1_790_000_000 - age, 1_790_000_000 - age))
    broken(runs / "checkpoint-300", "rank-128")
    os.utime(runs / "checkpoint-300/adapter_config.json", (1_790_000_000,) * 2)
    for words, verdict in (
        (sorted(runs.iterdir()), "✘ NOT READY  2 of 3 ready"),
        ([runs], f"✘ NOT READY  {runs} holds no model itself; below it 2 of 3 ready"),
    ):
        done = preflight("check", *words)
        assert (done.code, done.err) == (1, "")
        lines = done.out.splitlines()
        assert lines[0].split() == [
            "directory",
            "verdict",
            "errors",
            "warnings",
            "saved",
        ]
        shown = [Path(line.split()[0]).name for line in lines[1:4]]
        assert shown == ["checkpoint-300", "checkpoint-200", "checkpoint-100"]
        assert lines[-2] == verdict
        recommended = runs / "checkpoint-200"
        assert lines[-1].startswith(f"next  preflight push {recommended} oss://")
    good = [runs / "checkpoint-100", runs / "checkpoint-200"]
    assert preflight("check", *good).code == 0
    assert preflight("check", *good, "-q").out == "✔ READY  2 of 2 ready\n"


@pytest.mark.parametrize("form", ["html", "junit", "markdown", "github"])
def test_checkpoints_are_one_page_or_suite_each(
    preflight: InProcess, tmp_path: Path, form: str
) -> None:
    """The parent of checkpoints, and the same directories named one by one."""
    runs = tmp_path / "runs"
    for number in (100, 200):
        tiny_adapter(runs / f"checkpoint-{number}")
    page = tmp_path / "report"
    for words in ([runs], sorted(runs.iterdir())):
        done = preflight("check", *words, "--output", f"{form}={page}")
        assert done.code == (1 if words == [runs] else 0), done.err
        text = page.read_text("utf-8")
        assert text.count("checkpoint") > 1
        for number in (100, 200):
            assert re.search(rf"checkpoint\\?-{number}", text)
        assert "READY" in done.out  # the table stays on the screen


def test_each_form_goes_to_a_file_of_its_own(
    preflight: InProcess,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    files = {form: tmp_path / f"{form}.out" for form in FORMATS if form != "concise"}
    words = [w for form, file in files.items() for w in ("--output", f"{form}={file}")]
    done = preflight("check", adapter, *words, "--format", "concise")
    assert done.code == 0, done.err
    assert done.out.count("\n") == 1
    begins = {
        "text": str(adapter),
        "json": "{",
        "github": "::notice ",
        "junit": "<?xml",
        "markdown": "## ",
        "html": "<!doctype html>",
    }
    for form, file in files.items():
        assert file.read_text("utf-8").startswith(begins[form]), form
    assert preflight("check", adapter, "--output", "./junit=x").code == 0
    assert Path("junit=x").read_text("utf-8").startswith(str(adapter))


def test_github_actions_get_annotations_and_a_summary_by_themselves(
    preflight: InProcess,
    adapter: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summary = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    done = preflight("check", adapter, "--format", "json")
    assert done.document["verdict"] == "pass"
    assert done.err.startswith("::notice title=preflight::")
    shown = preflight("check", adapter, "--format", "github")
    assert "::" not in shown.err  # standard output has them
    assert summary.read_text("utf-8").count("## ✅") == 2
    other = tiny_adapter(tmp_path / "other")
    FAULTS["rank-128"].apply(other)
    many = preflight("check", adapter, other)
    assert many.err.startswith("::error file=")
    text = summary.read_text("utf-8")
    assert "# ❌ NOT READY: 1 of 2 ready" in text
    summary.write_bytes(b"x" * (SUMMARY_BYTES - 60))
    assert preflight("check", adapter).code == 0
    assert summary.stat().st_size == SUMMARY_BYTES
    assert preflight("check", adapter).code == 0
    assert summary.stat().st_size == SUMMARY_BYTES


def test_several_directories_are_one_document(
    preflight: InProcess, adapter: Path, tmp_path: Path
) -> None:
    document = preflight(
        "check", adapter, tmp_path / "nowhere", "--format", "json"
    ).document
    assert (document["exit_code"], document["usable"]) == (2, False)
    first, second = document["reports"]
    assert (first["usable"], second["error"]["message"][:12]) == (True, "no such dire")
    lines = preflight("check", adapter, adapter, "--format", "concise").out.splitlines()
    assert len(lines) == 2


def test_what_is_no_model_directory_is_called_by_its_name(
    preflight: InProcess, tmp_path: Path
) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    (tmp_path / "m.zip").write_bytes(b"PK\x03\x04" + bytes(100))
    for name, told in (("m.gguf", "GGUF model"), ("m.zip", "archive (zip")):
        done = preflight("check", tmp_path / name)
        assert done.code == 2
        assert f"(it is: {told}" in done.told()[0]
    (tmp_path / "t").mkdir()
    (tmp_path / "t/tokenizer.json").write_text("{}")
    done = preflight("check", tmp_path / "t")
    assert f"{tmp_path}/t  a tokenizer, no weights" in done.out


# What to check against


def test_the_base_by_code_or_hub_id(preflight: InProcess, adapter: Path) -> None:
    for name in ("qwen3-8b", "Qwen/Qwen3-8B"):
        done = preflight("check", adapter, "--base-model", name, "--format", "json")
        assert (done.code, done.document["base_model"]) == (0, "qwen3-8b")


@pytest.mark.parametrize("name", ["qwen3-14b", "no-such-model"])
def test_another_base_than_trained_fails(
    preflight: InProcess, adapter: Path, name: str
) -> None:
    done = preflight("check", adapter, "--base-model", name)
    assert done.code == 1
    assert name in done.out


def test_an_adapter_is_no_full_weights(preflight: InProcess, adapter: Path) -> None:
    done = preflight("check", adapter, "--weight-type", "full", "--format", "json")
    assert (done.code, done.document["weight_type"]) == (1, "full")


def test_check_leaves_the_directory_and_home_alone(
    preflight: InProcess, adapter: Path
) -> None:
    before = {path: path.stat() for path in adapter.rglob("*")}
    preflight("check", adapter)
    assert {path: path.stat().st_mtime_ns for path in adapter.rglob("*")} == {
        path: found.st_mtime_ns for path, found in before.items()
    }
    assert list(preflight.home.rglob("*")) == []
