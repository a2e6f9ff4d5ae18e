"""What became of a run, told from the record that it kept while it went on."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any

from preflight.language import known, say
from preflight.process import ProcessMark, is_running
from preflight.progress import human_size


class LifeState(str, Enum):
    """How a run stands; `UNKNOWN` is one of another machine that told no end."""

    RUNNING = "running"
    KILLED = "killed"
    DONE = "done"
    FAILED = "failed"
    UNKNOWN = "unknown"

    @property
    def word(self) -> str:
        """It for people."""
        return _WORDS[self]


_WORDS = {
    LifeState.RUNNING: say("running"),
    LifeState.KILLED: say("killed"),
    LifeState.DONE: say("done"),
    LifeState.FAILED: say("failed"),
    LifeState.UNKNOWN: say("unknown"),
}


@dataclass(frozen=True, slots=True)
class Life:
    """A kept document, and what is known of its run now."""

    document: Mapping[str, Any]
    state: LifeState

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Life:
        """Judge a kept document; one of an older release has always ended."""
        return cls(document, _state(document))

    @property
    def _run(self) -> Mapping[str, Any]:
        return _mapping(self.document, "run")

    @property
    def job(self) -> Mapping[str, Any]:
        """The import job as the run last saw it; empty if it came to none."""
        return _mapping(self.document, "job")

    @property
    def moment(self) -> datetime | None:
        """When it was last heard of: its end, or the last record before that."""
        text = self._run.get("updated") or self.document.get("started")
        try:
            return datetime.fromisoformat(str(text)).astimezone()
        except ValueError:
            return None

    @property
    def command_line(self) -> str:
        """The command that does it again, which goes on where it stopped."""
        argv = self._run.get("argv")
        words = [str(word) for word in argv] if isinstance(argv, list) else []
        return shlex.join(["preflight", *words]) if words else ""

    def headline(self) -> str:
        """What happened, in one sentence."""
        when = self.moment
        at = when.strftime("%Y-%m-%d %H:%M (%z)") if when else say("an unknown time")
        what = say(
            "{command} of {directory}",
            command=self.document.get("command", "run"),
            directory=self.document.get("directory", "?"),
        )
        task = _mapping(self.document, "task")
        if task:
            name = f"{task.get('rank')}/{task.get('count')}"
            what = say("{what}, task {task},", what=what, task=name)
        named = self._run.get("stage")
        stage = known(str(named)) if named else say("its start")
        if self.state is LifeState.RUNNING:
            told = say(
                "{what} is still running, pid {pid}, in {stage}",
                what=what,
                pid=self._run.get("pid"),
                stage=stage,
            )
        elif self.state is LifeState.KILLED:
            told = say(
                "{what} was killed in {stage}, last heard of {at}",
                what=what,
                stage=stage,
                at=at,
            )
        elif self.state is LifeState.UNKNOWN:
            told = say(
                "{what} on {host} told no end, last heard of {at}",
                what=what,
                host=self._run.get("host"),
                at=at,
            )
        else:
            return self._ended(what, at)
        return self._with_safe(told)

    def _ended(self, what: str, at: str) -> str:
        if self.state is LifeState.DONE:
            return say("{what} ended well, {at}", what=what, at=at)
        code = self.document.get("exit_code")
        told = say("{what} failed (exit {code}), {at}", what=what, code=code, at=at)
        return self._with_safe(told) if self._is_partial() else told

    def _is_partial(self) -> bool:
        upload = _mapping(self.document, "upload")
        whole = bool(upload) and upload.get("complete", True)
        return self.state is LifeState.FAILED and not whole

    def _with_safe(self, told: str) -> str:
        """With how much of an upload OSS holds, as far as the record knows."""
        progress = self._run.get("progress")
        if not isinstance(progress, Mapping) or progress.get("stage") != "uploading":
            return told
        done, total = progress.get("done"), progress.get("total")
        if not isinstance(done, int) or not isinstance(total, int) or total <= 0:
            return told
        return say(
            "{told}; {done} of {total} are safe in OSS ({percent} %)",
            told=told,
            done=human_size(done),
            total=human_size(total),
            percent=100 * done // total,
        )


def _mapping(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}


def _state(document: Mapping[str, Any]) -> LifeState:
    run = _mapping(document, "run")
    if run.get("ended", True):
        well = document.get("exit_code") == 0
        return LifeState.DONE if well else LifeState.FAILED
    try:
        mark = ProcessMark(int(run["pid"]), str(run["host"]), str(run.get("born", "")))
    except (KeyError, TypeError, ValueError):
        return LifeState.UNKNOWN
    alive = is_running(mark)
    if alive is None:
        return LifeState.UNKNOWN
    return LifeState.RUNNING if alive else LifeState.KILLED
