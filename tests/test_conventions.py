"""The conventions of this project, read from its own source."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path

from preflight import errors, rules
from preflight.commands import COMMANDS
from preflight.errors import PreflightError
from preflight.model.inspection import Inspection
from preflight.parser import ENVIRONMENT, EXIT_CODES, build_parser
from preflight.rules import RULES, SCAN_RULES, STATIC_RULES

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "preflight"
README = (ROOT / "README.md").read_text("utf-8")
MODULES = sorted(PACKAGE.rglob("*.py"))

# Imports point down only; `rules` and `upload`, `upload` and `studio` do not know one
# another, and `oss`, which talks to one bucket, knows nothing of plans.
LEVELS = {
    "__main__": 11,
    "cli": 10,
    "parser": 9,
    "help": 1,
    "commands": 8,
    "integrations": 8,
    "jobs": 8,
    "api": 7,
    "failure": 7,
    "report": 6,
    "doctor": 5,
    "record": 5,
    "repair": 5,
    "pipeline": 4,
    "rules": 3,
    "sources": 3,
    "upload": 3,
    "studio": 3,
    "model": 2,
    "oss": 2,
    "catalog": 1,
    "settings": 1,
    "terminal": 1,
    "process": 0,
    "observer": 1,
    "lock": 1,
    "clock": 0,
    "crc": 0,
    "directories": 0,
    "destination": 0,
    "errors": 0,
    "findings": 0,
    "hidden": 0,
    "limits": 0,
    "http": 0,
    "language": 0,
    "progress": 0,
    "regular": 0,
    "retry": 0,
    "system_errors": 0,
    "tasks": 0,
    "text": 0,
    "together": 0,
    "waiting": 0,
    "__init__": 0,
}
ALONE = {"rules", "upload", "studio"}
MAY_IMPORT_SANDBOX = {"cli", "commands", "doctor"}


def part_of(path: Path) -> str:
    """The name that stands for a module in LEVELS: its folder's or its own."""
    first = path.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


NAMES = {name_of(path) for path in MODULES}


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree: ast.AST, *, at_start: bool = False) -> Iterator[str]:
    """Modules that a tree imports; `at_start`: only those that loading it loads."""
    for node in ast.iter_child_nodes(tree):
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        if at_start and (isinstance(node, functions) or is_type_checking(node)):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            module = node.module or ""
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield full if full in NAMES else module
        else:
            yield from imports(node, at_start=at_start)


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def ours(path: Path, *, at_start: bool = False) -> set[str]:
    found = imports(parsed(path), at_start=at_start)
    return {name for name in found if name.partition(".")[0] == "preflight"}


def below(name: str) -> str:
    """`preflight.oss.client` is part of `oss`, `preflight` itself of `__init__`."""
    return name.split(".")[1] if "." in name else "__init__"


IN_THE_HOUSE = [path for path in MODULES if part_of(path) != "sandbox"]


def upward(path: Path) -> Iterator[str]:
    """The imports of a module that do not point down."""
    here = part_of(path)
    if here == "__init__":  # the door: it names what is promised, from anywhere
        return
    for name in ours(path):
        there = below(name)
        if here == "sandbox":
            fine = there == "sandbox" or LEVELS[there] == 0
        elif there == "sandbox":
            fine = here in MAY_IMPORT_SANDBOX
        else:
            alone = here in ALONE and there in ALONE - {here}
            fine = LEVELS[there] <= LEVELS[here] and not alone
        if not fine:
            yield f"{name_of(path)} imports {name}"


def test_imports_point_down_and_the_sandbox_stands_beside_the_house() -> None:
    assert {part_of(path) for path in MODULES} - {"sandbox"} == set(LEVELS)
    assert [wrong for path in MODULES for wrong in upward(path)] == []


