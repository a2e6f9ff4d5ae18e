"""What a new sandbox holds: keys that look like real ones, and a tagged bucket."""

from __future__ import annotations

import json
import secrets
import string
from dataclasses import asdict, dataclass
from pathlib import Path

from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.validation import TAG

_ALPHABET = string.ascii_letters + string.digits


@dataclass(frozen=True, slots=True)
class Keys:
    """The account's keys for OSS and for Model Studio."""

    access_key_id: str
    access_key_secret: str
    api_key: str


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def keys(directory: Path | None) -> Keys:
    """New keys, or those that the directory keeps from last time."""
    path = directory / "keys.json" if directory else None
    if path is not None and path.exists():
        return Keys(**json.loads(path.read_text("utf-8")))
    made = Keys(f"LTAI5t{_random(18)}", _random(30), f"sk-{secrets.token_hex(16)}")
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(made)), "utf-8")
    return made


def account(oss: OssState, made: Keys, bucket: str) -> None:
    """Make the keys valid and the bucket, tagged, unless it is there already."""
    oss.add_credential(Credential(made.access_key_id, made.access_key_secret))
    if bucket not in {known.name for known in oss.buckets()}:
        oss.create_bucket(bucket, tags=dict([TAG]))
