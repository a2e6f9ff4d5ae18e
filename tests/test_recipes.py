"""The recipes of "Contributing" in the README, followed in a scratch copy.

Each names all the files that it touches; then the project's own conventions, and what
uses the new things, pass without another edit. All of them are followed in one copy.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from fixtures.mixture import MIXTURE, mixture_entry
from tests.running import ROOT, environment, tiny_adapter

README = (ROOT / "README.md").read_text("utf-8")
CONVENTIONS = "tests/test_conventions.py"
OF_EVERY_BASE = "tests/sandbox/test_against_rules.py"


pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True)
class Scratch:
    """A copy of the project and the files that were edited in it."""

    root: Path
    followed: set[str] = field(default_factory=set)
    """The tests whose edits the copy holds."""
    nodes: set[str] = field(default_factory=set)
    """The tests that use what was added; the last one here runs them together."""
    edited: set[str] = field(default_factory=set)

    def recipe(self, test: str) -> Scratch:
        """The same copy, with no edit counted yet."""
        self.followed.add(test)
        return Scratch(self.root, self.followed, self.nodes)

    def append(self, file: str, text: str) -> None:
        """Add to the end of a file, which is made if need be."""
        self.edited.add(file)
        with (self.root / file).open("a", encoding="utf-8") as stream:
            stream.write(text)

    def insert(self, file: str, behind: str, text: str) -> None:
        """Add a line behind the first that begins so."""
        self.edited.add(file)
        path = self.root / file
        lines = path.read_text("utf-8").splitlines(keepends=True)
        at = next(i for i, line in enumerate(lines) if line.startswith(behind))
        path.write_text("".join([*lines[: at + 1], text, *lines[at + 1 :]]), "utf-8")

    def run(self, *words: str) -> str:
        """Run Python in the copy; what it printed."""
        env = environment(self.root / "home")
        env["PYTHONPATH"] = str(self.root)
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        return done.stdout

    def test(self, *nodes: str) -> None:
        """These tests are to pass in the copy."""
        self.nodes.update(nodes)


# Directories of tests that no recipe needs: to write a file takes 0.5 ms.
UNNEEDED = {"benchmarks", "commands", "model", "repair", "screens"}


def _unneeded(folder: str, names: list[str]) -> set[str]:
    return UNNEEDED & set(names) if Path(folder) == ROOT / "tests" else set()


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scratch]:
    root = tmp_path_factory.mktemp("recipes") / "copy"
    root.mkdir()
    for name in ("preflight", "fixtures", "tests"):
        # What is compiled, too: it is quick.
        shutil.copytree(ROOT / name, root / name, ignore=_unneeded)
    for name in ("pyproject.toml", "README.md", "README.zh-CN.md", "Makefile"):
        shutil.copy(ROOT / name, root / name)
    yield Scratch(root)
    shutil.rmtree(root)


@pytest.fixture
def scratch(copied: Scratch, request: pytest.FixtureRequest) -> Scratch:
    return copied.recipe(request.node.name)


def promised(what: str) -> int:
    """How many files the README says that a new thing of this kind takes."""
    found = re.search(rf"^\| {what} \| (\d) \|", README, re.MULTILINE)
    assert found, what
    return int(found[1])


RULE = '''

@rule("D97", fix="Rename it.", severity=Severity.WARNING)
def nothing_is_called_zebra(files: Files) -> Iterator[Problem]:
    """A file that is called zebra is an animal.

    Causes: a joke.
    Source: https://example.com/zebra
    """
    for name in files:
        if name == "zebra.txt":
            yield Problem(name, "is an animal")
'''
FAULT = '''

@fault("zebra", Family.FILES, BOTH, Verdict.WARN, codes="D97", words="is an animal")
def zebra(directory: Path) -> None:
    """A file that is called zebra."""
    (directory / "zebra.txt").write_text("stripes")
'''
RULE_TEST = """

