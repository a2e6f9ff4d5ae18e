"""`verify`: is a prefix what it was, and are the models that came from it valid?"""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from preflight.clock import ServiceClocks
from preflight.commands._flags import add_format
from preflight.commands._manifests import keep, kept_manifest, known_jobs
from preflight.commands._settings import require_settings
from preflight.destination import parse_destination
from preflight.directories import state_directory
from preflight.errors import UsageError, VerificationFailed
from preflight.findings import Unavailable
from preflight.language import say
from preflight.pipeline.manifest import ExpectedFile, ModelManifest, read_manifest
from preflight.pipeline.services import Services, connected
from preflight.pipeline.verified import (
    HEADS,
    Difference,
    ModelState,
    Verified,
    expected_of,
    model_states,
    present,
    verify_directory,
    verify_prefix,
)
from preflight.record import write_whole
from preflight.regular import read_regular
from preflight.report.document import envelope, job_document
from preflight.settings import Need
from preflight.terminal import Terminal
from preflight.text import folded


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The prefix, and what to hold it against."""
    parser.add_argument(
        "place",
        metavar="oss://bucket/prefix/",
        help=say("what to verify; with --manifest a directory, too"),
    )
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        help=say("the directory that was uploaded; its bytes are read"),
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        type=Path,
        help=say("hold it against this manifest (default: that of the last push)"),
    )
    parser.add_argument(
        "--no-models",
        action="store_true",
        help=say("do not ask which models were imported from there"),
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help=say("for cron: one line, and only when something changed"),
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Look, and tell; 0 only when all is as it was.

    Raises `UsageError` where nothing is known that it could be held against.
    """
    manifest = read_manifest(arguments.manifest) if arguments.manifest else None
    if "://" not in arguments.place and manifest is not None:
        found = verify_directory(Path(arguments.place), manifest)
    else:
        found = _verified(arguments, terminal, manifest)
    code = 0 if found.same else VerificationFailed.exit_code
    if arguments.watch:
        _watch(found, terminal)
    elif arguments.format == "json":
        terminal.show_document(envelope("verify", code, **_document(found)))
    else:
        for line in _lines(found, marks=terminal.can_show("✔✘")):
            terminal.show_lines(folded(line, terminal.width))
    return code


def _verified(
    arguments: argparse.Namespace, terminal: Terminal, manifest: ModelManifest | None
) -> Verified:
    destination = parse_destination(arguments.place)
    needs = (Need.OSS,) if arguments.no_models else (Need.OSS, Need.STUDIO)
    settings = require_settings(arguments, terminal, *needs)
    with connected(settings, destination, connections=HEADS) as services:
        manifest = manifest or kept_manifest(destination.url)
        if manifest is None and arguments.directory is None and arguments.watch:
            manifest = present(services.bucket, destination)
            keep(manifest, "watch")
        expected, known = _expected(arguments.directory, manifest)
        found, stored = verify_prefix(destination, expected, known, services.bucket)
        if arguments.no_models:
            models: tuple[ModelState, ...] = ()
        else:
            jobs = known_jobs(destination.url)
            if manifest is not None and manifest.job_id:
                jobs |= {manifest.job_id}
            clocks = _clocks(services)
            models = model_states(destination, stored, jobs, clocks, services.api)
    if expected is None and not models:
        raise UsageError(
            say("nothing is known of what should lie under {url}", url=destination.url),
            hint=say("give DIR, the directory that was uploaded, or --manifest FILE"),
        )
    new = tuple(
        Difference(m.job.job_id, say("is a job that is not on record here"))
        for m in models
        if m.is_new
    )
    return replace(found, models=models, differences=(*found.differences, *new))


def _expected(
    directory: Path | None, manifest: ModelManifest | None
) -> tuple[tuple[ExpectedFile, ...] | None, str]:
    if directory is not None:
        return expected_of(directory), say("the files of {dir}", dir=str(directory))
    if manifest is not None:
        return manifest.files, say("the manifest of {url}", url=manifest.destination)
    return None, say("the times of the imports")


def _clocks(services: Services) -> ServiceClocks:
    """Both clocks, each told by an answer of its service."""
    services.api.list_page(page_size=1)
    return ServiceClocks(services.bucket.clock_ahead, services.api.clock_ahead)


def _document(found: Verified) -> dict[str, Any]:
    return {
        "place": found.place,
        "same": found.same,
        "held_against": found.known,
        "objects": found.objects,
        "differences": [
            {"name": each.name, "what": each.what} for each in found.differences
        ],
        "models": [
            {
                **job_document(model.job),
                "valid": model.valid,
                "changed": list(model.changed),
            }
            for model in found.models
        ],
    }


def _lines(found: Verified, *, marks: bool) -> Iterator[str]:
    if found.same:
        mark = "✔" if marks else "OK"
        yield say(
            "{mark} AS IT WAS  {place}: {count} files, held against {known}",
            mark=mark,
            place=found.place,
            count=found.objects,
            known=found.known,
        )
    else:
        mark = "✘" if marks else "FAIL"
        yield say("{mark} CHANGED  {place}", mark=mark, place=found.place)
    yield from (f"  {each.name}: {each.what}" for each in found.differences)
    yield from (f"  {_told(model)}" for model in found.models)
    valid = [model.job.model_name for model in found.models if model.valid]
    if valid:
        yield say(
            "any object that is written, replaced or deleted there makes invalid: "
            "{models}",
            models=", ".join(valid),
        )


def _told(model: ModelState) -> str:
    name, job = model.job.model_name or "a model", model.job.job_id
    if model.valid:
        return say("model {name} (job {job}): valid", name=name, job=job)
    if model.changed:
        return say(
            "model {name} (job {job}): not valid any more; written since: {files}",
            name=name,
            job=job,
            files=", ".join(model.changed[:5]),
        )
    return say(
        "model {name} (job {job}): {word}", name=name, job=job, word=model.job.word
    )


def _watch(found: Verified, terminal: Terminal) -> None:
    """One line when it is another one than last time, or bad for the first time."""
    told = [f"{each.name} {each.what}" for each in found.differences]
    told += [_told(model) for model in found.models if not model.valid]
    line = "; ".join(told) or say("as it was")
    state = state_directory()
    if isinstance(state, Unavailable):
        terminal.show_lines([f"{found.place}: {line}"])
        return
    digest = hashlib.sha256(found.place.encode()).hexdigest()[:16]
    path = state / "watched" / f"{digest}.json"
    try:
        before = str(json.loads(read_regular(path))["line"])
    except (OSError, ValueError, KeyError, TypeError):
        before = say("as it was")
    if line != before:
        terminal.show_lines([f"{found.place}: {line}"])
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps({"line": str(line)}), mode=0o600)
