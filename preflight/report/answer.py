"""The answer of a run: right or not, in which words, and what comes next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum

from preflight.errors import (
    AnotherTaskFailed,
    Interrupted,
    RulesFailed,
    StillRunning,
    Terminated,
)
from preflight.findings import Report, Result, Severity, Unavailable, Verdict
from preflight.language import glued, joined, localized, say, say_n
from preflight.pipeline.imported import Imported
from preflight.pipeline.planned import naming_the_base, obstacle, tidy_name
from preflight.pipeline.uploaded import Uploaded
from preflight.record import ErrorRecord, RunRecord
from preflight.studio.submit import How
from preflight.text import Colored, Line, folded

_CODES = 8  # named in the sum
_LONG = 300  # characters
_OF_THE_BASE = {"B01", "K03", "K06"}  # rules that fail where only the base is wrong


class Tone(Enum):
    """Whether an answer is good, good with something to look at, or bad."""

    GOOD = "1;32"
    ODD = "1;33"
    BAD = "1;31"

    def mark(self, *, marks: bool) -> str:
        """A sign where the stream has it, else a word."""
        if self is Tone.BAD:
            return "✘" if marks else say("FAIL")
        return "✔" if marks else say("OK")


@dataclass(frozen=True, slots=True)
class Answer:
    """`word` as `READY`, `rest` as what it is made of; `following`: what to do now."""

    tone: Tone
    word: str
    rest: str = ""
    following: str = ""

    def line(self, *, marks: bool = True) -> Line:
        """The verdict as a line, mark and word in the tone's colour."""
        (line,) = self.lines(marks=marks)
        return line

    def lines(self, *, marks: bool = True, width: int = 0) -> list[Line]:
        """The same in a terminal of `width` columns."""
        word = localized(glued(self.tone.mark(marks=marks), " ", self.word))
        told = glued(word, "  ", self.rest) if self.rest else word
        first, *others = folded(told, width)
        colored = Colored(first[: len(word)], self.tone.value)
        return [
            Line((colored, first[len(word) :])),
            *(Line((each,)) for each in others),
        ]


def answer(record: RunRecord) -> Answer | None:
    """What the run comes to; None where only its error can be told."""
    if record.imported is not None:
        return _of_job(record, record.imported)
    if record.command == "import" and record.error is not None:
        return Answer(Tone.BAD, say("NOT IMPORTED"), say("no job was submitted"))
    if not record.report.outcomes:
        return None
    if record.report.verdict is Verdict.FAIL:
        return _not_ready(record)
    if record.error is not None and _lacks_words(record):
        return _lacking(record, record.error)
    if record.error is not None:
        return _broken_off(record)
    if record.brought is not None:
        return Answer(Tone.GOOD, say("SHARE UPLOADED"), say("task 0 publishes it"))
    if record.uploaded is not None and record.checked is not None:
        return _not_imported(record, record.uploaded)
    return _ready(record)


def _not_imported(record: RunRecord, done: Uploaded) -> Answer:
    """All that was asked for: the upload, and the command that goes on from it."""
    url = shlex.quote(done.plan.destination.url)
    base = f" --base-model {record.base_model}" if record.base_model else ""
    return Answer(
        Tone.GOOD,
        say("UPLOADED"),
        say("verified; not imported, as --no-import asks"),
        f"preflight import {url}{base}",
    )


def _lacks_words(record: RunRecord) -> bool:
    """Whether all that is wrong is what a push would have to be told."""
    return record.checked is not None and obstacle(record.checked) is not None


def _lacking(record: RunRecord, error: ErrorRecord) -> Answer:
    """A sound directory of which a push must be told more: the push that tells it."""
    following = error.hint
    if record.command == "push" and record.checked is not None and record.argv:
        found = record.checked.found
        if not isinstance(found.weight_type, Unavailable):
            following = naming_the_base(_same_again(record), found.candidates)
    return Answer(Tone.BAD, say("NOT READY TO PUSH"), error.message, following)


