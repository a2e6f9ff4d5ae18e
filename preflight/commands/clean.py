"""`clean`: parts of uploads that were never finished are billed until aborted."""

from __future__ import annotations

import argparse

from preflight.commands._flags import add_format
from preflight.commands._settings import require_settings
from preflight.destination import parse_destination
from preflight.oss.client import BucketClient
from preflight.pipeline.services import bucket_access
from preflight.progress import human_size
from preflight.report.document import envelope
from preflight.settings import Need
from preflight.terminal import Terminal


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Where to look, and whether really."""
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help="where to look"
    )
    parser.add_argument(
        "--yes", action="store_true", help="abort them; without it, only list them"
    )
    add_format(parser)


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """List the unfinished uploads below a prefix and, with --yes, abort them."""
    destination = parse_destination(arguments.destination)
    settings = require_settings(arguments, terminal, Need.OSS)
    rows = []
    with BucketClient(bucket_access(settings), destination.bucket) as client:
        for upload in client.list_uploads(destination.prefix):
            parts = list(client.list_parts(upload.key, upload.upload_id))
            rows.append(
                {
                    "key": upload.key,
                    "upload_id": upload.upload_id,
                    "parts": len(parts),
                    "bytes": sum(part.size for part in parts),
                    "aborted": bool(arguments.yes),
                }
            )
            if arguments.yes:
                client.abort(upload.key, upload.upload_id)
    if arguments.format == "json":
        terminal.show_document(envelope("clean", uploads=rows))
    else:
        terminal.show_lines(map(_line, rows))
        terminal.say(_sum(len(rows), destination.url, aborted=arguments.yes))
    return 0


def _line(row: dict[str, object]) -> str:
    size = human_size(int(str(row["bytes"])))
    word = "aborted" if row["aborted"] else "unfinished"
    key = str(row["key"])
    return f"{word}  {key}  {row['parts']} parts, {size}  {row['upload_id']}"


def _sum(count: int, url: str, *, aborted: bool) -> str:
    if not count:
        return f"no unfinished uploads below {url}"
    if aborted:
        return f"aborted {count} below {url}"
    return f"{count} unfinished below {url}; --yes aborts them"