def test_zebra() -> None:
    from preflight.rules.d_files import nothing_is_called_zebra

    assert len(problems(nothing_is_called_zebra, files=files("zebra.txt"))) == 1
    assert not problems(nothing_is_called_zebra, files=files("horse.txt"))
"""


def test_a_rule(scratch: Scratch) -> None:
    scratch.append("preflight/rules/d_files.py", RULE)
    scratch.append("fixtures/faults/files.py", FAULT)
    scratch.append("tests/rules/test_d_files.py", RULE_TEST)
    assert "D97 nothing-is-called-zebra" in scratch.run(
        "-m", "preflight", "explain", "D97"
    )
    scratch.test("tests/rules/test_d_files.py", "tests/sandbox/test_every_fault.py")
    assert len(scratch.edited) == promised("a rule")


def dense() -> dict[str, object]:
    return {
        "code": "qwen3-9b",
        "hub_id": "Qwen/Qwen3-9B",
        "hidden_size": 4096,
        "intermediate_size": 14336,
        "layers": 34,
        "heads": 32,
        "kv_heads": 8,
        "source": "hub page Qwen/Qwen3-9B",
    }


def add_base(scratch: Scratch, entry: dict[str, object]) -> None:
    """One more entry in the file of a family."""
    file = "preflight/catalog/data/bases/qwen3.json"
    document = json.loads((scratch.root / file).read_text("utf-8"))
    document["models"].append(entry)
    (scratch.root / file).write_text(json.dumps(document), "utf-8")
    scratch.edited.add(file)


def test_a_dense_base(scratch: Scratch) -> None:
    add_base(scratch, dense())
    adapter = str(scratch.root / "adapter")
    script = (
        "from fixtures.__main__ import main as fixtures\n"
        "from preflight.cli import main as preflight\n"
        "assert preflight(['bases']) == 0\n"
        f"words = ['build', {adapter!r}, '--base', 'qwen3-9b', '--tiny']\n"
        "assert fixtures(words) == 0\n"
        f"assert preflight(['check', {adapter!r}]) == 0\n"
    )
    assert "qwen3-9b" in scratch.run("-c", script)
    scratch.test("tests/catalog", OF_EVERY_BASE)
    assert len(scratch.edited) == promised("a dense base")


def test_a_mixture_of_experts(scratch: Scratch) -> None:
    add_base(scratch, mixture_entry(source="hub page fixtures/Tiny-48x128"))
    adapter = str(scratch.root / "of-mixture")
    script = (
        "from fixtures.adapters import build_adapter\n"
        "from pathlib import Path\n"
        "from preflight.cli import main as preflight\n"
        "assert preflight(['bases']) == 0\n"
        f"build_adapter(Path({adapter!r}), base={MIXTURE!r}, targets=['q_proj'])\n"
        f"assert preflight(['check', {adapter!r}]) == 0\n"
    )
    assert MIXTURE in scratch.run("-c", script)
    scratch.test("tests/catalog", OF_EVERY_BASE)
    assert len(scratch.edited) == promised("a dense base")


def test_a_report_format(scratch: Scratch) -> None:
    scratch.append(
        "preflight/report/as_count.py",
        '"""The number of rules that failed."""\n\n'
        "from __future__ import annotations\n\n"
        "from preflight.findings import Result\n"
        "from preflight.record import RunRecord\n"
        "from preflight.report import Style\n\n\n"
        "def render(record: RunRecord, _: Style) -> str:\n"
        '    """One line."""\n'
        '    return f"{len(record.report.select(Result.FAILED))}\\n"\n',
    )
    scratch.insert(
        "preflight/report/__init__.py",
        '        "json":',
        '        "count": "how many rules failed",\n',
    )
    adapter = str(tiny_adapter(scratch.root / "counted"))
    words = ("-m", "preflight", "check", adapter, "--format", "count")
    assert scratch.run(*words) == "0\n"
    assert len(scratch.edited) == promised("a report format")


def test_a_command(scratch: Scratch) -> None:
    scratch.append(
        "preflight/commands/hello.py",
        '"""`hello`: be polite."""\n\n'
        "from __future__ import annotations\n\n"
        "import argparse\n\n"
        "from preflight.terminal import Terminal\n\n\n"
        "def add_arguments(parser: argparse.ArgumentParser) -> None:\n"
        '    """Whom to greet."""\n'
        '    parser.add_argument("name")\n\n\n'
        "def run(arguments: argparse.Namespace, terminal: Terminal) -> int:\n"
        '    """Greet."""\n'
        '    terminal.show_lines([f"hello {arguments.name}"])\n'
        "    return 0\n",
    )
    scratch.insert(
        "preflight/commands/__init__.py",
        '        "check":',
        '        "hello": "be polite",\n',
    )
    assert scratch.run("-m", "preflight", "hello", "you") == "hello you\n"
    # What is missing now is its line in the README, and a test says so.
    readme = scratch.root / "README.md"
    row = "| `preflight hello NAME` | is polite |\n"
    text = readme.read_text("utf-8")
    readme.write_text(text.replace("| `preflight check", f"{row}| `preflight check", 1))
    assert len(scratch.edited) == promised("a command")


ENDPOINT = '''

def get_referer(context: Context) -> Response:
    """GetBucketReferer: nobody is kept out."""
    del context
    return replies.xml("RefererConfiguration", [("AllowEmptyReferer", "true")])


ROUTES = (
    *ROUTES,
    Route("GetBucketReferer", _BUCKET, "GET", get_referer, names("referer")),
)
'''


def test_a_sandbox_endpoint(scratch: Scratch) -> None:
    scratch.append("preflight/sandbox/oss/buckets.py", ENDPOINT)
    script = (
        "import oss2, os\n"
        "from preflight.sandbox import Sandbox\n"
        "with Sandbox() as box:\n"
        "    auth = oss2.AuthV4(box.access_key_id, box.access_key_secret)\n"
        "    bucket = oss2.Bucket(auth, box.oss_url, box.bucket, region=box.region,\n"
        "                         is_path_style=True)\n"
        "    print(bucket.get_bucket_referer().allow_empty_referer)\n"
    )
    assert scratch.run("-c", script).strip() == "True"
    test = "tests/sandbox/oss/test_oss_referer.py"
    scratch.append(test, f"def test_referer() -> None:\n    exec({script!r})\n")
    scratch.test(test)
    assert len(scratch.edited) == promised("a sandbox endpoint")


RECIPES = (
    test_a_rule,
    test_a_dense_base,
    test_a_mixture_of_experts,
    test_a_report_format,
    test_a_command,
    test_a_sandbox_endpoint,
)


# Of the walk over all faults, the part with the new one.
USING = "zebra or files or catalog or referer or conventions or full_models"


def test_what_uses_them_works_and_the_conventions_hold(scratch: Scratch) -> None:
    """Those that ran before are in the copy; alone, it follows them itself."""
    for recipe in RECIPES:
        if recipe.__name__ not in scratch.followed:
            recipe(scratch.recipe(recipe.__name__))
    where = scratch.run("-c", "import preflight; print(preflight.__file__)").strip()
    assert os.path.realpath(where).startswith(os.path.realpath(scratch.root))
    commands = (scratch.root / "preflight/commands/__init__.py").read_text("utf-8")
    assert '"hello"' in commands
    quiet = ("-p", "no:cacheprovider", "-p", "no:xdist", "-q", "-rA", "-k", USING)
    told = scratch.run("-m", "pytest", *quiet, *sorted(scratch.nodes), CONVENTIONS)
    passed = re.findall(r"^PASSED (\S+?)::", told, re.MULTILINE)
    for node in (*scratch.nodes, CONVENTIONS):
        assert any(file.startswith(node) for file in passed), node
