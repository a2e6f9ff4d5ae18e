"""Several directories that were pushed in one run: what became of each."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence

from preflight.findings import Result
from preflight.language import glued, joined, say
from preflight.progress import human_size
from preflight.record import RunRecord
from preflight.report.answer import answer, once_more
from preflight.report.subject import label
from preflight.text import columns

_CUT = "..."
_NAMED = 3  # directories that a line names


def headings(records: Sequence[RunRecord]) -> tuple[str, ...]:
    """Of the columns beside directory and verdict."""
    second = say("size") if records[0].dry_run else say("model")
    return second, say("destination")


def cells(record: RunRecord) -> tuple[str, ...]:
    """Size or model, and where it lies, as far as that is known."""
    plan = record.planned.plan if record.planned else None
    where = plan.destination.url if plan else "-"
    if record.dry_run:
        return human_size(plan.total_bytes) if plan else "-", where
    job = record.imported.job if record.imported else None
    return (job.model_name if job else "") or "-", where


def short_names(names: Sequence[str], most: int) -> list[str]:
    """The names; where one has over `most` columns, without what all begin with.

    A table that cuts the ends of paths would leave what they have in common.
    """
    if max(map(columns, names), default=0) <= most:
        return list(names)
    parts = [name.split("/") for name in names]
    same = 0
    while all(len(each) > same + 1 for each in parts) and (
        len({each[same] for each in parts}) == 1
    ):
        same += 1
    if not same:
        return list(names)
    return ["/".join((_CUT, *each[same:])) for each in parts]


def counted(records: Sequence[RunRecord]) -> str:
    """`3 IMPORTED, 1 NOT READY`: how many came to what."""
    words = Counter(_word(record) for record in records)
    return joined(", ", [glued(f"{count} ", word) for word, count in words.items()])


def _word(record: RunRecord) -> str:
    found = answer(record)
    return found.word if found else say("FAILED")


def reasons(records: Sequence[RunRecord]) -> Iterator[str]:
    """Why each that is not done is not; one that several share is told once."""
    shared: dict[tuple[str, str], list[str]] = {}
    for record in records:
        if record.exit_code:
            told = _reason(record)
            shared.setdefault(told, []).append(label(record.directory))
    for (why, hint), names in shared.items():
        named: str = ", ".join(names[:_NAMED])
        if len(names) > _NAMED:
            more = len(names) - _NAMED
            named = say("{named} and {count:,} more", named=named, count=more)
        yield glued(named, ": ", why)
        if hint:
            yield say("  try  {hint}", hint=hint)


def _reason(record: RunRecord) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    found = answer(record)
    if _broke_rules(record) and found is not None:
        return found.rest, ""
    if record.error is not None:
        return record.error.message, record.error.hint
    return (found.rest if found else ""), ""


def _broke_rules(record: RunRecord) -> bool:
    return record.exit_code == 1 and bool(record.report.select(Result.FAILED))


def following(records: Sequence[RunRecord]) -> str:
    """The command to go on with; nothing where there is nothing left to do."""
    argv = records[0].argv
    if records[0].dry_run:
        argv = tuple(word for word in argv if word not in ("-n", "--dry-run"))
    again = once_more(argv) if argv else ""
    failed = [record for record in records if record.exit_code]
    if not failed:
        return again if records[0].dry_run else ""
    broken = [record for record in failed if _broke_rules(record)]
    if len(broken) == len(failed):
        names = [shlex.quote(record.directory) for record in broken[:_NAMED]]
        return f"preflight check {' '.join(names)}"
    return say("{command}   (goes on where it stopped)", command=again)
