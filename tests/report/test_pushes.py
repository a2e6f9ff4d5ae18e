"""The table of several pushes."""

from __future__ import annotations

from preflight.record import ErrorRecord, RunRecord
from preflight.report.pushes import following, reasons, short_names
from tests.cases import case


def test_what_tells_directories_apart_is_shown() -> None:
    cases: list[tuple[list[str], list[str] | None]] = [
        (["runs/1/adapter", "runs/2/adapter"], ["runs/1/adapter", "runs/2/adapter"]),
        (["/long/path/runs/1/adapter"], [".../adapter"]),
        (["/long/path/to/1/a", "/long/path/to/2/a"], [".../1/a", ".../2/a"]),
        (["/long/path/to/runs", "/long/path/to"], [".../to/runs", ".../to"]),
        (["one/very/long/path", "two/very/long/path"], None),
    ]
    for names, shown in cases:
        with case(names, shown):
            assert short_names(names, 14) == (shown or names)


def record(name: str, code: int, message: str = "") -> RunRecord:
    made = RunRecord("push", name, exit_code=code, argv=("push", "-n", "a", "b"))
    made.error = ErrorRecord(message, "do this") if message else None
    return made


def test_a_reason_that_many_share_is_told_once() -> None:
    records = [record(f"r{n}", 4, "no key") for n in range(5)]
    records.append(record("other", 5, "cut off"))
    told = list(reasons([*records, record("good", 0)]))
    assert told == [
        "r0, r1, r2 and 2 more: no key",
        "  try  do this",
        "other: cut off",
        "  try  do this",
    ]


def test_the_command_to_go_on_with() -> None:
    assert following([record("a", 0)]) == ""
    again = "preflight push -n a b   (goes on where it stopped)"
    assert following([record("a", 5, "cut off")]) == again
    planned = record("a", 0)
    planned.dry_run = True
    assert following([planned]) == "preflight push a b"
    long = record("a", 5, "cut off")
    long.argv = ("push", *(f"runs/{n}/adapter" for n in range(99)))
    assert following([long]).startswith("the same command again ")
