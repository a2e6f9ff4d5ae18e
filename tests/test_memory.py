"""How much memory a whole process takes at its peak."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from preflight.catalog.base_models import load_bases
from preflight.sandbox import Sandbox
from tests.running import ROOT

MB = 1_000_000
BASE = "qwen3-8b"


# A child counts what its parent had when it was made, and the tests have a lot: so a
# small process stands in between, which makes the child and tells of its peak.
MEASURE = """
import os, sys
pid = os.posix_spawn(sys.executable, [sys.executable, *sys.argv[1:]], os.environ)
_, status, usage = os.wait4(pid, 0)
print("peak", usage.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def peak(home: Path, *words: object, **environment: str) -> int:
    """Bytes; the command must do its work."""
    command = [sys.executable, "-c", MEASURE, "-m", "preflight", *map(str, words)]
    known = {"HOME": str(home), "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run(
        command, env=known, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    unit = 1 if sys.platform == "darwin" else 1024  # of ru_maxrss, getrusage(2)
    return int(done.stderr.rpartition("peak ")[2]) * unit


def large_tokenizer(directory: Path) -> dict[str, int]:
    """As many entries as the base has, and as many merges, as transformers writes."""
    base = load_bases()[BASE]
    entries = {f"\u0120w{n:06x}": n for n in range(base.vocab_entries)}
    added = [{"id": n, "content": t} for t, n in base.added_tokens.items()]
    # As json.dumps with an indent of 2 writes it, which takes a second for each.
    vocabulary = ",\n".join(f'      "{text}": {n}' for text, n in entries.items())
    merges = ",\n".join(
        f'      [\n        "{text[:4]}",\n        "{text[4:]}"\n      ]'
        for text in entries
    )
    whole = (
        f'{{\n  "added_tokens": {json.dumps(added)},\n  "model": {{\n'
        f'    "type": "BPE",\n    "vocab": {{\n{vocabulary}\n    }},\n'
        f'    "merges": [\n{merges}\n    ]\n  }}\n}}'
    )
    (directory / "tokenizer.json").write_text(whole, "utf-8")
    (directory / "vocab.json").write_text(f"{{\n{vocabulary}\n}}", "utf-8")
    return entries


@pytest.fixture
def bases(tmp_path: Path) -> Path:
    """The base with the vocabulary that is written here."""
    directory = tmp_path / "large"
    build_adapter(directory, base=BASE, tiny=True)
    entries = large_tokenizer(directory)
    text = json.dumps(entries, ensure_ascii=False, separators=(",", ":"))
    digest = hashlib.sha256(text.encode()).hexdigest()
    model = {"code": BASE, "vocab_sha256": digest}
    path = tmp_path / "bases.json"
    path.write_text(json.dumps({"family": "qwen3", "models": [model]}))
    return path


def test_a_plain_adapter(tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "a", base=BASE, tiny=True)
    assert peak(tmp_path, "check", directory) < 80 * MB


def test_a_tokenizer_of_150_000_entries(
    tmp_path: Path, bases: Path, sandbox: Sandbox
) -> None:
    """A push, which checks first, and holds more modules than a check does."""
    directory = tmp_path / "large"
    known = {"PREFLIGHT_BASES": str(bases)}
    where = f"oss://{sandbox.bucket}/m/"
    words = ["push", directory, where, "--base-model", BASE, "--poll-interval", "0.02"]
    assert peak(tmp_path, *words, **known, **sandbox.environment()) < 150 * MB
