"""What a new sandbox holds: keys that look like real ones, and a tagged bucket."""

from __future__ import annotations

import secrets
import string
from dataclasses import asdict, dataclass

from preflight.sandbox.database import Database
from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.validation import TAG

_ALPHABET = string.ascii_letters + string.digits
_SCHEMA = "CREATE TABLE IF NOT EXISTS key (name TEXT PRIMARY KEY, value TEXT)"


@dataclass(frozen=True, slots=True)
class Keys:
    """The account's keys for OSS and for Model Studio."""

    access_key_id: str
    access_key_secret: str
    api_key: str


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def keys(database: Database) -> Keys:
    """New keys, or those that the database keeps from last time."""
    database.create(_SCHEMA)
    kept = dict(database.rows("SELECT name, value FROM key"))
    if kept:
        return Keys(**kept)
    made = Keys(f"LTAI5t{_random(18)}", _random(30), f"sk-{secrets.token_hex(16)}")
    with database.write():
        database.many("INSERT INTO key VALUES (?, ?)", list(asdict(made).items()))
    return made


def account(oss: OssState, made: Keys, bucket: str) -> None:
    """Make the keys valid and the bucket, tagged, unless it is there already."""
    oss.add_credential(Credential(made.access_key_id, made.access_key_secret))
    if bucket not in {known.name for known in oss.buckets()}:
        oss.create_bucket(bucket, tags=dict([TAG]))
