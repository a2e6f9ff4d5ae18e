"""What one run did, as plain values; kept as a file that reports and never decides."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from preflight.findings import Report, WeightType
from preflight.text import json_text

KEPT = 200  # records kept; the oldest go first


@dataclass(frozen=True, slots=True)
class UploadedFile:
    """One object of the upload: its key, size in bytes and CRC-64/XZ."""

    key: str
    size: int
    crc64: int


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """One local file that was not uploaded, and why."""

    name: str
    size: int
    reason: str


@dataclass(frozen=True, slots=True)
class UploadRecord:
    """What lies, or would lie, under the destination.

    `generated`: keys of the files that no one wrote to the directory. `sent`: bytes
    that this run sent; the rest was there before it.
    """

    destination: str
    files: tuple[UploadedFile, ...]
    left_behind: tuple[LeftBehind, ...] = ()
    generated: tuple[str, ...] = ()
    verified: bool = False
    sent: int | None = None


@dataclass(frozen=True, slots=True)
class JobRecord:
    """The import job as it was last seen; `how` tells whether it was made or found."""

    job_id: str
    status: str
    model_name: str = ""
    display_name: str = ""
    error_code: str = ""
    request_id: str = ""
    how: str = ""

    @property
    def is_done(self) -> bool:
        """Whether the model is imported; one page of the service spells it right."""
        return self.status.upper() in ("SUCCESSED", "SUCCEEDED")


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """Why a run ended early, in the words that were shown."""

    message: str
    hint: str = ""
    request_id: str = ""


@dataclass(slots=True)
class RunRecord:
    """One run as it goes on; the only thing in the pipeline that changes."""

    command: str
    directory: str = ""
    weight_type: WeightType | None = None
    base_model: str = ""
    report: Report = field(default_factory=Report)
    plan: UploadRecord | None = None
    upload: UploadRecord | None = None
    job: JobRecord | None = None
    error: ErrorRecord | None = None
    stage: str = ""
    stages: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)  # likely ones, of a failed job
    dry_run: bool = False
    sandbox: bool = False
    service: str = ""  # base URL of Model Studio
    exit_code: int = 0
    started: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

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


def state_directory(environ: Mapping[str, str]) -> Path:
    """Where run records and locks are kept: `$XDG_STATE_HOME/preflight`."""
    home = environ.get("XDG_STATE_HOME") or Path(
        environ.get("HOME", "~"), ".local/state"
    )
    return Path(home).expanduser() / "preflight"


def save_record(document: Mapping[str, Any], record: RunRecord, state: Path) -> Path:
    """Write the run's document below `state` in one step; returns its path.

    Raises `OSError` when the place cannot be written.
    """
    runs = state / "runs"
    runs.mkdir(parents=True, exist_ok=True)
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(record.directory).name)[:60] or "model"
    stamp = record.started.strftime("%Y%m%dT%H%M%S%f")
    path = runs / f"{stamp}-{record.command}-{name}.json"
    write_whole(path, json_text(document), mode=0o600)
    for old in sorted(runs.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def write_whole(path: Path, text: str, *, mode: int = 0o666) -> None:
    """Write `text` so that a reader sees the old file or the new one, never half.

    What is no ordinary file, such as `/dev/stdout`, is written to and not replaced.
    `mode` holds the permissions of a new file, less those that the umask takes.
    """
    if path.is_symlink() or (path.exists() and not path.is_file()):
        path.write_text(text, "utf-8")
        return
    temporary = path.parent / f".preflight-{os.getpid()}-{time.monotonic_ns():x}"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
