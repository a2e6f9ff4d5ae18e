"""What can go wrong, as types: the message says what, the hint says what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from preflight.language import glued, joined, say

if TYPE_CHECKING:
    from preflight.findings import Outcome

_NAMED = 5  # outcomes in the text of an error


class PreflightError(Exception):
    """preflight itself failed; every other class below is more specific.

    For programs: `code` names the kind, in words that stay; `what` happened and `fix`,
    what to do about it (may be empty), are for people; `request_id` is the service's,
    where one answered.
    """

    exit_code: ClassVar[int] = 3
    code: ClassVar[str] = "internal"

    def __init__(self, message: str, *, hint: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.request_id = request_id

    @property
    def what(self) -> str:
        """What happened, in a sentence."""
        return self.message

    @property
    def fix(self) -> str:
        """What to do about it; may be empty."""
        return self.hint


class UsageError(PreflightError):
    """The command line cannot be carried out as it was written."""

    code = "usage"
    exit_code = 2


class NotReady(UsageError):
    """A sound directory of which a push must be told more, such as its base."""

    code = "not-ready"


class ConfigurationError(PreflightError):
    """A setting from the environment or a file is missing or malformed."""

    code = "configuration"
    exit_code = 2


class RulesFailed(PreflightError):
    """The directory broke a rule; nothing was made visible in the bucket.

    `outcomes`: the rules of level error that failed; `what` names the first of them
    with the first problem of each, `fix` holds the remedy of each.
    """

    code = "rules-failed"
    exit_code = 1
    outcomes: tuple[Outcome, ...] = ()

    @property
    def what(self) -> str:
        """What happened, and which rules failed at what."""
        lines = [self.message, *map(_first_problem, self.outcomes[:_NAMED])]
        if len(self.outcomes) > _NAMED:
            lines.append(say("and {count:,} more", count=len(self.outcomes) - _NAMED))
        return joined("\n  ", lines)

    @property
    def fix(self) -> str:
        """The remedies of the rules that failed, each once."""
        fixes = dict.fromkeys(map(_first_fix, self.outcomes))
        return joined("\n", fixes) or self.hint

    def __str__(self) -> str:
        return self.what


def _first_problem(outcome: Outcome) -> str:
    told = [glued(one.where, ": ", one.message) for one in outcome.problems[:1]]
    return joined(" ", [outcome.code, outcome.name, *told])


def _first_fix(outcome: Outcome) -> str:
    return next((one.fix for one in outcome.problems if one.fix), outcome.fix)


class AnotherTaskFailed(PreflightError):
    """Another task of a shared push found what would not import."""

    code = "another-task-failed"
    exit_code = 1


class AccessDenied(PreflightError):
    """A key, token or permission was refused by OSS or Model Studio."""

    code = "access-denied"
    exit_code = 4


class TransferError(PreflightError):
    """Bytes did not reach OSS, or OSS answered with something else than success."""

    code = "transfer"
    exit_code = 5


class SourceChanged(TransferError):
    """A local file changed, shrank or vanished while it was read."""

    code = "source-changed"


class VerificationFailed(TransferError):
    """What lies in the bucket is not what was sent."""

    code = "verification-failed"


class ImportFailed(PreflightError):
    """Model Studio refused the import, or the job ended as failed."""

    code = "import-failed"
    exit_code = 6


class LivePrefix(ImportFailed):
    """The upload would invalidate a model that was imported from its prefix."""

    code = "live-prefix"


class ServiceUnavailable(ImportFailed):
    """Model Studio could not be reached, or did not answer in its own form."""

    code = "service-unavailable"


class AmbiguousAnswer(ServiceUnavailable):
    """The request may have been carried out: its answer was lost or unreadable."""

    code = "ambiguous-answer"


class StillRunning(PreflightError):
    """The job was not final when the time limit ran out."""

    code = "still-running"
    exit_code = 8


class Interrupted(PreflightError):
    """Ctrl-C: the work stopped and the same command goes on."""

    code = "interrupted"
    exit_code = 130


class Terminated(Interrupted):
    """SIGTERM, as schedulers send before they preempt a node, or SIGHUP."""

    code = "terminated"
    exit_code = 143
