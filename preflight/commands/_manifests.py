"""Manifests beside the records of runs, on this machine."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from preflight.directories import state_directory
from preflight.errors import PreflightError
from preflight.findings import Unavailable
from preflight.language import say
from preflight.pipeline.manifest import ModelManifest, manifest_from, manifest_of
from preflight.record import KEPT, Gatherer, write_whole
from preflight.regular import read_regular
from preflight.text import json_text


def keep_manifest(recorder: Gatherer, *, sha256: bool) -> None:
    """Write that of a verified upload; failing to is told and is no failure."""
    record = recorder.record
    done, checked = record.uploaded, record.checked
    if done is None or checked is None or not done.verified:
        return
    job_id = record.imported.job.job_id if record.imported else ""
    try:
        path = keep(manifest_of(done, checked, job_id=job_id, sha256=sha256), "push")
    except (OSError, PreflightError) as error:
        recorder.say(say("the manifest could not be kept: {why}", why=str(error)))
        return
    if path is not None and sha256:
        recorder.note(say("manifest  {path}", path=str(path)))


def keep(manifest: ModelManifest, why: str) -> Path | None:
    """Write a manifest below the state directory; where, or None without such."""
    state = state_directory()
    if isinstance(state, Unavailable):
        return None
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%S%f")
    path = state / "manifests" / f"{stamp}-{why}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json_text(manifest.statement()), mode=0o600)
    for old in sorted(path.parent.glob("*.json"))[:-KEPT]:
        old.unlink(missing_ok=True)
    return path


def _documents(folder: str) -> Iterator[dict[str, Any]]:
    """The JSON objects in a folder of the state directory, the newest first."""
    state = state_directory()
    if isinstance(state, Unavailable):
        return
    for path in sorted((state / folder).glob("*.json"), reverse=True):
        try:
            form = json.loads(read_regular(path))
        except (OSError, ValueError):
            continue
        if isinstance(form, dict):
            yield form


def kept_manifest(url: str) -> ModelManifest | None:
    """The newest manifest of a prefix on this machine."""
    for form in _documents("manifests"):
        try:
            found = manifest_from(form)
        except (KeyError, TypeError, ValueError, IndexError):
            continue
        if found.destination == url:
            return found
    return None


def known_jobs(url: str) -> frozenset[str]:
    """The import jobs of a prefix that runs on this machine have seen."""
    jobs = (form.get("job") for form in _documents("runs"))
    return frozenset(
        str(job["job_id"])
        for job in jobs
        if isinstance(job, dict) and job.get("source") == url and job.get("job_id")
    )
