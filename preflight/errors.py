"""What can go wrong, as types: the message says what, the hint says what to do."""

from __future__ import annotations


class PreflightError(Exception):
    """preflight itself failed; every other class below is more specific."""

    exit_code = 3

    def __init__(self, message: str, *, hint: str = "", request_id: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.request_id = request_id


class UsageError(PreflightError):
    """The command line cannot be carried out as it was written."""

    exit_code = 2


class NotReady(UsageError):
    """A sound directory of which a push must be told more, such as its base."""


class ConfigurationError(PreflightError):
    """A setting from the environment or a file is missing or malformed."""

    exit_code = 2


class RulesFailed(PreflightError):
    """The directory broke a rule; nothing was made visible in the bucket."""

    exit_code = 1


class AccessDenied(PreflightError):
    """A key, token or permission was refused by OSS or Model Studio."""

    exit_code = 4


class TransferError(PreflightError):
    """Bytes did not reach OSS, or OSS answered with something else than success."""

    exit_code = 5


class SourceChanged(TransferError):
    """A local file changed, shrank or vanished while it was read."""


class VerificationFailed(TransferError):
    """What lies in the bucket is not what was sent."""


class ImportFailed(PreflightError):
    """Model Studio refused the import, or the job ended as failed."""

    exit_code = 6


class LivePrefix(ImportFailed):
    """The upload would invalidate a model that was imported from its prefix."""


class ServiceUnavailable(ImportFailed):
    """Model Studio could not be reached, or did not answer in its own form."""


class AmbiguousAnswer(ServiceUnavailable):
    """The request may have been carried out: its answer was lost or unreadable."""


class StillRunning(PreflightError):
    """The job was not final when the time limit ran out."""

    exit_code = 8


class Interrupted(PreflightError):
    """Ctrl-C: the work stopped and the same command goes on."""

    exit_code = 130


class Terminated(Interrupted):
    """SIGTERM, as schedulers send before they preempt a node, or SIGHUP."""

    exit_code = 143
