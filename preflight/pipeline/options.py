"""What a person asked of a check, a push or an import."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from preflight.destination import Destination, DestinationTemplate
from preflight.findings import Unavailable, WeightType
from preflight.model.base_choice import Request
from preflight.model.source import ModelSource
from preflight.oss.access import CredentialsSource
from preflight.rules.policy import Policy
from preflight.tasks import Task
from preflight.upload.parts import TransferOptions

TIMEOUT = 7200.0  # seconds


@dataclass(frozen=True, slots=True)
class CheckOptions:
    """What to check, against which base, by which rules, and whether to scan.

    `measure`: compare full weights with the base while they are scanned, which reads
    the base as well; an adapter is measured by itself.
    """

    source: ModelSource
    request: Request = field(default_factory=Request)
    scan: bool = True
    policy: Policy = field(default_factory=Policy)
    measure: bool = False


@dataclass(frozen=True, slots=True)
class Waiting:
    """How long to wait for a job, and how often to look, both in seconds."""

    timeout: float = TIMEOUT
    interval: float | None = None


@dataclass(frozen=True, slots=True)
class PushOptions:
    """What to push where.

    `waiting` None submits and returns; `again`: import although a job succeeded;
    `replace`: write under a prefix that a model was imported from; `tag_bucket`: set
    the tag that an import needs. `state`: where the lock against a second run on this
    machine is kept; `credentials` reads the keys of OSS anew when they ended. Without
    `imports` the push ends when all is uploaded and verified. `judge_first`: read all
    values before anything is sent, not while it is. `task`: which of several tasks
    this is that push one model together; None: it is alone.
    """

    check: CheckOptions
    destination: DestinationTemplate
    display_name: str = ""
    waiting: Waiting | None = field(default_factory=Waiting)
    dry_run: bool = False
    again: bool = False
    replace: bool = False
    tag_bucket: bool = False
    base_config: bool = True
    imports: bool = True
    transfer: TransferOptions = field(default_factory=TransferOptions)
    state: Path | Unavailable | None = None
    credentials: CredentialsSource | None = None
    judge_first: bool = False
    task: Task | None = None


@dataclass(frozen=True, slots=True)
class ImportOptions:
    """What already lies in a bucket and is to be imported, onto which base.

    Without a `weight_type` it is told by the names of the files, without a
    `base_model` by what they say. `check`: judge the files first, by `policy`, with
    `scan` the values, too. `base_config`: add the base's config.json where there is
    none.
    """

    destination: Destination
    base_model: str | None = None
    weight_type: WeightType | None = None
    display_name: str = ""
    waiting: Waiting | None = field(default_factory=Waiting)
    again: bool = False
    check: bool = True
    scan: bool = False
    base_config: bool = False
    policy: Policy = field(default_factory=Policy)
