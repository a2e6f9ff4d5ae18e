"""`clean`: parts of uploads that were never finished are billed until aborted."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from preflight.commands._flags import add_format
from preflight.commands._settings import require_settings
from preflight.destination import parse_destination
from preflight.errors import PreflightError
from preflight.failure import Failure, told_as_error
from preflight.language import say
from preflight.oss.client import BucketClient
from preflight.oss.errors import Missing
from preflight.oss.models import PendingUpload
from preflight.pipeline.services import bucket_access
from preflight.progress import human_size
from preflight.record import ErrorRecord
from preflight.report.document import envelope
from preflight.settings import Need
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to look, and whether really."""
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help=say("where to look")
    )
    parser.add_argument(
        "--yes", action="store_true", help=say("abort them; without it, only list them")
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """List the unfinished uploads below a prefix and, with --yes, abort them.

    What was done is told in any case, also when the service refuses to go on.
    """
    destination = parse_destination(arguments.destination)
    settings = require_settings(arguments, terminal, Need.OSS)
    found: list[_Found] = []
    failure: Failure | None = None
    try:
        with BucketClient(bucket_access(settings), destination.bucket) as client:
            for upload in client.list_uploads(destination.prefix):
                found.append(_settled(client, upload, abort=arguments.yes))  # noqa: PERF401 - kept when the next one fails
    except (PreflightError, KeyboardInterrupt) as exc:
        failure = told_as_error(exc, arguments.words)
    if arguments.format == "json":
        terminal.show_document(_document(found, failure))
    else:
        terminal.show_lines(map(_line, found))
        if found or failure is None:
            terminal.say(_sum(found, destination.url, is_whole=failure is None))
    if failure is None:
        return 0
    failure.tell(terminal, verbose=arguments.verbose > 1)
    return failure.error.exit_code


@dataclass(frozen=True, slots=True)
class _Found:
    """An unfinished upload; `gone` is one that ended while it was looked at."""

    key: str
    upload_id: str
    parts: int = 0
    bytes: int = 0
    aborted: bool = False
    gone: bool = False


def _settled(client: BucketClient, upload: PendingUpload, *, abort: bool) -> _Found:
    try:
        parts = list(client.list_parts(upload.key, upload.upload_id))
    except Missing:  # its own run, another `clean` or a lifecycle rule was quicker
        return _Found(upload.key, upload.upload_id, gone=True)
    if abort:
        client.abort(upload.key, upload.upload_id)
    size = sum(part.size for part in parts)
    return _Found(upload.key, upload.upload_id, len(parts), size, aborted=abort)


def _document(found: Sequence[_Found], failure: Failure | None) -> dict[str, object]:
    rows = [asdict(each) for each in found]
    if failure is None:
        return envelope("clean", uploads=rows)
    error = failure.error
    told = asdict(ErrorRecord(error.message, error.hint, error.request_id))
    return envelope("clean", error.exit_code, uploads=rows, error=told)


def _line(found: _Found) -> str:
    if found.gone:
        return say(
            "gone meanwhile  {key}  {upload_id}",
            key=found.key,
            upload_id=found.upload_id,
        )
    size = human_size(found.bytes)
    return say(
        "{word}  {key}  {parts} parts, {size}  {upload_id}",
        word=say("aborted") if found.aborted else say("unfinished"),
        key=found.key,
        parts=found.parts,
        size=size,
        upload_id=found.upload_id,
    )


def _sum(found: Sequence[_Found], url: str, *, is_whole: bool) -> str:
    aborted = sum(each.aborted for each in found)
    open_still = sum(not (each.aborted or each.gone) for each in found)
    if not is_whole:
        return say(
            "aborted {aborted} below {url} so far; there may be more",
            aborted=aborted,
            url=url,
        )
    if aborted:
        return say("aborted {aborted} below {url}", aborted=aborted, url=url)
    if open_still:
        return say(
            "{open_still} unfinished below {url}; --yes aborts them",
            open_still=open_still,
            url=url,
        )
    return say("no unfinished uploads below {url}", url=url)