def test_no_module_imports_itself_by_a_detour() -> None:
    graph = {
        name_of(path): {name for name in ours(path, at_start=True) if name in NAMES}
        for path in MODULES
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail, name))
        if name not in done:
            for other in sorted(graph[name] - {name}):
                visit(other, (*trail, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


HEAVY = {"oss2", "requests", "tqdm", "numpy", "huggingface_hub", "urllib3"}
# Themselves imported inside functions: when there are values to scan, a bar to draw.
ON_DEMAND = {
    "preflight.model.tallies": {"numpy"},
    "preflight.model.scan": {"numpy"},
    "preflight.progress.drawn": {"tqdm"},
}


def test_heavy_imports_stand_inside_functions() -> None:
    wrong = []
    for path in IN_THE_HOUSE:
        loaded = {
            name.partition(".")[0] for name in imports(parsed(path), at_start=True)
        }
        if heavy := loaded & HEAVY - ON_DEMAND.get(name_of(path), set()):
            wrong.append(f"{name_of(path)}: {heavy}")
    assert wrong == []


# Files that others may put a FIFO, a socket or a device in the place of

# These read files of the package itself, of the kernel, or one that a flag names.
READ_PLAINLY = {
    "preflight.catalog.explanations",
    "preflight.catalog.loaders",
    "preflight.catalog.trainers",
    "preflight.commands.sandbox",
    "preflight.doctor.local",
    "preflight.process",
    "preflight.report.schemas",
    "preflight.repair.stage",  # a descriptor's own path
}


def reads_plainly(node: ast.AST) -> bool:
    """Whether it is a call that would wait for a FIFO's writer."""
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if name in ("read_text", "read_bytes"):
        # Of a path; the functions of that name in `model` take an open file.
        return True
    opens = name == "open" or (
        isinstance(node.func, ast.Name) and node.func.id == "open"
    )
    modes = [each.value for each in node.args if isinstance(each, ast.Constant)]
    return opens and any(mode in ("r", "rb", "rt") for mode in modes)


def test_files_of_users_are_opened_without_waiting_for_them() -> None:
    """`regular.read_regular` for small ones, `model.steady` for those of a model."""
    found = {
        name_of(path)
        for path in IN_THE_HOUSE
        if any(map(reads_plainly, ast.walk(parsed(path))))
    }
    assert found - READ_PLAINLY == set()


# What a module looks like


def test_words_that_could_mean_much_name_one_module_each() -> None:
    for word in ("bases", "identity", "values", "findings"):
        assert [path.stem for path in MODULES].count(word) == 1, word


def test_modules_and_functions_are_short() -> None:
    long = [p for p in MODULES if len(p.read_text("utf-8").splitlines()) > 400]
    assert long == []
    functions = [
        f"{name_of(path)}: {node.name}"
        for path in MODULES
        for node in ast.walk(parsed(path))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        if (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert functions == []


# Rules


def test_codes_and_names_are_unique_and_every_family_is_gathered() -> None:
    assert len({rule.code for rule in RULES}) == len(RULES)
    assert len({rule.name for rule in RULES}) == len(RULES)
    written = [
        decorator.args[0].value
        for path in sorted((PACKAGE / "rules").glob("*.py"))
        for node in ast.walk(parsed(path))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        if ast.unparse(decorator.func) == "rule"
        if isinstance(decorator.args[0], ast.Constant)
    ]
    assert sorted(str(code) for code in written) == sorted(r.code for r in RULES)
    assert (*STATIC_RULES, *SCAN_RULES) == RULES
    assert rules.RULES is RULES


def test_a_rule_has_a_manual_and_reads_the_inspection() -> None:
    known = {field.name for field in fields(Inspection)}
    for rule in RULES:
        why, _, rest = rule.manual.partition("\n\n")
        assert why.endswith("."), rule.code
        assert re.search(r"^Causes: ", rest, re.MULTILINE), rule.code
        assert re.search(r"^Source: ", rest, re.MULTILINE), rule.code
        assert re.fullmatch(r"[A-Z].*\.", rule.fix), rule.code
        assert rule.applies, rule.code
        assert rule.reads, rule.code
        assert set(rule.reads) <= known, rule.code


def test_every_rule_has_a_test() -> None:
    """Each rule's function is named in a test of the rules."""
    tests = (ROOT / "tests" / "rules").glob("test_*.py")
    text = "\n".join(path.read_text("utf-8") for path in tests)
    named = set(re.findall(r"[a-z_0-9]+", text)) | set(re.findall(r"[A-Z]\d\d", text))
    untested = [
        rule.code
        for rule in RULES
        if rule.check.__name__ not in named and rule.code not in named
    ]
    assert untested == []


# Errors


def every_error() -> list[type[PreflightError]]:
    found = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, PreflightError)
    ]
    pending = list(found)
    while pending:
        for kind in pending.pop().__subclasses__():
            if kind not in found:
                found.append(kind)
                pending.append(kind)
    return found


def test_an_error_is_documented() -> None:
    codes = {code for code, _ in EXIT_CODES} - {0}
    for kind in every_error():
        assert kind.__doc__, kind
        assert kind.exit_code in codes, kind
    promised = [kind for kind in every_error() if kind.__module__ == errors.__name__]
    assert len({kind.code for kind in promised}) == len(promised)
    assert {kind.code for kind in every_error()} == {kind.code for kind in promised}


# The README


def long_flags() -> set[str]:
    parser = build_parser()
    parsers = [parser]
    for action in parser._actions:
        if isinstance(action.choices, dict):
            parsers += [each.fill() for each in action.choices.values()]
    return {
        option
        for one in parsers
        for action in one._actions
        for option in action.option_strings
        if option.startswith("--")
    }


def in_code(text: str) -> str:
    """The code of a Markdown text: spans, indented lines and fenced blocks."""
    spans = re.findall(r"`([^`\n]+)`", text)
    lines = re.findall(r"^    (.*)$", text, re.MULTILINE)
    fences = re.findall(r"^```.*?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return "\n".join([*spans, *lines, *fences])


def test_the_readme_names_every_command() -> None:
    names = set(COMMANDS)
    assert {name for name in names if f"`preflight {name}" not in README} == set()


def test_the_readme_names_every_flag() -> None:
    named = set(re.findall(r"--[a-z0-9]+(?:-[a-z0-9]+)*", in_code(README)))
    assert long_flags() - named - {"--help"} == set()


def test_the_readme_names_no_flag_that_is_not_there() -> None:
    lines = [line for line in in_code(README).splitlines() if "preflight" in line]
    pattern = re.compile(r"(?<!\S)--[a-z0-9-]+")
    flags = {flag for line in lines for flag in pattern.findall(line)}
    assert flags <= long_flags()


def test_the_readme_explains_every_exit_code() -> None:
    rows = re.findall(r"^\| (\d+(?:, \d+)*) \|", README, re.MULTILINE)
    explained = {int(code) for row in rows for code in row.split(", ")}
    assert explained == {code for code, _ in EXIT_CODES}


def test_the_readme_names_every_variable() -> None:
    names = {name for name, *_ in ENVIRONMENT}
    assert {name for name in names if f"`{name}`" not in README} == set()


def commands_in(text: str) -> set[str]:
    return set(re.findall(r"(?:^|[`$] ?)preflight ([a-z]+)\b", text, re.MULTILINE))


def test_the_readme_names_no_other_command() -> None:
    named = commands_in(in_code(README)) | commands_in(README.replace("\n    ", "\n$ "))
    assert {"check", "push"} <= named
    assert named <= set(COMMANDS)


def test_no_message_sends_people_to_a_command_that_is_not_there() -> None:
    """Hints, remedies and manuals name commands in backquotes."""
    known = set(COMMANDS)
    wrong = {
        f"{path.relative_to(ROOT)}: preflight {name}"
        for pattern in ("*.py", "*.json")
        for path in PACKAGE.rglob(pattern)
        for name in re.findall(r"`preflight ([a-z]+)", path.read_text("utf-8"))
        if name not in known
    }
    assert wrong == set()
