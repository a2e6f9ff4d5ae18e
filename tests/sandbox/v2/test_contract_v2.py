"""The sandbox must serve the vendor's v2 SDK as it serves oss2."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from preflight.sandbox import Sandbox

ROOT = Path(__file__).parents[3]
CONTRACT = Path(__file__).with_name("contract_v2.py")
VARIABLE = "PREFLIGHT_OSS_V2_PYTHON"


@pytest.fixture
def v2_python() -> Path:
    """The Python that has the v2 SDK; `make test` creates it and sets the variable."""
    named = os.environ.get(VARIABLE)
    python = ROOT / (named or ".venv-oss-v2/bin/python")
    if not python.exists():
        text = f"there is no {python}; `make test` creates it"
        if named:
            pytest.fail(f"{VARIABLE} is set, but {text}")
        pytest.skip(text)
    return python


def run_contract(
    python: Path, sandbox: Sandbox, report: Path
) -> subprocess.CompletedProcess[str]:
    env = {name: text for name, text in os.environ.items() if "PYTEST" not in name}
    env |= {**sandbox.environment(), "CONTRACT_BUCKET": sandbox.bucket}
    flags = ["--noconftest", "-p", "no:cacheprovider", "-c", os.devnull, "-q"]
    return subprocess.run(
        [python, "-m", "pytest", *flags, f"--junitxml={report}", CONTRACT],
        check=False,
        cwd=report.parent,
        env=env,
        capture_output=True,
        text=True,
        timeout=100,
    )


def test_the_v2_sdk_finds_all_it_needs(
    v2_python: Path, sandbox: Sandbox, tmp_path: Path
) -> None:
    ended = run_contract(v2_python, sandbox, tmp_path / "report.xml")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    suite = ET.parse(tmp_path / "report.xml").getroot()[0]  # noqa: S314 - pytest wrote it
    assert int(suite.attrib["tests"]) >= CONTRACT.read_text().count("\ndef test_")
    assert suite.attrib["skipped"] == "0"
    assert sandbox.oss.uploads(sandbox.bucket) == []
    keys = {item.key for item in sandbox.oss.objects(sandbox.bucket)}
    assert {"up/model.bin", "up/resumed.bin", "list/ä.json"} <= keys
    assert not {"gone", "small-parts", "many/a", "never/was"} & keys
    log = sandbox.oss_endpoint.log_calls
    # Two signatures: two uploads of 6 parts, one broken off and resumed of 6, and
    # 3 + 2 parts of the listings; none was sent twice.
    assert log.count("UploadPart") == 2 * (6 + 6 + 6 + 3 + 2)
