"""A full model of two MB in several shards, importable onto a base made up for it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, write_tiny_bases
from preflight.sandbox.studio.importable import BaseModel, Family

INTERMEDIATE, LAYERS = 1024, 4
SHARD_BYTES = 700_000
BASE = "tiny-text"


def write_catalog(directory: Path) -> Path:
    """The user's catalog file that knows the base; for `$PREFLIGHT_BASES`."""
    write_tiny_bases(directory)
    for unused in directory.glob("*vl*.json"):
        unused.unlink()
    (path,) = directory.glob("*.json")
    document = json.loads(path.read_text("utf-8"))
    changed = {"intermediate_size": INTERMEDIATE, "layers": LAYERS}
    document["models"][0].update(changed)
    path.write_text(json.dumps(document), "utf-8")
    return path


def build_sharded(directory: Path) -> Path:
    """The model; `$PREFLIGHT_BASES` must be set in this process."""
    return build_full(
        directory,
        base=TINY_TEXT,
        sparse=False,
        shard_bytes=SHARD_BYTES,
        template=TINY_TEMPLATE,
    )


def importable() -> BaseModel:
    """What the sandbox has to know to import it."""
    return BaseModel(
        name=TINY_TEXT,
        family=Family.QWEN3,
        hidden=64,
        intermediate=INTERMEDIATE,
        layers=LAYERS,
        heads=4,
        kv_heads=2,
        vocab_size=128,
        template=hashlib.sha256(TINY_TEMPLATE.encode()).hexdigest(),
        vocabulary=96,
        head_dim=16,
    )
