"""Put every fixture before the real loaders: `make test-loaders`, `make loaders`.

    python -m tests.loaders.run [--hold] [--all] NAME=PYTHON [NAME=PYTHON ...]

NAME=PYTHON is an environment that has torch, transformers and peft. Without `--hold`
the fixtures that are new or have changed are judged and the table is written anew,
and with it the package's data of which loaders confirm which rule; `--all` judges all.
With `--hold` everything is judged, nothing is written, and an answer that is not the
stored one is an error.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.loaders import table
from tests.loaders.cases import Case, build_base, cases, digest
from tests.loaders.confirmed import write_confirmations
from tests.loaders.table import Row, Table
from tests.sandbox.court import catalog_with_invented_tokenizers

_ROOT = Path(__file__).parents[2]
_SECONDS = 3600  # for all questions together


@dataclass(frozen=True, slots=True)
class Built:
    """A case that lies on the disk."""

    case: Case
    directory: Path
    base: Path
    digest: str

    def question(self) -> str:
        """The line that the judge is asked."""
        line = {
            "fixture": self.case.name,
            "directory": str(self.directory),
            "kind": self.case.kind.value,
            "base": str(self.base),
        }
        return json.dumps(line) + "\n"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """A directory whose path has no letters of its own.

    transformers 4 guesses the kind of a model from words in its path.
    """
    digits = "".join(random.choices("0123456789", k=16))  # noqa: S311
    path = Path(tempfile.gettempdir(), digits)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path)


def build(folder: Path) -> dict[str, Built]:
    """Build every case and every base that one is put onto."""
    built = {}
    for number, case in enumerate(cases().values()):
        # A parent of its own: some faults lie beside or above the directory.
        directory = folder / f"{number:04}" / "0"
        directory.mkdir(parents=True)
        code = case.build(directory)
        base = folder / "bases" / code
        if not base.exists():
            build_base(code, base)
        built[case.name] = Built(case, directory, base, digest(directory))
    return built


def _start(python: str, questions: Path, out: Path) -> subprocess.Popen[bytes]:
    with questions.open("rb") as asked, out.open("wb") as said:
        return subprocess.Popen(
            [python, "-m", "tests.loaders.judge"],
            stdin=asked,
            stdout=said,
            cwd=out.parent,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )


def judge(
    environments: Mapping[str, str], asked: Iterable[Built], folder: Path
) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Ask all environments at once; their versions, and fixture → answers of each."""
    questions = folder / "questions"
    questions.write_text("".join(one.question() for one in asked), "utf-8")
    running = {
        name: _start(python, questions, folder / name)
        for name, python in environments.items()
    }
    versions: dict[str, Any] = {}
    answers: dict[str, dict[str, Any]] = {}
    for name, process in running.items():
        if process.wait(_SECONDS) != 0:
            raise SystemExit(f"{name}: the judge ended with {process.returncode}")
        first, *lines = map(json.loads, (folder / name).read_text().splitlines())
        versions[name] = first["versions"]
        for line in lines:
            answers.setdefault(line["fixture"], {})[name] = line["answers"]
    return versions, answers


def _is_fresh(row: Row | None, built: Built, names: Iterable[str]) -> bool:
    return row is not None and (row.digest, set(row.answers)) == (
        built.digest,
        set(names),
    )


def _old() -> Table | None:
    table.stored.cache_clear()
    return table.stored() if table.TABLE.exists() else None


def refresh(
    environments: Mapping[str, str], built: Mapping[str, Built], *, everything: bool
) -> Table:
    """The table as it should be now; only what is new or has changed is judged.

    Everything is judged anew when the loaders themselves are other ones.
    """
    old = _old()
    with scratch() as folder:
        versions, _ = judge(environments, (), folder)
    rows = dict(old.rows) if old and old.environments == versions else {}
    stale = [
        one
        for name, one in built.items()
        if everything or not _is_fresh(rows.get(name), one, environments)
    ]
    print(f"judging {len(stale)} of {len(built)} fixtures")  # noqa: T201
    with scratch() as folder:
        _, answers = judge(environments, stale, folder)
    for one in stale:
        name = one.case.name
        rows[name] = table.made_row(name, one.digest, answers[name])
    kept = {name: rows[name] for name in built}
    made = old.made if old and not stale else dt.date.today().isoformat()
    return Table(table.REFRESH, made, versions, kept)


def _changes(old: Table, new: Table) -> Iterator[str]:
    if old.environments != new.environments:
        yield f"the table was made with {old.environments}, this is {new.environments}"
    for name in sorted(old.rows.keys() | new.rows.keys()):
        before, now = _spread(old.rows.get(name)), _spread(new.rows.get(name))
        for key in sorted(before.keys() | now.keys()):
            if before.get(key) != now.get(key):
                yield f"{name}, {key}: was {before.get(key)}, is {now.get(key)}"


def _spread(row: Row | None) -> dict[str, object]:
    """A row as one mapping, its digest included; empty for none."""
    if row is None:
        return {}
    found: dict[str, object] = {"digest": row.digest}
    for environment, said in row.answers.items():
        found |= {f"{environment} {loader}": answer for loader, answer in said.items()}
    return found


def _parsed(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--all", action="store_true")
    parser.add_argument("environments", nargs="+", metavar="NAME=PYTHON")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Judge; return 1 if the stored table does not hold."""
    args = _parsed(argv)
    environments = dict(one.split("=", 1) for one in args.environments)
    environments = {n: str(Path(p).absolute()) for n, p in environments.items()}
    with scratch() as folder:
        catalog = catalog_with_invented_tokenizers(folder / "catalog")
        os.environ["PREFLIGHT_BASES"] = str(catalog)
        built = build(folder)
        new = refresh(environments, built, everything=args.all or args.hold)
        if args.hold:
            changes = list(_changes(table.stored(), new))
            sys.stdout.writelines(f"{change}\n" for change in changes)
            return 1 if changes else 0
        table.write(new)
        write_confirmations(new, built)
    return 0


if __name__ == "__main__":
    sys.exit(main())
