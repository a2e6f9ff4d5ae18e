"""Buckets, objects and uploads as rows: the only place that knows their SQL.

A content is the bytes of an object or a part: a row of extents, each some bytes of a
file of the storage. Several contents may share a file, so that completing an upload
and copying an object move no byte; a file goes when its last extent went. Keys are
kept as the bytes of their UTF-8, whose order is the order of listings.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from itertools import accumulate
from typing import Any

from preflight.crc import combine_all
from preflight.sandbox.database import Database
from preflight.sandbox.oss.policy import Policy
from preflight.sandbox.oss.records import (
    Attributes,
    Bucket,
    Content,
    Part,
    Stat,
    StoredObject,
    Upload,
)
from preflight.sandbox.oss.storage import Received, Span

_SCHEMA = """
CREATE TABLE IF NOT EXISTS bucket (
    name TEXT PRIMARY KEY, region TEXT, storage_class TEXT, acl TEXT, created REAL,
    tags TEXT, policy TEXT, encryption TEXT, kms_key TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS content (
    id INTEGER PRIMARY KEY, size INTEGER, crc64 TEXT, md5 TEXT
);
CREATE TABLE IF NOT EXISTS extent (
    content INTEGER, start INTEGER, position INTEGER, name TEXT, first INTEGER,
    size INTEGER, PRIMARY KEY (content, start, position)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS extent_name ON extent (name);
CREATE TABLE IF NOT EXISTS object (
    bucket TEXT, key BLOB, content INTEGER, etag TEXT, modified REAL,
    attributes TEXT, PRIMARY KEY (bucket, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS upload (
    bucket TEXT, key BLOB, id TEXT UNIQUE, initiated REAL, attributes TEXT,
    PRIMARY KEY (bucket, key, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS part (
    upload TEXT, number INTEGER, content INTEGER, etag TEXT, modified REAL,
    PRIMARY KEY (upload, number)
) WITHOUT ROWID
"""
_CONTENT = "content.id, content.size, content.crc64, content.md5"
_BATCH = 1000  # rows that a listing holds in memory at a time


def _bucket(row: Sequence[Any]) -> Bucket:
    name, region, storage_class, acl, created, tags, policy, *encryption = row
    return Bucket(
        name,
        region,
        storage_class,
        acl,
        created,
        json.loads(tags),
        Policy.from_json(json.loads(policy)) if policy else None,
        *encryption,
    )


def _content(row: Sequence[Any]) -> Content:
    number, size, crc, md5 = row
    return Content(number, size, int(crc), md5)


def _attributes(text: str) -> Attributes:
    return Attributes(**json.loads(text))


class Tables:
    """The rows; callers hold a transaction where several of them belong together."""

    def __init__(self, database: Database) -> None:
        self._db = database
        database.create(_SCHEMA)

    # Buckets

    def buckets(self) -> list[Bucket]:
        """All buckets by name."""
        rows = self._db.rows("SELECT * FROM bucket ORDER BY name")
        return [_bucket(row) for row in rows]

    def bucket(self, name: str) -> Bucket | None:
        """One bucket."""
        row = self._db.row("SELECT * FROM bucket WHERE name = ?", [name])
        return _bucket(row) if row else None

    def keep_bucket(self, made: Bucket) -> None:
        """Add or replace a bucket."""
        values = [
            made.name,
            made.region,
            made.storage_class,
            made.acl,
            made.created,
            json.dumps(dict(made.tags)),
            made.policy.text if made.policy else "",
            made.encryption,
            made.kms_key,
        ]
        self._db.run("REPLACE INTO bucket VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", values)

    def drop_bucket(self, name: str) -> None:
        """Remove a bucket, which must be empty."""
        self._db.run("DELETE FROM bucket WHERE name = ?", [name])

    def is_empty(self, bucket: str) -> bool:
        """Whether the bucket has neither an object nor an open upload."""
        query = (
            "SELECT 1 FROM object WHERE bucket = ?"
            " UNION ALL SELECT 1 FROM upload WHERE bucket = ? LIMIT 1"
        )
        return self._db.row(query, [bucket, bucket]) is None

    def stat(self, bucket: str) -> Stat:
        """How much the bucket holds."""
        by_class = {
            name: (size, count)
            for name, size, count in self._db.rows(
                "SELECT json_extract(attributes, '$.storage_class'), sum(size),"
                " count(*) FROM object JOIN content ON content.id = object.content"
                " WHERE bucket = ? GROUP BY 1",
                [bucket],
            )
        }
        counts = self._db.row(
            "SELECT count(DISTINCT upload.id), count(part.number),"
            " coalesce(sum(size), 0) FROM upload"
            " LEFT JOIN part ON part.upload = upload.id"
            " LEFT JOIN content ON content.id = part.content WHERE bucket = ?",
            [bucket],
        )
        uploads, parts, held = counts or (0, 0, 0)
        size, objects = (sum(pair[i] for pair in by_class.values()) for i in (0, 1))
        return Stat(size + held, objects, uploads, parts, by_class)

    # Contents

    def add_received(self, body: Received) -> Content:
        """The content that is one file."""
        spans = [Span(body.name, 0, body.size)]
        return self.add_content(spans, body.crc64, body.md5)

    def add_content(self, spans: Sequence[Span], crc: int, md5: str) -> Content:
        """A content of these bytes, laid end to end."""
        size = sum(span.length for span in spans)
        values = [size, str(crc), md5]
        number = self._db.run(
            "INSERT INTO content (size, crc64, md5) VALUES (?, ?, ?)", values
        )
        starts = accumulate((span.length for span in spans), initial=0)
        rows = [
            (number, start, position, span.name, span.first, span.length)
            for position, (start, span) in enumerate(zip(starts, spans, strict=False))
        ]
        self._db.many("INSERT INTO extent VALUES (?, ?, ?, ?, ?, ?)", rows)
        return Content(number, size, crc, md5)

    def join(self, contents: Sequence[Content]) -> Content:
        """A new content: these laid end to end; no byte is read."""
        spans = [span for one in contents for span in self.spans(one)]
        crc = combine_all((one.crc64, one.size) for one in contents)
        return self.add_content(spans, crc, "")

    def spans(
        self, content: Content, start: int = 0, length: int | None = None
    ) -> list[Span]:
        """Where a range of a content lies."""
        end = content.size if length is None else min(content.size, start + length)
        rows = self._db.rows(
            "SELECT start, name, first, size FROM extent"
            " WHERE content = ? AND start + size >= ? AND start <= ?"
            " ORDER BY start, position",
            [content.id, start, end],
        )
        found = []
        for at, name, first, size in rows:
            begin, stop = max(start, at), min(end, at + size)
            if begin < stop or length is None:
                found.append(Span(name, first + begin - at, max(0, stop - begin)))
        return found

    def drop_content(self, content: Content) -> list[str]:
        """Remove a content; the files that nothing refers to any more."""
        names = self._db.rows(
            "SELECT DISTINCT name FROM extent WHERE content = ?", [content.id]
        )
        self._db.run("DELETE FROM extent WHERE content = ?", [content.id])
        self._db.run("DELETE FROM content WHERE id = ?", [content.id])
        return self._unknown(names)

    def _unknown(self, names: list[tuple[Any, ...]]) -> list[str]:
        return [name for (name,) in names if not self.knows_file(name)]

    def knows_file(self, name: str) -> bool:
        """Whether some content has bytes in that file."""
        query = "SELECT 1 FROM extent WHERE name = ? LIMIT 1"
        return self._db.row(query, [name]) is not None

    # Objects

    def object(self, bucket: str, key: str) -> StoredObject | None:
        """One object."""
        row = self._db.row(
            f"SELECT key, etag, modified, attributes, {_CONTENT}"  # noqa: S608
            " FROM object JOIN content ON content.id = object.content"
            " WHERE bucket = ? AND key = ?",
            [bucket, key.encode()],
        )
        return _object(row) if row else None

    def objects(
        self, bucket: str, prefix: str = "", after: str = ""
    ) -> Iterator[StoredObject]:
        """Objects in key order, read in batches; some may be gone by then."""
        least, last = prefix.encode(), after.encode()
        while True:
            rows = self._db.rows(
                f"SELECT key, etag, modified, attributes, {_CONTENT}"  # noqa: S608
                " FROM object JOIN content ON content.id = object.content"
                " WHERE bucket = ? AND key >= ? AND key > ? ORDER BY key LIMIT ?",
                [bucket, least, last, _BATCH],
            )
            for row in rows:
                if not row[0].startswith(least):
                    return
                yield _object(row)
            if len(rows) < _BATCH:
                return
            last = rows[-1][0]

    def keep_object(self, bucket: str, made: StoredObject) -> None:
        """Add or replace an object."""
        values = [
            bucket,
            made.key.encode(),
            made.content.id,
            made.etag,
            made.last_modified,
            json.dumps(asdict(made.attributes)),
        ]
        self._db.run("REPLACE INTO object VALUES (?, ?, ?, ?, ?, ?)", values)

    def drop_object(self, bucket: str, key: str) -> None:
        """Remove an object, not its content."""
        statement = "DELETE FROM object WHERE bucket = ? AND key = ?"
        self._db.run(statement, [bucket, key.encode()])

    # Uploads and parts

    def upload(self, bucket: str, upload_id: str) -> Upload | None:
        """One open upload."""
        row = self._db.row(
            "SELECT id, key, initiated, attributes FROM upload"
            " WHERE bucket = ? AND id = ?",
            [bucket, upload_id],
        )
        return _upload(row) if row else None

    def uploads(
        self, bucket: str, prefix: str = "", after: tuple[str, str] = ("", "")
    ) -> Iterator[Upload]:
        """Open uploads by key and id, read in batches."""
        least, last = prefix.encode(), (after[0].encode(), after[1])
        while True:
            rows = self._db.rows(
                "SELECT id, key, initiated, attributes FROM upload"
                " WHERE bucket = ? AND key >= ? AND (key, id) > (?, ?)"
                " ORDER BY key, id LIMIT ?",
                [bucket, least, *last, _BATCH],
            )
            for row in rows:
                if not row[1].startswith(least):
                    return
                yield _upload(row)
            if len(rows) < _BATCH:
                return
            last = (rows[-1][1], rows[-1][0])

    def keep_upload(self, bucket: str, made: Upload) -> None:
        """Add an upload."""
        attributes = json.dumps(asdict(made.attributes))
        values = [bucket, made.key.encode(), made.id, made.initiated, attributes]
        self._db.run("INSERT INTO upload VALUES (?, ?, ?, ?, ?)", values)

    def drop_upload(self, upload_id: str) -> list[str]:
        """Remove an upload and its parts; the files that nothing refers to any more."""
        contents, values = "(SELECT content FROM part WHERE upload = ?)", [upload_id]
        names = self._db.rows(
            f"SELECT DISTINCT name FROM extent WHERE content IN {contents}",  # noqa: S608
            values,
        )
        for table, column in (("extent", "content"), ("content", "id")):
            statement = f"DELETE FROM {table} WHERE {column} IN {contents}"  # noqa: S608
            self._db.run(statement, values)
        self._db.run("DELETE FROM part WHERE upload = ?", values)
        self._db.run("DELETE FROM upload WHERE id = ?", values)
        return self._unknown(names)

    def part(self, upload_id: str, number: int) -> Part | None:
        """One part."""
        found = self.parts(upload_id, number - 1, 1)
        return found[0] if found and found[0].number == number else None

    def parts(self, upload_id: str, after: int = 0, limit: int = -1) -> list[Part]:
        """Parts by number; `limit` -1 for all."""
        rows = self._db.rows(
            f"SELECT number, etag, modified, {_CONTENT}"  # noqa: S608
            " FROM part JOIN content ON content.id = part.content"
            " WHERE upload = ? AND number > ? ORDER BY number LIMIT ?",
            [upload_id, after, limit],
        )
        return [
            Part(number, _content(content), etag, modified)
            for number, etag, modified, *content in rows
        ]

    def keep_part(self, upload_id: str, made: Part) -> None:
        """Add or replace a part."""
        values = [upload_id, made.number, made.content.id, made.etag]
        values.append(made.last_modified)
        self._db.run("REPLACE INTO part VALUES (?, ?, ?, ?, ?)", values)


def _object(row: Sequence[Any]) -> StoredObject:
    key, etag, modified, attributes, *content = row
    made = _attributes(attributes)
    return StoredObject(key.decode(), _content(content), etag, modified, made)


def _upload(row: Sequence[Any]) -> Upload:
    number, key, initiated, attributes = row
    return Upload(number, key.decode(), initiated, _attributes(attributes))
