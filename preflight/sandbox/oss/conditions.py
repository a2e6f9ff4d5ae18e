"""If-Match and the like, for reads and for the source of a copy."""

from __future__ import annotations

from werkzeug.datastructures import Headers
from werkzeug.http import parse_date

from preflight.sandbox.oss.errors import OssError
from preflight.sandbox.oss.records import StoredObject

# OSS docs, "GetObject" and "CopyObject": the four conditions and their names.
READING = ("If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since")
COPYING = tuple(f"x-oss-copy-source-{name.lower()}" for name in READING)


def check_conditions(
    headers: Headers,
    found: StoredObject,
    names: tuple[str, ...] = READING,
) -> None:
    """Raise OssError NotModified or PreconditionFailed unless the conditions hold."""
    match, none_match, since, until = names
    wanted, unwanted = headers.get(match), headers.get(none_match)
    if wanted is not None and wanted.strip('"').upper() != found.etag:
        raise OssError("PreconditionFailed", details={"Condition": match})
    if unwanted is not None and unwanted.strip('"').upper() == found.etag:
        raise OssError("NotModified")
    changed = int(found.last_modified)
    after, before = (parse_date(headers.get(name)) for name in (since, until))
    if after is not None and changed <= after.timestamp():
        raise OssError("NotModified")
    if before is not None and changed > before.timestamp():
        raise OssError("PreconditionFailed", details={"Condition": until})
