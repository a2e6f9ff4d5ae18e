"""All commands in all kinds of terminals: one walk.

Whatever the terminal is, a command comes to the same end, breaks no word, writes no
sequence that was not wanted, and shows what it has to say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from preflight.commands import COMMANDS
from preflight.sandbox import Sandbox
from preflight.text import columns, folded
from tests.depth import examples
from tests.running import environment, tiny_adapter
from tests.screens.forks import in_pipe, in_terminal

URL = "oss://preflight-sandbox/models/one/"
WIDE = "模型-检查点"  # ten columns and a hyphen
QUICK = ("--poll-interval", "0.02")

# What each is called with, and how it ends. `JOB` stands for a job's short id.
CALLS: tuple[tuple[tuple[str, ...], int], ...] = (
    (("check", "good"), 0),
    (("check", "broken"), 1),
    (("check", WIDE), 0),
    (("check", "good", WIDE, "broken"), 1),
    (("check", "nobase"), 2),
    (("check", "nowhere"), 2),
    (("check", "good", "-v"), 0),
    (("fix", "broken", "-n"), 0),
    (("fix", "longer", "-n"), 0),
    (("push", "-n", WIDE, URL), 0),
    (("push", "good", URL, *QUICK), 0),
    (("push", "good", "oss://no-such-bucket/p/"), 2),
    (("push", WIDE, URL, *QUICK), 6),
    (("import", URL, "--base-model", "qwen3-8b", *QUICK), 0),
    (("wait", "JOB"), 0),
    (("jobs",), 0),
    (("jobs", "JOB"), 0),
    (("jobs", "none"), 6),
    (("delete", "JOB"), 2),  # without --yes
    (("status",), 0),
    (("show", "good"), 0),
    (("diff", "good", WIDE), 0),
    (("clean", "oss://preflight-sandbox/models/"), 0),
    (("verify", URL), 0),
    (("doctor", URL), 0),
    (("doctor",), 0),
    (("explain",), 0),
    (("explain", "C02"), 0),
    (("bases",), 0),
    (("schema",), 0),
    (("completion", "bash"), 0),
    (("mk",), 0),
    (("sandbox", "--port", "x"), 2),
    (("help",), 0),
    (("push", "--help"), 0),
    (("chek",), 2),
    ((), 2),
)


@dataclass(frozen=True, slots=True)
class Way:
    """A kind of terminal; `columns` 0 is one that does not know its size."""

    columns: int = 80
    values: Mapping[str, str] = field(default_factory=dict)
    piped: bool = False


WAYS = {
    "narrow": Way(60),
    "usual": Way(),
    "very wide": Way(240),
    "without a size": Way(0),
    "TERM=dumb": Way(values={"TERM": "dumb"}),
    "NO_COLOR": Way(values={"NO_COLOR": "1"}),
    "C locale": Way(values={"LC_ALL": "C"}),
    "a pipe": Way(piped=True),
    "FORCE_COLOR in a pipe": Way(values={"FORCE_COLOR": "1"}, piped=True),
}


@dataclass(frozen=True, slots=True)
class Room:
    """A directory with models, and a sandbox."""

    place: Path
    env: Mapping[str, str]
    job: str

    def words(self, call: tuple[str, ...]) -> list[str]:
        return [self.job[:8] if word == "JOB" else word for word in call]


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    base = tmp_path_factory.mktemp("terminals")
    place = base / "work"
    tiny_adapter(place / "good")
    tiny_adapter(place / WIDE)
    FAULTS["nan-last"].apply(tiny_adapter(place / "broken"))
    FAULTS["orig-mod"].apply(tiny_adapter(place / "longer"))
    config = tiny_adapter(place / "nobase") / "adapter_config.json"
    values = json.loads(config.read_text("utf-8"))
    values["base_model_name_or_path"] = ""
    config.write_text(json.dumps(values), "utf-8")
    readme = place / WIDE / "README.md"
    readme.write_text(readme.read_text("utf-8") + "\n更多\n", "utf-8")
    with Sandbox(directory=base / "sandbox") as box:
        more = {"TERM": "xterm", "LANG": "C.UTF-8", "TZ": "UTC", **box.environment()}
        env = environment(base / "home", more)
        for name in ("FORCE_COLOR", "GITHUB_ACTIONS", "CI", "SSH_CONNECTION", "LC_ALL"):
            env.pop(name, None)
        done, _ = in_pipe(["push", "good", URL], env, place)
        assert done.code == 0
        yield Room(place, env, box.studio.jobs()[0].id)


def told(room: Room, call: tuple[str, ...], way: Way) -> tuple[int, str]:
    env = {**room.env, **way.values}
    words = room.words(call)
    if way.piped:
        out, err = in_pipe(words, env, room.place)
        return out.code, out.text + err.text
    lines = 24 if way.columns else 0
    done = in_terminal(words, env, room.place, way.columns, lines)
    return done.code, done.text.replace("\r\n", "\n")


_CALL = re.compile(r"^ +(curl|-H|-d|\"capacity|\[-)")  # is copied as it is
SCRIPTS = (("schema",), ("completion",))  # are read by programs
_SEQUENCE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


def lines_of(text: str) -> list[str]:
    """Each line as it was drawn, without the sequences that colour or clear it."""
    return re.split(r"[\r\n]+", _SEQUENCE.sub("", text))


def complaint(call: tuple[str, ...], way: Way, text: str) -> str:
    """What is wrong with what a command wrote; empty when all is well."""
    if "Traceback" in text or "Exception ignored" in text:
        return f"a traceback: {text[-300:]}"
    plain = way.piped or way.values.get("TERM") == "dumb"
    if plain and "FORCE_COLOR" not in way.values and "\x1b" in text:
        return "a sequence where none is wanted"
    if "NO_COLOR" in way.values and re.search(r"\x1b\[[0-9;]+m", text):
        return "colour, though NO_COLOR is set"
    if way.values.get("LC_ALL") == "C":
        return "" if text.isascii() else "letters that the C locale lacks"
    if way.columns and not (way.piped or call[:1] in SCRIPTS):
        return next(too_long(lines_of(text), way.columns), "")
    return ""


def too_long(lines: list[str], width: int) -> Iterator[str]:
    """Lines that could have been broken between words, and were not."""
    for line in lines:
        if len(list(folded(line, width))) > 1 and not _CALL.match(line):
            yield f"{columns(line)} columns: {line!r}"


# In these every command is walked; in the others each meets two of six, and all of
# them in `make fuzz`.
WHOLE = ("narrow", "C locale", "a pipe")


def calls_in(name: str) -> Sequence[tuple[tuple[str, ...], int]]:
    """The calls that are made in this kind of terminal."""
    if name in WHOLE or examples(1) > 1:
        return CALLS
    others = [other for other in WAYS if other not in WHOLE]
    return CALLS[others.index(name) % 3 :: 3]


@pytest.mark.parametrize("name", WAYS)
def test_every_command_in_every_terminal(room: Room, name: str) -> None:
    way, wrong = WAYS[name], []
    for call, wanted in calls_in(name):
        code, text = told(room, call, way)
        if way.values.get("LC_ALL") == "C" and WIDE in call:
            # Python itself cannot pass such a name in ASCII; no crash is enough.
            assert "Traceback" not in text
            continue
        why = "" if code == wanted else f"exit {code}, not {wanted}: {text[-300:]}"
        if why := why or complaint(call, way, text):
            wrong.append(f"{' '.join(call)}: {why}")
    assert not wrong, "\n".join(wrong)


def test_every_command_is_walked() -> None:
    assert {call[0] for call, _ in CALLS if call} >= set(COMMANDS)


def test_colour_comes_where_it_is_asked_for(room: Room) -> None:
    for call in (("check", "good"), ("check", "broken")):
        _, text = told(room, call, WAYS["FORCE_COLOR in a pipe"])
        assert re.search(r"\x1b\[1;3[12]m[✔✘] ", text)
        _, text = told(room, call, WAYS["usual"])
        assert re.search(r"\x1b\[1;3[12]m[✔✘] ", text)


def test_nobody_reads_any_more(room: Room) -> None:
    """As `| head -1` does it when it has its line: the rest goes to nobody."""
    wrong = []
    for call, wanted in CALLS:
        out, err = in_pipe(room.words(call), room.env, room.place, closed=True)
        if out.code not in (141, wanted) or "Traceback" in err.text:
            wrong.append(f"{' '.join(call)}: exit {out.code}: {err.text[-300:]}")
        if "Exception ignored" in err.text:
            wrong.append(f"{' '.join(call)}: {err.text[-300:]}")
    assert not wrong, "\n".join(wrong)


def test_columns_of_wide_names_stand_below_one_another(room: Room) -> None:
    words = ["check", "good", WIDE]
    for width in (60, 80, 240):
        done = in_terminal(words, room.env, room.place, width)
        heading, *rows = lines_of(done.text)[:3]
        at = columns(heading.partition("verdict")[0])
        for row in rows:
            assert columns(row.partition("READY")[0]) == at, width
