"""Chinese as a reader meets it: no screen has an English sentence on it.

Names, values, commands and what a service answered stay as they are; a run of four or
more English words beside those is a sentence that nobody translated.
"""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS, LORA, Inapplicable
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, write_tiny_bases
from preflight import api
from preflight.commands import COMMANDS
from preflight.language import CHINESE, speaking
from preflight.report import Style, render
from preflight.rules import RULES
from preflight.sandbox import Sandbox
from preflight.text import columns
from tests.cases import case
from tests.depth import examples
from tests.running import InProcess, tiny_adapter
from tests.test_escaping import assert_harmless

DESTINATION = "oss://preflight-sandbox/models/one/"
QUICK = ("--poll-interval", "0.05", "--base-model", "qwen3-8b")
# What is no prose: code, addresses, paths, fields, options, values in quotes.
_NO_PROSE = re.compile(
    r"`[^`]*`|\"[^\"]*\"|'[^']*'|https?://\S+|oss://\S*|\S*/\S+"
    r"|--?[\w-]+(?:[ =][A-Z]+)?|\[[^\]]*\]|\{[^}]*\}|\S*[_.=:@\\]\S*"
    r"|\S*\d\S*|<[^>]*>|\$\s?.*|preflight \w+.*"
)
_RUN = re.compile(r"(?:\b[A-Za-z][a-z']+\b[,;]?\s+){3,}[A-Za-z][a-z']+")
# Lists of names, and titles of pages that are in English alone.
_NAMES = ("Coder, QwQ", "PEFT checkpoint format", "Stage Frozen Tied")


def english(text: str) -> Iterator[str]:
    """The runs of four or more English words in what people read."""
    for line in text.splitlines():
        prose = _NO_PROSE.sub(" | ", line)
        yield from (
            f"{run}   in: {line}" for run in _RUN.findall(prose) or _runs(prose)
        )


def _runs(prose: str) -> list[str]:
    return [found[0] for found in _RUN.finditer(prose) if found[0] not in _NAMES]


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    called = InProcess(tmp_path / "home", monkeypatch, capsys)
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    monkeypatch.setenv("COLUMNS", "100")
    return called


def test_english_sentences_are_found() -> None:
    assert list(english("the base model is not known; give --base-model"))
    assert list(english("✘ 未就绪  nothing was uploaded by this run"))
    assert not list(english("请用 PEFT 的 save_pretrained 重新保存: lora_A 为 (r, in)"))
    assert not list(english("preflight push MODEL_DIR oss://bucket/prefix/ --yes"))


def test_help_is_chinese(preflight: InProcess) -> None:
    for name in ("", *COMMANDS):
        done = preflight(*([name] if name else []), "--help")
        assert done.code == 0
        assert "选项" in done.out
        assert list(english(done.out)) == [], name
        assert max(map(columns, done.out.splitlines())) <= 100


def test_the_manual_of_every_rule_is_chinese(preflight: InProcess) -> None:
    assert list(english(preflight("explain").out)) == []
    for rule in RULES:
        page = preflight("explain", rule.code).out
        assert "常见原因" in page, rule.code
        assert list(english(page)) == [], rule.code