def _not_ready(record: RunRecord) -> Answer:
    rest = counted(record.report)
    if record.command == "push":
        rest = say("{sum}; nothing was uploaded", sum=rest)
    if record.repaired is not None and record.command == "fix":
        return _not_repaired(record, rest)
    if base := _right_base(record):
        return Answer(Tone.BAD, say("NOT READY"), rest, _with_base(record, base))
    words = record.argv or (record.command, record.directory)
    again = say("mend it as named above, then: {command}", command=once_more(words))
    if record.repairable:
        where = shlex.quote(record.directory)
        new = shlex.quote(record.directory.rstrip("/") + "-fixed")
        command = f"preflight fix {where} -o {new}"
        again = say("{command}   (or add --fix to the push)", command=command)
    return Answer(Tone.BAD, say("NOT READY"), rest, again)


def _right_base(record: RunRecord) -> str:
    """The base that the files name, where all that is wrong is the one given."""
    checked = record.checked
    if checked is None or checked.options.request.base_model is None:
        return ""
    failed = checked.report.select(Result.FAILED)
    errors = {each.code for each in failed if each.severity is Severity.ERROR}
    named = checked.found.claim.identity
    if not errors <= _OF_THE_BASE or named is None or named.base is None:
        return ""
    return "" if named.base is checked.found.base else named.base.code


def _with_base(record: RunRecord, base: str) -> str:
    """The command that was typed, with another base."""
    words = list(record.argv)
    for at, word in enumerate(words):
        if word == "--base-model" and at + 1 < len(words):
            words[at + 1] = base
        elif word.startswith("--base-model="):
            words[at] = f"--base-model={base}"
    return shlex.join(["preflight", *words])


def once_more(words: Sequence[str]) -> str:
    """The command of these words; one that names a hundred directories helps nobody."""
    command = shlex.join(["preflight", *words])
    return command if len(command) <= _LONG else say("the same command again")


def _same_again(record: RunRecord) -> str:
    """The command that was typed."""
    words = record.argv or (record.command, record.directory)
    return shlex.join(["preflight", *words])


def _not_repaired(record: RunRecord, rest: str) -> Answer:
    """A repair after which rules still fail."""
    done = record.repaired
    if done is not None and done.written:
        command = f"preflight check {done.target}"
        again = say("mend the rest there, then: {command}", command=command)
        rest = say("{sum}; made as --partial asks", sum=rest)
        return Answer(Tone.BAD, say("NOT READY"), rest, again)
    again = say("mend what is named above, then run the same command again")
    rest = say("{sum}; nothing was made", sum=rest)
    return Answer(Tone.BAD, say("NOT READY"), rest, again)


def _broken_off(record: RunRecord) -> Answer:
    """A push that ended in an error, before there was a job."""
    if record.uploaded is not None:
        rest = say("all was sent; no job was submitted")
        if record.uploaded.verified:
            rest = say("the upload is complete; no job was submitted")
        return Answer(Tone.BAD, say("NOT IMPORTED"), rest)
    if record.command != "push":
        return Answer(Tone.BAD, say("NOT FINISHED"), counted(record.report))
    if record.task is not None and record.exit_code == AnotherTaskFailed.exit_code:
        rest = say("the share of this task passed, another one did not")
        return Answer(Tone.BAD, say("NOT UPLOADED"), rest)
    sent = "upload" in record.stages and record.exit_code != RulesFailed.exit_code
    rest = say("the directory passed; nothing was sent")
    if sent:
        rest = say("the upload is not complete")
    return Answer(Tone.BAD, say("NOT UPLOADED"), rest)


def _ready(record: RunRecord) -> Answer:
    warned = record.report.verdict is Verdict.WARN
    rest, tone = counted(record.report), Tone.ODD if warned else Tone.GOOD
    if record.command == "fix" and record.dry_run:
        rest = say("it would be, but for the values; {sum}; nothing was made", sum=rest)
        return Answer(tone, say("READY"), rest)
    if record.dry_run:
        words = [each for each in record.argv if each not in ("-n", "--dry-run")]
        again = shlex.join(["preflight", *words]) if words else ""
        return Answer(tone, say("READY"), rest, again)
    if record.checked and record.checked.options.policy.select:
        rest = say("of the selected rules alone: {sum}", sum=rest)
        return Answer(tone, say("PASSED"), rest)
    return Answer(tone, say("READY"), rest, _push_command(record))


