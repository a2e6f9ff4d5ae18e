"""The grammar: help, version, the manual, and command lines that cannot be read."""

from __future__ import annotations

import io
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from preflight import __version__
from preflight.catalog.base_models import load_bases
from preflight.cli import entry
from preflight.commands import COMMANDS
from preflight.errors import PreflightError
from preflight.parser import EXIT_CODES, parse
from preflight.rules import RULES
from tests.cases import case
from tests.running import InProcess, Run, command, environment, run, tiny_adapter
from tests.streams import FULL, ended_on, nobody

NAMES = list(COMMANDS)


@pytest.fixture
def preflight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> InProcess:
    return InProcess(tmp_path / "home", monkeypatch, capsys)


def test_exit_codes_stand_in_the_help_once(preflight: InProcess) -> None:
    out = preflight("--help").out
    assert out.count("exit codes:") == 1
    for code, text in EXIT_CODES:
        assert f"  {code:<4} {text}\n" in out


def test_every_help_has_examples_that_can_be_read(preflight: InProcess) -> None:
    for name in NAMES:
        done = preflight(name, "--help")
        assert (done.code, done.err) == (0, ""), name
        assert preflight("help", name).out == done.out
        examples = done.out.partition("\nexamples:\n")[2].partition("\n\n")[0]
        whole = examples.replace("\\\n", " ").splitlines()
        lines = [line.partition("#")[0] for line in whole if line[:3] != "  #"]
        assert lines, name
        for line in lines:
            words = shlex.split(line.partition(">")[0])
            assert words[:2] == ["preflight", name]
            assert parse(words[1:]).command == name


def test_flags_stand_in_groups(preflight: InProcess) -> None:
    out = preflight("push", "--help").out
    titles = ["model:", "rules:", "transfer:", "import:", "output:"]
    places = [out.index(f"\n{title}\n") for title in titles]
    assert places == sorted(places)


UNKNOWN = {
    "chek": "there is no command 'chek'; did you mean check?",
    "satus": "there is no command 'satus'; did you mean status?",
    "xyzzy": "there is no command 'xyzzy': check, fix, ",
}


