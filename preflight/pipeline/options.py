"""What a person asked of a check or a push."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from preflight.destination import Destination
from preflight.model.inspection import Request
from preflight.oss.access import CredentialsSource
from preflight.pipeline.importing import Waiting
from preflight.rules.policy import Policy
from preflight.upload.parts import TransferOptions


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check, against which base, by which rules, and whether to scan."""

    directory: Path
    request: Request
    scan: bool = True
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What to push where; `timeout` and `poll_interval` in seconds.

    `again`: import although a job succeeded; `replace`: write under a prefix that a
    model was imported from; `tag_bucket`: set the tag that an import needs. The
    destination may hold placeholders. `state`: where the lock against a second run on
    this machine is kept; `credentials` reads the keys of OSS anew when they ended.
    """

    check: CheckOptions
    destination: Destination
    display_name: str = ""
    wait: bool = True
    timeout: float = 3600.0
    poll_interval: float | None = None
    dry_run: bool = False
    again: bool = False
    replace: bool = False
    tag_bucket: bool = False
    base_config: bool = True
    transfer: TransferOptions = field(default_factory=TransferOptions)
    state: Path | None = None
    credentials: CredentialsSource | None = None

    @property
    def waiting(self) -> Waiting | None:
        """How to wait for the job; None with --no-wait."""
        return Waiting(self.timeout, self.poll_interval) if self.wait else None
