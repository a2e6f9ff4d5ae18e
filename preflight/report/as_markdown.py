"""The report as GitHub Flavored Markdown, for a job's summary or a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator

from preflight.findings import Outcome, Result, Severity
from preflight.language import glued, localized, say
from preflight.progress import human_size
from preflight.record import RunRecord
from preflight.report import Style
from preflight.report.answer import Tone, answer
from preflight.report.several import Several
from preflight.report.subject import label, subject
from preflight.text import escaped

# Every character that Markdown or the HTML in it could take for markup.
_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~&:@$])")


def render(record: RunRecord, _: Style) -> str:
    """A heading with the verdict, what it is, a table of findings, what now."""
    return "\n".join(_blocks(record))


def render_many(several: Several, _: Style) -> str:
    """The verdict, a table that links to each directory's part, and the parts."""
    return "\n".join(_many_blocks(several))


def _many_blocks(several: Several) -> Iterator[str]:
    mark = "❌" if several.tone is Tone.BAD else "✅"
    yield f"# {mark} {plain(several.word)}: {plain(several.rest)}\n"
    columns = range(len(several.headings))
    aligned = ["---:" if at in several.numbers else "---" for at in columns]
    rows = [
        f"| {' | '.join(map(localized, several.headings))} |",
        f"| {' | '.join(aligned)} |",
    ]
    for number, each in enumerate(several.summaries(), 1):
        cells = (each.word, *each.cells)
        link = f"[{plain(each.directory)}](#directory-{number})"
        rows.append(f"| {link} | {' | '.join(map(plain, cells))} |")
    yield "\n".join(rows) + "\n"
    if several.following:
        yield f"Next: {plain(several.following)}\n"
    for number, record in enumerate(several.records, 1):
        yield f'<a id="directory-{number}"></a>\n'
        yield from _blocks(record)


def _blocks(record: RunRecord) -> Iterator[str]:
    found = answer(record)
    name = label(record.directory) or record.command
    if found is not None:
        mark = "❌" if found.tone is Tone.BAD else "✅"
        yield f"## {mark} {plain(name)}: {plain(found.word)}\n"
        yield f"{plain(found.rest)}\n"
    else:
        yield f"## ❌ preflight {plain(record.command)}\n"
    if record.error is not None:
        yield f"**{plain(record.error.message)}**\n"
        if record.error.hint:
            yield f"{plain(record.error.hint)}\n"
    if about := subject(record, 0):
        yield f"{plain(about)}\n"
    yield from _table(record)
    if record.uploaded is not None:
        done = record.uploaded
        size = human_size(done.plan.total_bytes)
        where = plain(done.plan.destination.url)
        told = say(
            "Uploaded {count} files, {size}, to {url}",
            count=len(done.plan.items),
            size=size,
            url=where,
        )
        yield f"{localized(told)}\n"
    if found is not None and found.following:
        yield localized(say("Next: {command}", command=plain(found.following))) + "\n"


def _table(record: RunRecord) -> Iterator[str]:
    failed = record.report.select(Result.FAILED)
    if not failed:
        return
    heading = " | ".join(map(localized, (say("rule"), say("what"), say("fix"))))
    rows = [f"| | {heading} |", "| --- | --- | --- | --- |"]
    for severity in Severity:
        rows += [_row(each) for each in failed if each.severity is severity]
    yield "\n".join(rows) + "\n"


def _row(outcome: Outcome) -> str:
    problems = [
        plain(glued(each.where, ": ", each.message) if each.where else each.message)
        for each in outcome.problems
    ]
    if outcome.count > len(problems):
        more = say("and {count:,} more", count=outcome.count - len(problems))
        problems.append(localized(more))
    fixes = dict.fromkeys(each.fix or outcome.fix for each in outcome.problems)
    fix = "<br>".join(plain(text) for text in fixes if text)
    what = "<br>".join(problems)
    return f"| {localized(outcome.severity.word)} | {outcome.code} | {what} | {fix} |"


def plain(text: str) -> str:
    """`text` as Markdown that shows every character of it and marks up none."""
    return _MARKUP.sub(r"\\\1", escaped(text))
