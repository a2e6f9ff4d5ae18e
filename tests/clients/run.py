"""Run each client against the sandbox and tell what works: `make clients`.

Each has an environment of its own below `.venv-clients/`, made on the first run. The
table in the README is what the run found; where something does not work, it is the
client's own words.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from preflight.sandbox import Sandbox
from tests.readme import README, replaced

ROOT = Path(__file__).parents[2]
SCRIPTS = Path(__file__).parent / "scripts"
ENVIRONMENTS = Path(os.environ.get("PREFLIGHT_CLIENTS", ROOT / ".venv-clients"))
STEPS = ("upload", "download", "list", "copy", "delete")
SIZE = (5 << 20) + 7  # bytes: several parts of 1 MiB, and a short last one
PREFIX = "clients/"
_CELLS = {"works": "yes", "": "-"}  # anything else is an error's text


@dataclass(frozen=True, slots=True)
class Client:
    """A package, what else its environment needs, and the script that drives it."""

    package: str
    script: str
    also: tuple[str, ...] = ()
    is_node: bool = False
    by_name: bool = False  # it writes the bucket before the endpoint's name, always
    remark: str = ""


CLIENTS = (
    Client("oss2", "client_oss2.py"),
    Client("alibabacloud-oss-v2", "client_oss_v2.py"),
    Client("ali-oss", "client_ali_oss.js", is_node=True),
    Client("ossfs", "client_ossfs.py"),
    Client(
        "dvc-oss",
        "client_dvc_oss.py",
        ("aiohttp<3.10",),
        remark="with aiohttp < 3.10; its aiooss2 cannot upload with later ones",
    ),
    Client("opendal", "client_opendal.py"),
    Client(
        "osstorchconnector",
        "client_osstorchconnector.py",
        ("torch",),
        by_name=True,
        remark="by name, at `BUCKET.localhost`; it has neither copy nor delete",
    ),
    Client(
        "dashscope",
        "client_dashscope.py",
        remark="Model Studio's own SDK: it lists deployments, and shows refusals",
    ),
)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client's run told; `problem` when it could not even begin."""

    version: str = ""
    steps: Mapping[str, str] | None = None
    problem: str = ""


def install(client: Client) -> str:
    """Make the client's environment; the last line of what went wrong, if it did."""
    folder = ENVIRONMENTS / client.package
    stamp = folder / ".ready"
    if stamp.exists():
        return ""
    folder.mkdir(parents=True, exist_ok=True)
    if client.is_node:
        words = ["npm", "install", "--silent", "--prefix", str(folder), client.package]
    else:
        venv.create(folder, with_pip=True)
        pip = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet"]
        words = [*pip, "--disable-pip-version-check", client.package, *client.also]
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError as exc:
        return f"{exc.filename} is not there"
    if done.returncode:
        return (done.stderr.strip().splitlines() or ["it does not install"])[-1]
    stamp.touch()
    return ""


def drive(client: Client, box: Sandbox, file: Path) -> Outcome:
    """Run the client's script in its environment."""
    if problem := install(client):
        return Outcome(problem=problem)
    folder = ENVIRONMENTS / client.package
    program = "node" if client.is_node else str(folder / "bin/python")
    return execute(client, program, box, file)


def execute(client: Client, program: str, box: Sandbox, file: Path) -> Outcome:
    """Run the client's script with this interpreter, and read what it tells."""
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(file.parent),
        **box.environment(),
        "CLIENT_BUCKET": box.bucket,
        "CLIENT_PREFIX": PREFIX,
        "CLIENT_FILE": str(file),
        "CLIENT_MODULES": str(ENVIRONMENTS / client.package / "node_modules"),
    }
    words = [program, str(SCRIPTS / client.script)]
    if client.by_name:
        env["OSS_ENDPOINT"] = box.oss_url.replace("127.0.0.1", "localhost")
        words = [*_resolving(f"{box.bucket}.localhost", file.parent), *words]
    done = subprocess.run(
        words,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    try:
        told = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        last = (done.stderr.strip().splitlines() or ["it told nothing"])[-1]
        return Outcome(problem=last)
    return Outcome(told["version"], told["steps"])


def _resolving(name: str, folder: Path) -> list[str]:
    """What makes a name known to one process: a file of hosts that it alone sees."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {name}\n", "utf-8")
    script = 'mount --bind "$1" /etc/hosts && shift && exec "$@"'
    alone = ["unshare", "--mount", "--map-root-user"]
    return [*alone, "sh", "-c", script, "sh", str(hosts)]


def judge(client: Client, box: Sandbox, data: bytes, outcome: Outcome) -> Outcome:
    """The outcome, corrected by what really lies in the bucket afterwards."""
    steps = dict(outcome.steps or {})
    left = {item.key: item for item in box.oss.objects(box.bucket, PREFIX)}
    for key in left:
        if box.oss.read(box.bucket, key, 0, SIZE + 1) != data:
            steps["upload"] = f"{key} holds other bytes"
    if steps.get("delete") == "works" and f"{PREFIX}one.bin" in left:
        steps["delete"] = "said to be done, and is not"
    if steps.get("copy") == "works" and f"{PREFIX}two.bin" not in left:
        steps["copy"] = "said to be done, and is not"
    if client.package != "dashscope" and steps.get("upload") == "works":
        calls = ("PutObject", "UploadPart", "AppendObject")
        if not sum(box.oss_endpoint.log_calls.count(name) for name in calls):
            steps["upload"] = "said to be done, and is not"
    return Outcome(outcome.version, steps, outcome.problem)


def run_all() -> dict[str, Outcome]:
    """Each client against a sandbox of its own."""
    found = {}
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch, "file.bin")
        data = os.urandom(SIZE)
        file.write_bytes(data)
        for client in CLIENTS:
            with Sandbox() as box:
                outcome = judge(client, box, data, drive(client, box, file))
                box.check()
            found[client.package] = outcome
            sys.stderr.write(f"{client.package}: {outcome}\n")
    return found


def table(found: Mapping[str, Outcome]) -> str:
    """The outcomes as a Markdown table, with what does not work below it."""
    rows = [f"| client | version | {' | '.join(STEPS)} |", "| --- " * 7 + "|"]
    notes = []
    for client in CLIENTS:
        outcome = found[client.package]
        steps = outcome.steps or {}
        cells = [_CELLS.get(steps.get(name, ""), "no") for name in STEPS]
        version = outcome.version or "-"
        rows.append(f"| `{client.package}` | {version} | {' | '.join(cells)} |")
        wrong = {n: text for n, text in steps.items() if text != "works"}
        if outcome.problem:
            notes.append(f"- `{client.package}` did not run here: {outcome.problem}")
        notes += [f"- `{client.package}`, {n}: {text}" for n, text in wrong.items()]
        if client.remark:
            notes.append(f"- `{client.package}`: {client.remark}.")
    return "\n".join([*rows, "", *notes] if notes else rows)


def main() -> int:
    """Write the table into the README; 1 if a step of a client failed."""
    found = run_all()
    text = replaced(README.read_text("utf-8"), "clients", table(found))
    README.write_text(text, "utf-8")
    good = all(
        text == "works" for one in found.values() for text in (one.steps or {}).values()
    )
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
