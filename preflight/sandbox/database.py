"""What outlives the sandbox's process, in one SQLite file.

Every change is one transaction, and it is in the file before it is acknowledged: a
process that is killed loses nothing that a client was told of. (A machine that loses
power may lose the last seconds, never the whole: WAL mode, `synchronous=NORMAL`.)
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from preflight.errors import ConfigurationError

FILE = "sandbox.sqlite"
_VERSION = 1  # of the tables; another one is not read
# What earlier versions wrote into a directory, before there was a database.
_JOURNALS = ("index.jsonl", "oss/index.jsonl", "studio.json", "keys.json")


class Database:
    """An open file, one for all threads; every statement is inside `read` or `write`.

    `directory` None keeps everything in memory. Opening raises ConfigurationError for
    a directory that another process uses, whose file is damaged, or that holds the
    state of a version without a database.
    """

    def __init__(self, directory: Path | None) -> None:
        self._lock = threading.RLock()
        self._depth = 0
        if directory is None:
            self._open(":memory:")
            return
        directory.mkdir(parents=True, exist_ok=True)
        _refuse_journals(directory)
        try:
            self._open(str(directory / FILE))
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute("BEGIN EXCLUSIVE")  # now, or never
            self._check_version(directory)
            self._connection.execute("COMMIT")
        except sqlite3.OperationalError as exc:
            if "locked" not in str(exc):
                raise _unusable(directory, exc) from exc
            raise ConfigurationError(
                f"another sandbox uses {directory}",
                hint="end it first, or give another directory",
            ) from exc
        except sqlite3.DatabaseError as exc:
            raise _unusable(directory, exc) from exc

    def _open(self, path: str) -> None:
        self._connection = sqlite3.connect(
            path, timeout=0, isolation_level=None, check_same_thread=False
        )
        # Also where opening fails, or nobody closes: Python 3.13 and later warn of it.
        weakref.finalize(self, self._connection.close)

    def _check_version(self, directory: Path) -> None:
        (found,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute(
            "SELECT count(*) FROM sqlite_master"
        ).fetchone()
        if tables and found != _VERSION:
            self._connection.close()
            raise _of_another_version(directory, FILE)
        self._connection.execute(f"PRAGMA user_version = {_VERSION}")

    def create(self, schema: str) -> None:
        """Make the tables of a part of the sandbox, unless they are there."""
        with self.write():
            for statement in schema.split(";"):
                self._connection.execute(statement)

    @contextmanager
    def write(self) -> Iterator[None]:
        """A transaction: all of the block is kept, or nothing; blocks may nest."""
        with self._lock:
            if self._depth:
                yield
                return
            self._connection.execute("BEGIN IMMEDIATE")
            self._depth += 1
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                # A disk that is full can have ended the transaction already.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            finally:
                self._depth -= 1

    @contextmanager
    def read(self) -> Iterator[None]:
        """Several statements that see the same state."""
        with self._lock:
            yield

    def run(self, statement: str, values: Sequence[Any] = ()) -> int:
        """Execute one statement; the row id that it inserted, if it did."""
        with self._lock:
            return self._connection.execute(statement, values).lastrowid or 0

    def many(self, statement: str, rows: Sequence[Sequence[Any]]) -> None:
        """Execute one statement for each row of values."""
        with self._lock:
            self._connection.executemany(statement, rows)

    def row(self, query: str, values: Sequence[Any] = ()) -> tuple[Any, ...] | None:
        """The first row, or None."""
        with self._lock:
            found: tuple[Any, ...] | None = self._connection.execute(
                query, values
            ).fetchone()
        return found

    def rows(self, query: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows."""
        with self._lock:
            return self._connection.execute(query, values).fetchall()

    def close(self) -> None:
        """Release the file; it holds everything already."""
        with self._lock:
            self._connection.close()


def _unusable(directory: Path, cause: sqlite3.Error) -> ConfigurationError:
    return ConfigurationError(
        f"the sandbox's state in {directory} cannot be used: {cause}",
        hint=f"give another directory, or remove {FILE} and begin anew",
    )


def _refuse_journals(directory: Path) -> None:
    for name in _JOURNALS:
        if (directory / name).exists() and not (directory / FILE).exists():
            raise _of_another_version(directory, name)


def _of_another_version(directory: Path, name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{directory} holds the state of another version of the sandbox ({name})",
        hint="give another directory, or remove this one and begin anew",
    )
