"""`clean`: parts of uploads that were never finished are billed until aborted."""

from __future__ import annotations

from preflight.arguments import Namespace
from preflight.commands.given import read_settings
from preflight.destination import parse_destination
from preflight.oss.client import BucketClient
from preflight.pipeline import bucket_access
from preflight.progress import human_size
from preflight.record import RunRecord
from preflight.settings import Need
from preflight.terminal import Terminal


def cmd_clean(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """List the unfinished uploads below a prefix and, with --yes, abort them."""
    del record
    destination = parse_destination(args.destination)
    settings = read_settings(args, screen, needs=(Need.OSS,))
    settings.require(Need.OSS)
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
                    "aborted": bool(args.yes),
                }
            )
            if args.yes:
                client.abort(upload.key, upload.upload_id)
    if args.format == "json":
        screen.show_document(rows)
    else:
        screen.show_lines(map(_line, rows))
        screen.say(_sum(len(rows), destination.url, aborted=args.yes))


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