def test_mistakes_on_the_command_line_are_told_in_chinese(
    preflight: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (
        ("chekc",),
        ("check",),
        ("check", "nowhere"),
        ("check", ".", "--colour"),
        ("check", ".", "--color", "maybe"),
        ("check", ".", "--format"),
        ("check", ".", "--ignore", "Z99=x"),
        ("push", "."),
        ("push", ".", "oss://b"),
        ("push", ".", "oss://bucket/{nothing}/"),
        ("push", ".", "oss://bucket/m/", "--workers", "0"),
        ("explain", "Z99"),
        ("jobs",),
        ("clean", "oss://bucket/m/"),
    ):
        done = preflight(*words)
        assert done.code, words
        assert list(english(done.out + done.err)) == [], words
        assert re.search(r"[\u4e00-\u9fff]", done.out + done.err), words


@pytest.fixture
def with_tiny_bases(
    preflight: InProcess,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> InProcess:
    folder = tmp_path_factory.getbasetemp() / "tiny-bases"
    monkeypatch.setenv("PREFLIGHT_BASES", str(write_tiny_bases(folder)))
    monkeypatch.setenv("HF_HUB_CACHE", str(folder / "no-cache"))
    monkeypatch.setenv("MODELSCOPE_CACHE", str(folder / "no-cache"))
    return preflight


def broken(place: Path, *, lora: bool) -> Iterator[tuple[str, Path]]:
    """A directory for each fault of adapters, or of full weights alone.

    Of those that are told in the same words of the same rule one is enough, but for
    adapters, whose faults may be names; `make fuzz` takes all.
    """
    seen: set[object] = set()
    good = place / "good"
    if lora:
        build_adapter(good, base=TINY_TEXT, template=TINY_TEMPLATE)
    else:
        build_full(
            good,
            base=TINY_TEXT,
            sparse=False,
            shard_bytes=60_000,
            template=TINY_TEMPLATE,
        )
    for name, fault in FAULTS.items():
        directory, kind = place / name / "model", (fault.codes, fault.words)
        if bool(fault.kinds & LORA) is not lora:
            continue
        if not lora and kind in seen and examples(1) == 1:
            continue
        seen.add(kind)
        shutil.copytree(good, directory)
        with contextlib.suppress(Inapplicable):
            fault.apply(directory)
            yield name, directory


def told(directory: Path) -> str:
    """What `check -v` shows, without the grammar and the search for a repair."""
    with speaking(CHINESE):
        record = api.check(directory).record
        return render(record, "text", Style(verbose=True, width=100))


@pytest.mark.usefixtures("with_tiny_bases")
@pytest.mark.parametrize("kind", ["lora", "full"])
def test_every_fault_is_told_in_chinese_and_harmlessly(
    tmp_path: Path, kind: str
) -> None:
    count, failed, wrong = 0, set(), []
    for name, directory in broken(tmp_path, lora=kind == "lora"):
        text = told(directory)
        count += 1
        with case(name):
            assert_harmless(text)
        failed |= set(re.findall(r"^(?:错误|警告) ([A-Z]\d\d) ", text, re.MULTILINE))
        # Names that the fault made up may be words.
        wrong += [(name, run) for run in english(text.replace(str(directory), "DIR"))]
    assert wrong == []
    assert count > (150 if kind == "lora" else 20)
    assert len(failed) > (30 if kind == "lora" else 10)


def test_what_a_check_suggests_is_told_in_chinese(
    with_tiny_bases: InProcess, tmp_path: Path
) -> None:
    adapter = build_adapter(tmp_path / "a", base=TINY_TEXT, template=TINY_TEMPLATE)
    FAULTS["orig-mod"].apply(adapter)
    done = with_tiny_bases("check", adapter, "-v")
    assert done.code == 1
    assert "preflight fix" in done.out
    assert list(english(done.out.replace(str(adapter), "DIR"))) == []


def test_a_whole_push_and_its_status_are_chinese(
    preflight: InProcess, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "model")
    with Sandbox() as box:
        preflight.use(box)
        pushed = preflight("push", adapter, DESTINATION, "-v", *QUICK)
        assert pushed.code == 0
        for done in (
            pushed,
            preflight("push", adapter, DESTINATION, "-v", *QUICK),
            preflight("push", adapter, DESTINATION, "--dry-run", "-v", *QUICK),
            preflight("status"),
            preflight("jobs"),
            preflight("verify", DESTINATION, adapter),
            preflight("doctor", DESTINATION),
            preflight("show", adapter),
            preflight("diff", adapter, adapter),
            preflight("bases"),
        ):
            assert list(english(done.out + done.err)) == []
        assert "✔ 已导入" in pushed.out
        assert "可以写入" in preflight("doctor", DESTINATION).out


def test_doctor_without_any_setting_is_chinese(preflight: InProcess) -> None:
    done = preflight("doctor")
    assert done.code == 2
    assert list(english(done.out + done.err)) == []


def test_files_for_people_are_chinese_and_those_for_programs_english(
    preflight: InProcess, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "model", rank=12)
    names = ("html", "markdown", "json", "junit", "github", "concise")
    words = [
        word
        for name in names
        for word in ("--format", name, "--output", tmp_path / f"report.{name}")
    ]
    assert preflight("check", adapter, *words).code == 1
    texts = {n: (tmp_path / f"report.{n}").read_text("utf-8") for n in names}
    body = texts["html"].partition("<body>")[2]
    visible = re.sub(r"<[^>]*>", "\n", body)
    assert '<html lang="zh-CN">' in texts["html"]
    assert list(english(visible)) == []
    assert list(english(texts["markdown"].replace("\\", ""))) == []
    for name in ("github", "concise"):
        assert "允许 8, 16, 32, 64" in texts[name]
    for name in ("json", "junit"):
        assert "allowed are 8, 16, 32, 64" in texts[name]
        assert not re.search(r"[\u4e00-\u9fff]", texts[name])


def test_only_the_flag_turns_documents(preflight: InProcess, tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "model", rank=12)
    asked = preflight("check", adapter, "--format", "json", "--lang", "zh-CN")
    (outcome,) = (o for o in asked.document["outcomes"] if o["result"] == "failed")
    assert outcome["problems"][0]["message"].startswith("为 12")
    assert outcome["name"] == "rank-allowed"
    told = preflight("--lang", "en", "check", adapter)
    assert "NOT READY" in told.out


def test_records_are_english_whatever_the_language_is(
    preflight: InProcess, tmp_path: Path
) -> None:
    adapter = tiny_adapter(tmp_path / "model")
    with Sandbox() as box:
        preflight.use(box)
        assert preflight("push", adapter, DESTINATION, "--lang", "zh", *QUICK).code == 0
    (record,) = (preflight.home / ".local/state/preflight/runs").glob("*.json")
    document = json.loads(record.read_text("utf-8"))
    assert not re.search(r"[\u4e00-\u9fff]", json.dumps(document["outcomes"]))


@pytest.mark.usefixtures("preflight")
def test_the_api_speaks_english(tmp_path: Path) -> None:
    report = api.check(tiny_adapter(tmp_path / "model", rank=12))
    (problem,) = report.errors
    assert "allowed are 8, 16, 32, 64" in problem.problems[0].message
    assert "NOT READY" in report._repr_html_()


def test_it_costs_no_time_that_one_notices() -> None:
    """A lookup each time a line is written, and one file that is read once."""
    from preflight.language import catalogue_of, say

    catalogue_of.cache_clear()
    began = time.process_time()
    catalogue_of("zh_CN")
    for number in range(1000):
        say("is {value}", value=number)
    assert time.process_time() - began < 1.0