def _push_command(record: RunRecord) -> str:
    """What brings in what was checked, with the flags that it was checked with."""
    if record.checked is None:
        return ""
    options = record.checked.options
    location = options.source.location
    if location.url:
        words = ["preflight import", shlex.quote(location.url)]
    else:
        words = ["preflight push", shlex.quote(record.directory)]
        words.append(f"oss://BUCKET/models/{tidy_name(location)}-{{digest}}/")
    if options.request.base_model is not None:
        words.append(f"--base-model {shlex.quote(options.request.base_model)}")
    if options.request.weight_type is not None:
        words.append(f"--weight-type {options.request.weight_type.value}")
    return " ".join(words)


def _of_job(record: RunRecord, imported: Imported) -> Answer:
    job = imported.job
    if record.exit_code == 0 and job.succeeded:
        return _imported(record, imported)
    again = f"preflight wait {job.job_id}"
    rest = say("job {id}: {state}", id=job.job_id, state=job.told)
    if record.exit_code == 0:
        if job.model_name:
            rest = say("{told}, model {model}", told=rest, model=job.model_name)
        return Answer(Tone.GOOD, say("SUBMITTED"), rest, again)
    if job.failed:
        code = f" ({job.error_code})" if job.error_code else ""
        return Answer(Tone.BAD, say("IMPORT FAILED"), glued(rest, code))
    if record.exit_code == StillRunning.exit_code:
        return Answer(Tone.ODD, say("STILL RUNNING"), rest, again)
    codes = (Interrupted.exit_code, Terminated.exit_code)
    word = say("NOT FOLLOWED TO ITS END")
    word = say("INTERRUPTED") if record.exit_code in codes else word
    rest = say("job {id} was last {state}", id=job.job_id, state=job.told)
    return Answer(Tone.BAD, word, rest, again)


def _imported(record: RunRecord, imported: Imported) -> Answer:
    job, word = imported.job, say("IMPORTED")
    if imported.how is How.ALREADY_DONE:
        word = say("IMPORTED ALREADY")
    if record.sandbox:
        word = say("{word} (sandbox)", word=word)
    rest = say("model {model}", model=job.model_name)
    if job.display_name:
        rest = say('{told}, console name "{name}"', told=rest, name=job.display_name)
    return Answer(Tone.GOOD, word, rest)


def _failed(report: Report, severity: Severity) -> str:
    codes = [o.code for o in report.select(Result.FAILED) if o.severity is severity]
    text = say_n("{count} error", "{count} errors", count=len(codes))
    if severity is Severity.WARNING:
        text = say_n("{count} warning", "{count} warnings", count=len(codes))
    if not codes:
        return text
    named: str = " ".join(codes[:_CODES])
    if len(codes) > _CODES:
        named = say(
            "{named} and {count:,} more", named=named, count=len(codes) - _CODES
        )
    return glued(text, " (", named, ")")


def _others(report: Report) -> Iterator[str]:
    """How many rules ended otherwise than failed, where there are any."""
    passed = len(report.select(Result.PASSED))
    if passed or not report.select(Result.FAILED):
        if _has_failed(report):
            yield say("{count} passed", count=passed)
        else:
            yield say_n("{count} rule passed", "{count} rules passed", count=passed)
    for result in () if _has_failed(report) else Result:
        number = len(report.select(result))
        if number and result not in (Result.PASSED, Result.FAILED):
            yield say("{count} {result}", count=number, result=result.word)


def _has_failed(report: Report) -> bool:
    return bool(report.select(Result.FAILED))


def counted(report: Report) -> str:
    """The sum: `1 error (K01), 0 warnings, 49 passed`."""
    told = []
    if report.verdict is Verdict.FAIL:
        told = [_failed(report, Severity.ERROR), _failed(report, Severity.WARNING)]
    elif report.verdict is Verdict.WARN:
        told = [_failed(report, Severity.WARNING)]
    return joined(", ", [*told, *_others(report)])
