"""The environments that `make test-integrations` builds, and the model they train."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, write_tiny_bases
from preflight.sandbox import Sandbox
from preflight.sandbox.studio.importable import (
    BaseModel,
    Family,
    template_digest,
)
from tests.running import ROOT, Run, environment, run

SCRIPTS = Path(__file__).with_name("scripts")
EXAMPLES = ROOT / "docs/examples"
VARIABLE = "PREFLIGHT_INTEGRATIONS"
BASE = "fixtures/Tiny-Text"  # a directory, and what names the base as on the hub


def pythons() -> dict[str, str]:
    """The interpreter of each environment: `NAME=PATH`, with spaces between them."""
    words = os.environ.get(VARIABLE, "").split()
    return dict(word.split("=", 1) for word in words)


def python_of(name: str) -> str:
    if not pythons():
        pytest.skip("make test-integrations")
    return pythons()[name]


def importable() -> BaseModel:
    """The invented base as the sandbox has to know it."""
    return BaseModel(
        TINY_TEXT,
        Family.QWEN3,
        hidden=64,
        intermediate=96,
        layers=2,
        heads=4,
        kv_heads=2,
        vocab_size=128,
        template=template_digest(TINY_TEMPLATE),
        vocabulary=96,
        head_dim=16,
    )


@dataclass(frozen=True)
class Workplace:
    """A base of random weights, an empty output, and a sandbox to push to."""

    folder: Path
    box: Sandbox
    env: dict[str, str]

    @property
    def out(self) -> Path:
        return self.folder / "out/adapter"

    @property
    def destination(self) -> str:
        return f"oss://{self.box.bucket}/models/{{name}}-{{digest}}/"

    def write_example(self, name: str, **changed: str) -> None:
        """An example of docs/examples as its reader changes it: base, bucket, steps."""
        text = (EXAMPLES / name).read_text("utf-8")
        changes = {"Qwen/Qwen3-8B": BASE, "my-bucket": self.box.bucket, **changed}
        for old, new in changes.items():
            assert old in text or old in ("Qwen/Qwen3-8B", "my-bucket"), old
            text = text.replace(old, new)
        (self.folder / Path(name).name).write_text(text, "utf-8")

    def write_rows(self) -> None:
        """Data of the three forms that these libraries read."""
        talk = [
            {"role": "user", "content": "What?"},
            {"role": "assistant", "content": "That."},
        ]
        text = f"{json.dumps({'messages': talk})}\n" * 8
        for name in ("train.jsonl", "data/train.jsonl"):
            (self.folder / name).parent.mkdir(exist_ok=True)
            (self.folder / name).write_text(text, "utf-8")
        tags = {"role_tag": "role", "content_tag": "content", "user_tag": "user"}
        described = {
            "file_name": "train.jsonl",
            "formatting": "sharegpt",
            "columns": {"messages": "messages"},
            "tags": {**tags, "assistant_tag": "assistant"},
        }
        info = json.dumps({"train": described})
        (self.folder / "data/dataset_info.json").write_text(info, "utf-8")

    def run(self, *words: str, within: float = 280) -> Run:
        return run(["env", f"--chdir={self.folder}", *words], self.env, within)


@contextmanager
def workplace(folder: Path) -> Iterator[Workplace]:
    """Made anew below `folder`."""
    bases = write_tiny_bases(folder / "bases")
    os.environ["PREFLIGHT_BASES"] = str(bases)
    build_full(
        folder / BASE,
        base=TINY_TEXT,
        sparse=False,
        shard_bytes=None,
        template=TINY_TEMPLATE,
    )
    with Sandbox(bases=[importable()]) as box:
        values = {
            **box.environment(),
            "PREFLIGHT_BASES": str(bases),
            "HF_HUB_OFFLINE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "OMP_NUM_THREADS": "1",
            "TOKENIZERS_PARALLELISM": "false",
        }
        env = environment(folder / "home", values)
        del env["PYTHONPATH"]  # preflight as it is installed there
        yield Workplace(folder, box, env)
