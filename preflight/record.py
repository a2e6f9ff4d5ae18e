"""What one run did, gathered from the values of its stages.

The record is a report and never an authority: what is done is asked from OSS and from
Model Studio. It is written when a run starts, after each stage and at the end, so that
it tells of a run that was killed, too.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflight.findings import Report, Unavailable, WeightType
from preflight.pipeline.checked import Checked
from preflight.pipeline.imported import Imported
from preflight.pipeline.planned import Planned
from preflight.pipeline.shared import Brought
from preflight.pipeline.uploaded import BrokenOff, Uploaded
from preflight.process import ProcessMark, this_process
from preflight.progress import Progress, ProgressMode, make_progress
from preflight.retry import RetryEvent, Transient
from preflight.studio.jobs import ImportRequest
from preflight.tasks import Task
from preflight.text import json_text
from preflight.upload.parts import TransferOptions

if TYPE_CHECKING:
    from preflight.repair.run import Repaired  # loaded only where there is one

KEPT = 200  # records kept; the oldest go first
CAUSES = 20  # of retries that are told apart
OTHER_CAUSES = "other causes"
_counting = threading.Lock()


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """Why a run ended early, in the words that were shown."""

    message: str
    hint: str = ""
    request_id: str = ""


@dataclass(frozen=True, slots=True)
class StageProgress:
    """How far the last stage that moves bytes came; of an upload, what OSS holds."""

    stage: str
    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Retried:
    """How often something failed for one cause and was tried again.

    `waited`: seconds of the pauses, over all connections; `last`: when it was so.
    """

    attempts: int
    waited: float
    last: datetime


@dataclass(slots=True)
class RunRecord:
    """One run as it goes on: the latest value of each stage, and how long it took.

    `directory` is what the person named; `service` the base URL of Model Studio;
    `argv` the words that start this run again. `ended` is False in the record of a
    run that still goes on, or was killed.
    """

    command: str
    directory: str = ""
    checked: Checked | None = None
    planned: Planned | None = None
    request: ImportRequest | None = None  # of an import without an upload
    uploaded: Uploaded | None = None
    broken_off: BrokenOff | None = None
    task: Task | None = None  # of several that push one model together
    brought: Brought | None = None
    imported: Imported | None = None
    repaired: Repaired | None = None
    repairable: bool = False  # of a check that failed: `preflight fix` would mend it
    error: ErrorRecord | None = None
    unwritten: ErrorRecord | None = None  # why the report is not where it should be
    stage: str = ""
    stages: dict[str, float] = field(default_factory=dict)  # seconds
    notes: list[str] = field(default_factory=list)
    retries: dict[str, Retried] = field(default_factory=dict)  # by cause
    transfer: TransferOptions | None = None
    dry_run: bool = False
    sandbox: bool = False
    service: str = ""
    exit_code: int = 0
    ended: bool = False
    progress: StageProgress | None = None
    process: ProcessMark = field(default_factory=this_process)
    argv: tuple[str, ...] = ()
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def report(self) -> Report:
        """What the rules said; empty where no directory was judged."""
        return self.checked.report if self.checked else Report()

    @property
    def weight_type(self) -> WeightType | None:
        """The kind of weights, where it is known."""
        if self.checked and isinstance(self.checked.found.weight_type, WeightType):
            return self.checked.found.weight_type
        return self.request.weight_type if self.request else None

    @property
    def base_model(self) -> str:
        """The base's code, where it is known."""
        if self.checked and not isinstance(self.checked.found.base, Unavailable):
            return self.checked.found.base.code
        return self.request.model_name if self.request else ""

    @contextlib.contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Name the stage that runs and note its seconds when it is over."""
        self.stage = stage
        began = time.monotonic()
        try:
            yield
        finally:
            self.stages[stage] = self.stages.get(stage, 0) + time.monotonic() - began
        self.stage = ""

    def retried(self, event: RetryEvent) -> None:
        """Count a retry; from any thread, as each cause is replaced in one step."""
        cause, told = event.cause, event.cause.message
        if isinstance(cause, Transient):
            told = cause.why
        with _counting:
            if told not in self.retries and len(self.retries) >= CAUSES:
                told = OTHER_CAUSES
            before = self.retries.get(told)
            self.retries[told] = Retried(
                (before.attempts if before else 0) + 1,
                (before.waited if before else 0.0) + event.pause,
                datetime.now(timezone.utc),
            )

    def take(self, value: object) -> None:
        """Keep a stage's value; a type that is no stage's is a mistake of ours."""
        match value:
            case Checked():
                self.checked = value
            case Planned():
                self.planned = value
            case Uploaded():
                self.uploaded = value
            case Brought():
                self.brought = value
            case BrokenOff():
                self.broken_off = value
            case Imported():
                self.imported = value
            case ImportRequest():
                self.request = value
            case _:
                raise TypeError(f"no stage ends with a {type(value).__name__}")


class Gatherer:
    """An observer that says nothing and gathers what the stages reached."""

    def __init__(self, record: RunRecord) -> None:
        self.record = record

    def say(self, text: str) -> None:
        """Nobody listens."""

    def retrying(self, event: RetryEvent) -> None:
        """Counted by its cause."""
        self.record.retried(event)

    def note(self, text: str) -> None:
        """Kept with the result."""
        self.record.notes.append(text)

    def progress(self) -> Progress:
        """Nobody looks."""
        return make_progress(ProgressMode.OFF)

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Timed."""
        with self.record.timed(name):
            yield

    def reached(self, value: object) -> None:
        """Kept as the record of that stage."""
        self.record.take(value)


def record_path(record: RunRecord, state: Path) -> Path:
    """Where the record of this run lies below the state directory."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(record.directory).name)[:60] or "model"
    stamp = record.started.strftime("%Y%m%dT%H%M%S%f")
    return state / "runs" / f"{stamp}-{record.command}-{name}.json"


def save_record(
    document: Mapping[str, Any],
    path: Path,
    *,
    durable: bool = False,
    ended: bool = True,
) -> None:
    """Write the run's document in one step, and let the oldest records go.

    Until the run has `ended` it is one line, which is made in a fifth of the time: it
    is written ten times a run. With `durable` it outlasts a loss of power, too, once
    this returns. Raises `OSError` when the place cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    is_new = not path.exists()
    text = json_text(document, indent=2 if ended else None)
    write_whole(path, text, mode=0o600, durable=durable)
    if is_new:
        for old in sorted(path.parent.glob("*.json"))[:-KEPT]:
            old.unlink(missing_ok=True)


def write_whole(
    path: Path, text: str, *, mode: int = 0o666, durable: bool = False
) -> None:
    """Write `text` so that a reader sees the old file or the new one, never half.

    What is no ordinary file, such as `/dev/stdout`, is written to and not replaced.
    `mode` holds the permissions of a new file, less those that the umask takes. With
    `durable` the bytes and the name are on the disk when this returns.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, "utf-8")
        return
    temporary = path.parent / f".preflight-{os.getpid()}-{time.monotonic_ns():x}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            if durable:
                file.flush()
                os.fsync(descriptor)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if durable:
        _sync_names(path.parent)


def _sync_names(directory: Path) -> None:
    """A new name is on the disk when its directory is."""
    # Some network mounts refuse this and keep names at once.
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
