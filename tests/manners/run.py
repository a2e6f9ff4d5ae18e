"""Ask the other tools in every situation: `make manners`, `make test-manners`.

    python -m tests.manners.run [--hold | --table] [FOLDER]

FOLDER holds the programs ruff, twine and hf. With `--hold` an answer that is not the
stored one is an error; `--table` prints ours beside the stored ones.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.manners.ask import ask, bench, found
from tests.manners.compared import ANSWERS, Answers, compared, facts_of, ours, stored
from tests.manners.situations import SITUATIONS, TOOLS


def _asked(folder: Path) -> Answers:
    """What the tools do in every situation, as facts."""
    answers: Answers = {}
    with tempfile.TemporaryDirectory() as scratch, bench(Path(scratch)) as at:
        for case in SITUATIONS:
            for tool in TOOLS:
                words = case.words[tool]
                if words is not None:
                    did = ask(found(tool, folder.absolute()), words, case, at)
                    answers.setdefault(case.name, {})[tool] = facts_of(case, did)
    return answers


def _table() -> int:
    with tempfile.TemporaryDirectory() as scratch, bench(Path(scratch)) as at:
        rows = compared(ours(at), stored())
    for row in rows:
        print(f"{row.verdict.value:7} {row.situation} / {row.tool}: {row.told}")  # noqa: T201
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Ask and store, or hold; 1 where an answer is another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hold", action="store_true")
    parser.add_argument("--table", action="store_true")
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(".venv-manners/bin")
    )
    args = parser.parse_args(argv)
    if args.table:
        return _table()
    answers = _asked(args.folder)
    if not args.hold:
        ANSWERS.write_text(json.dumps(answers, indent=1) + "\n", "utf-8")
        return 0
    before = stored()
    changed = [
        f"{name}, {tool}: was {before.get(name, {}).get(tool)}, is {facts}"
        for name, tools in answers.items()
        for tool, facts in tools.items()
        if before.get(name, {}).get(tool) != facts
    ]
    print("\n".join(changed) or "the stored answers hold")  # noqa: T201
    return 1 if changed else 0


if __name__ == "__main__":
    sys.exit(main())