def test_a_command_that_is_not_there(preflight: InProcess) -> None:
    for word, told in UNKNOWN.items():
        for words in ([word], [word, "--verbose", "x"], ["help", word]):
            done = preflight(*words)
            assert (done.code, done.out) == (2, ""), words
            assert done.told()[0].startswith(f"preflight: {told}")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_that_the_shell_reads(
    preflight: InProcess, shell: str
) -> None:
    done = preflight("completion", shell)
    assert (done.code, done.err) == (0, "")
    for word in (*NAMES, "--base-model", "--strict"):
        assert word.lstrip("-") in done.out
    if path := shutil.which(shell):
        read = subprocess.run(
            [path, "-n", "/dev/stdin"],
            input=done.out,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (read.returncode, read.stderr) == (0, "")


def test_help_names_every_command(preflight: InProcess) -> None:
    out = preflight("--help").out
    for name, text in COMMANDS.items():
        assert name in out
        assert text.split()[0] in out


def every_error(kind: type[PreflightError]) -> set[type[PreflightError]]:
    found = {kind}
    for below in kind.__subclasses__():
        found |= every_error(below)
    return found


def test_every_error_has_an_exit_code_that_is_documented() -> None:
    documented = {code for code, _ in EXIT_CODES}
    assert {kind.exit_code for kind in every_error(PreflightError)} <= documented


def test_version_of_the_module(tmp_path: Path) -> None:
    done = run(command("--version"), environment(tmp_path / "home"))
    assert (done.code, done.out, done.err) == (0, f"preflight {__version__}\n", "")


UNREADABLE: tuple[tuple[list[str], str], ...] = (
    (["check"], "required: MODEL_DIR"),
    (["check", "d", "--frob"], "unrecognized arguments: --frob"),
    (["jobs", "j", "extra"], "unrecognized arguments: extra"),
    (["check", "d", "--form", "json"], "unrecognized arguments: --form json"),
    (["check", "d", "--format", "xml"], "invalid choice: 'xml'"),
    (["check", "d", "--weight-type", "qlora"], "invalid choice: 'qlora'"),
    (["check", "d", "--color", "maybe"], "invalid choice: 'maybe'"),
    (["push"], "required: MODEL_DIR"),
    (["push", "d", "oss://b/p/", "--timeout"], "expected one argument"),
    (["push", "d", "oss://b/p/", "--timeout", "1h"], "not a number of seconds: 1h"),
    (["push", "d", "oss://b/p/", "--timeout", "-1"], "not a number of seconds: -1"),
    (["push", "d", "oss://b/p/", "--timeout=nan"], "not a number of seconds: nan"),
    (["wait", "j", "--timeout=inf"], "not a number of seconds: inf"),
    (["wait"], "required: JOB_ID"),
    (["jobs", "--limit", "x"], "not a number from 1 on: x"),
    (["jobs", "--limit", "0"], "not a number from 1 on: 0"),
    (["sandbox", "--port", "x"], "not a port: x"),
    (["sandbox", "--port", "65535"], "not a port: 65535"),
)


def test_a_command_line_that_cannot_be_read(preflight: InProcess) -> None:
    for words, told in UNREADABLE:
        with case(*words):
            done = preflight(*words)
            assert (done.code, done.out) == (2, "")
            assert done.err.startswith("preflight: ")
            assert told in done.told()[0]
            assert done.told()[1].startswith("  try  preflight")
            assert done.told()[1].endswith(" --help")
            assert len(done.told()) == 2


SLIPS: tuple[tuple[list[str], str], ...] = (
    (["push", "d", "--tiemout", "3"], "; did you mean --timeout?"),
    (["check", "d", "--strickt"], "; did you mean --strict?"),
    (["check", "d", "--frobnicate"], "--frobnicate"),
)


def test_a_slip_of_the_finger_is_told_with_the_flag_that_was_meant(
    preflight: InProcess,
) -> None:
    for words, meant in SLIPS:
        done = preflight(*words)
        assert done.code == 2
        assert done.told()[0].endswith(meant)


def test_without_a_command_there_is_the_help(preflight: InProcess) -> None:
    done = preflight()
    assert (done.code, done.out) == (2, "")
    assert done.err == preflight("--help").out


def test_flags_may_stand_before_the_destination(
    preflight: InProcess, tmp_path: Path
) -> None:
    """argparse alone refuses this order; here the destination is what is refused."""
    done = preflight("push", tmp_path, "--base-model", "qwen3-8b", "oss://B/p/")
    assert done.told()[0] == "preflight: 'B' is not a bucket name"


# The manual


def test_explain_lists_all_rules(preflight: InProcess) -> None:
    done = preflight("explain")
    lines = done.out.splitlines()
    assert (done.code, done.err) == (0, "")
    assert lines[0].split() == ["code", "severity", "weights", "rule"]
    assert [line.split()[0] for line in lines[1:]] == [rule.code for rule in RULES]
    assert not any(line != line.rstrip() for line in lines)


def test_explain_shows_every_manual(preflight: InProcess) -> None:
    for rule in RULES:
        for word in (rule.code, rule.code.lower(), rule.name):
            done = preflight("explain", word)
            assert done.code == 0, word
            assert done.out.startswith(f"{rule.code} {rule.name} (")
            assert rule.manual in done.out
            assert f"\nFix: {rule.fix}\n" in done.out


def test_explain_of_an_unknown_rule(preflight: InProcess) -> None:
    done = preflight("explain", "Z99\x1b[31m")
    assert (done.code, done.out) == (2, "")
    assert done.err.splitlines() == [
        r"preflight: there is no rule Z99\x1b[31m",
        "  try  `preflight explain` lists all rules",
    ]


def test_bases_lists_every_base(preflight: InProcess) -> None:
    done = preflight("bases")
    codes = [line.split()[0] for line in done.out.splitlines()[1:]]
    assert (done.code, done.err) == (0, "")
    assert codes == list(load_bases())
    assert "Qwen/Qwen3-8B " in done.out


def test_bases_of_the_user_that_cannot_be_read(
    preflight: InProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bases.json").write_text("{")
    monkeypatch.setenv("PREFLIGHT_BASES", str(tmp_path / "bases.json"))
    done = preflight("bases")
    assert (done.code, done.out) == (2, "")
    assert "bases.json" in done.told()[0]


# What stands at the other end of the pipes


def shell(text: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", text],
        env={**environment(home), "PREFLIGHT": f"{sys.executable} -m preflight"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_reader_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    """What a command says is written at once, the help when all is over."""
    env = environment(tmp_path / "home")
    for line in ("explain", "--help", "push --help", "--version"):
        with case(line), nobody() as writer:
            assert ended_on(line.split(), env, out=writer) == Run(141, "", "")


def test_head_gets_its_line(tmp_path: Path) -> None:
    done = shell("$PREFLIGHT explain | head -1", tmp_path / "home")
    assert done.stdout.split() == ["code", "severity", "weights", "rule"]
    assert done.stderr == ""


def test_standard_error_that_goes_away_is_no_traceback(tmp_path: Path) -> None:
    with nobody() as writer:
        env = environment(tmp_path / "home")
        done = ended_on(["check", "nowhere"], env, out=writer, err=writer)
    assert done.code in (2, 141)


OUTPUTS = {
    "explain": 2,
    "check ADAPTER": 2,
    "check ADAPTER --format json": 2,
    "check EMPTY": 1,  # what the run itself came to is told by its code
    "check nowhere --format json": 2,
}


def refused(done_err: str, why: str) -> None:
    told = f"preflight: cannot write to standard output: {why}"
    assert done_err.splitlines()[0] == told
    assert "Traceback" not in done_err
    assert "Exception ignored" not in done_err


def test_an_output_that_takes_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk; and a closed stream, which Python shows as none at all."""
    adapter, env = tiny_adapter(tmp_path / "adapter"), environment(tmp_path / "home")
    (tmp_path / "empty").mkdir()
    places = {"ADAPTER": str(adapter), "EMPTY": str(tmp_path / "empty")}
    for line, code in OUTPUTS.items():
        words = [places.get(word, word) for word in line.split()]
        with case(line), FULL.open("w") as full:
            done = ended_on([*words, "-q"], env, out=full.fileno())
            assert done.code == code
            refused(done.err, "No space left on device")
        with case(line, "closed"), monkeypatch.context() as patch:
            err = io.StringIO()
            patch.setattr(sys, "stdout", None)
            patch.setattr(sys, "stderr", err)
            patch.setattr(sys, "argv", ["preflight", *words, "-q"])
            with pytest.raises(SystemExit) as end:
                entry()
            assert end.value.code == code
            refused(err.getvalue(), "it is closed")
    with FULL.open("w") as full:  # Python holds the help until all is over
        done = ended_on(["--help"], env, out=full.fileno())
    assert done.code == 2
    refused(done.err, "No space left on device")


def test_outputs_that_a_shell_closed_or_fills_up(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for where, why in ((">&-", "it is closed"), (">/dev/full", "No space left")):
        text = f"$PREFLIGHT check {tmp_path}/empty -q {where}"
        done = shell(text, tmp_path / "home")
        assert (done.returncode, done.stdout) == (1, "")
        assert f"cannot write to standard output: {why}" in done.stderr.splitlines()[0]
        assert "Exception ignored" not in done.stderr


def test_closed_standard_error_does_no_harm(tmp_path: Path) -> None:
    done = shell("$PREFLIGHT check nowhere 2>&-", tmp_path / "home")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_terminal_that_knows_ascii_only(tmp_path: Path) -> None:
    adapter = tiny_adapter(tmp_path / "modèle")
    FAULTS["rank-128"].apply(adapter)
    (adapter / "é.bin").write_bytes(b"x")
    env = environment(tmp_path / "home")
    ascii_only = {**env, "PYTHONIOENCODING": "ascii"}
    words = ("check", "-v", str(adapter), "--format")
    for form, done in (
        ("text", run(command(*words, "text"), ascii_only)),
        ("json", ended_on([*words, "json"], env, encoding="ascii")),
    ):
        assert done.code == 1
        assert "Traceback" not in done.err
        assert done.out.isascii()
        assert ("FAIL NOT READY  " in done.out) is (form == "text")
        assert (done.out[-2:] == "}\n") is (form == "json")


# The modules that are loaded


HEAVY = {"oss2", "requests", "tqdm", "huggingface_hub", "pytest_httpserver"}
LOADED = """
import sys
from preflight.cli import main

def loaded(*words):
    try:
        code = main(words)
    except SystemExit as end:
        code = end.code
    assert not code
    print("LOADED", *{name.partition(".")[0] for name in sys.modules})

loaded("--help")
loaded("push", "--help")
loaded("explain")
loaded("check", sys.argv[1])
"""


def test_no_heavy_import(tmp_path: Path) -> None:
    """One after another, so that none may load what the ones after it may not."""
    adapter = str(tiny_adapter(tmp_path / "adapter"))
    words = [sys.executable, "-c", LOADED, adapter]
    done = run(words, environment(tmp_path / "home"))
    assert done.code == 0, done.err
    lines = [line.split() for line in done.out.splitlines() if line[:7] == "LOADED "]
    helped, push, explained, checked = map(set, lines)
    assert "preflight" in helped
    assert (helped | push) & (HEAVY | {"numpy"}) == set()
    assert (explained | checked) & HEAVY == set()
