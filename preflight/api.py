"""preflight for programs: the calls that the command line is one user of.

Nothing here prints, logs to a handler of its own, touches signals, reads the command
line or ends the process. All calls may be made from several threads at once, within a
running event loop (which they block) and in notebooks: Ctrl-C raises
`KeyboardInterrupt`, what was sent stays, and the same call goes on with it.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

from preflight.destination import DestinationTemplate
from preflight.directories import home_directory, state_directory
from preflight.errors import PreflightError, UsageError
from preflight.findings import Outcome, Result, Severity, Verdict, WeightType
from preflight.language import say
from preflight.model.base_choice import Request
from preflight.model.source import ModelSource
from preflight.observer import Observer
from preflight.pipeline import checked as stages
from preflight.pipeline.options import TIMEOUT, CheckOptions, PushOptions, Waiting
from preflight.pipeline.places import local_source, opened_place
from preflight.pipeline.push import push as run_push
from preflight.pipeline.services import bucket_access
from preflight.progress import Progress
from preflight.record import Gatherer, RunRecord
from preflight.report import render
from preflight.report.document import as_document
from preflight.report.notebook import as_notebook
from preflight.rules import RULES
from preflight.rules.policy import make_policy
from preflight.settings import Need, Settings, load_settings, with_role_keys
from preflight.studio.deployment import DeploymentCall, deployment_call
from preflight.studio.jobs import ImportJob
from preflight.tasks import chosen_task
from preflight.upload.parts import TransferOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack  # only annotations need it

    from preflight.repair.draft import Losses  # loaded only where there is one

__all__ = ["CheckReport", "Progressed", "PushResult", "check", "push"]

# As libraries do: without it what we log would appear on standard error by itself.
logging.getLogger("preflight").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True)
class Progressed:
    """How far a stage is: `done` of `total` bytes; `stage` such as `uploading`."""

    stage: str
    done: int
    total: int


OnProgress = Callable[[Progressed], None]
"""Called from the threads that send, some hundred times an upload."""


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What the rules said of a directory."""

    record: RunRecord = field(repr=False)

    @property
    def verdict(self) -> Verdict:
        """`FAIL` when an error-level rule failed, `WARN` when only warnings did."""
        return self.record.report.verdict

    @property
    def ok(self) -> bool:
        """Whether the model would import: no rule of level error failed."""
        return self.verdict is not Verdict.FAIL

    @property
    def errors(self) -> tuple[Outcome, ...]:
        """The rules of level error that failed."""
        return self._failed(Severity.ERROR)

    @property
    def warnings(self) -> tuple[Outcome, ...]:
        """The rules of level warning that failed."""
        return self._failed(Severity.WARNING)

    def _failed(self, severity: Severity) -> tuple[Outcome, ...]:
        failed = self.record.report.select(Result.FAILED)
        return tuple(each for each in failed if each.severity is severity)

    def raise_for_errors(self) -> None:
        """Raise `RulesFailed` unless `ok`."""
        if self.record.checked is not None:
            stages.require_passed(self.record.checked)

    def to_dict(self) -> dict[str, Any]:
        """The document that `preflight check --format json` prints."""
        return as_document(self.record)

    def __str__(self) -> str:
        return render(self.record, "text").rstrip()

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return as_notebook(self.record)


@dataclass(frozen=True, slots=True)
class PushResult:
    """What a push came to."""

    record: RunRecord = field(repr=False)

    @property
    def report(self) -> CheckReport:
        """What the rules said."""
        return CheckReport(self.record)

    @property
    def destination(self) -> str:
        """`oss://bucket/prefix/`, its placeholders filled in."""
        planned = self.record.planned
        return planned.plan.destination.url if planned else ""

    @property
    def job(self) -> ImportJob | None:
        """The import job; None for a dry run."""
        return self.record.imported.job if self.record.imported else None

    @property
    def model_name(self) -> str:
        """The name to deploy the model by; empty for a dry run."""
        return self.job.model_name if self.job else ""

    def deployment_call(self, *, name: str = "", suffix: str = "") -> DeploymentCall:
        """The call that deploys the model, with every field; preflight never makes it.

        `name`: how the console shows the deployment, by default the model's name
        there; `suffix` tells a second deployment of one model from the first. Raises
        `UsageError` unless a model was imported.
        """
        if self.job is None or not self.job.succeeded:
            raise UsageError(say("no model was imported that could be deployed"))
        return deployment_call(
            self.model_name,
            self.record.weight_type,
            name=name or self.job.display_name,
            suffix=suffix,
            service=self.record.service,
        )

    def to_dict(self) -> dict[str, Any]:
        """The document that `preflight push --format json` prints."""
        return as_document(self.record)

    def __str__(self) -> str:
        return render(self.record, "text").rstrip()

    def _repr_html_(self) -> str:
        """How a notebook shows it."""
        return as_notebook(self.record)


class CheckFlags(TypedDict, total=False):
    """How to judge a directory: the flags that `check` and `push` share.

    `base_model`: an API code or hub id; by default what the directory names.
    `base_dir`: a copy of the base to compare with; `base_from_hub`: fetch one. `scan`:
    whether to look at values; by default those of a directory are looked at, and those
    of a bucket are not. `ignore`: `CODE=reason`; `strict`: warnings count.
    `measure`: compare full weights with a base at hand, for the map of the HTML page.
    """

    base_model: str | None
    weight_type: WeightType | str | None
    base_dir: str | Path | None
    base_from_hub: bool
    scan: bool | None
    ignore: Iterable[str]
    strict: bool
    measure: bool


def check(
    directory: str | Path,
    *,
    select: Iterable[str] = (),
    observer: Observer | None = None,
    settings: Callable[[], Settings] | None = None,
    **flags: Unpack[CheckFlags],
) -> CheckReport:
    """Judge a model; a rule that fails raises nothing, see `CheckReport`.

    `directory` is a path, or `oss://bucket/prefix/` of a model that lies there already;
    keys and region for that come from the environment and the usual files, or from
    `settings`. `select`: only these rules or families. Raises `UsageError` when there
    is no such place and for arguments that cannot be carried out; for a bucket also
    `ConfigurationError`, `AccessDenied` and `TransferError`.
    """
    record = RunRecord("check", str(directory))
    watching = observer or Gatherer(record)
    read, scan = settings or settings_reader((Need.OSS,)), bool(flags.get("scan"))
    with (
        explained(),
        opened_place(directory, read, watching, scan=scan) as source,
    ):
        record.take(stages.check(check_options(source, flags, select), watching))
    return CheckReport(record)


def push(
    directory: str | Path,
    destination: str,
    *,
    display_name: str = "",
    wait: bool = True,
    timeout: float = TIMEOUT,
    poll_interval: float | None = None,
    dry_run: bool = False,
    again: bool = False,
    replace: bool = False,
    tag_bucket: bool = False,
    base_config: bool = True,
    imports: bool = True,
    transfer: TransferOptions | None = None,
    fix: bool | Losses = False,
    share: bool | str = False,
    settings: Callable[[], Settings] | None = None,
    on_progress: OnProgress | None = None,
    observer: Observer | None = None,
    **flags: Unpack[CheckFlags],
) -> PushResult:
    """Check, upload, submit and wait; a second call goes on where the first ended.

    The arguments are the flags of `preflight push`; keys and region come from the
    environment and the usual files, or from `settings`, which is asked again when the
    keys end. `timeout` and `poll_interval` in seconds. `fix` repairs on the way what
    can be repaired without loss, or with the losses that are named: the directory
    stays as it is. `share`: this is one of several tasks that push one model, as srun,
    torchrun or mpirun say, or the text `0/2`; all but task 0 return without a job.
    Raises `RulesFailed` and `AnotherTaskFailed` before anything became visible,
    `LivePrefix`, `AccessDenied`, `TransferError`, `ImportFailed`, `StillRunning`,
    `ConfigurationError` and `UsageError`.
    """
    read = settings or settings_reader(() if dry_run else tuple(Need))
    options = PushOptions(
        check_options(directory, flags),
        DestinationTemplate.parse(destination),
        display_name=display_name,
        waiting=Waiting(timeout, poll_interval) if wait else None,
        dry_run=dry_run,
        again=again,
        replace=replace,
        tag_bucket=tag_bucket,
        base_config=base_config,
        imports=imports,
        transfer=transfer or TransferOptions(),
        state=state_directory(),
        credentials=lambda: bucket_access(read()).keys,
        task=chosen_task(share, os.environ),
    )
    record = RunRecord("push", str(directory), dry_run=dry_run)
    with explained():
        found, watching = read(), observer or _Called(record, on_progress)
        record.service = found.base_url.value
        with _repaired(options, fix, watching) as ready:
            pushed = run_push(ready, found, watching)
    for value in filter(None, (getattr(pushed, one.name) for one in fields(pushed))):
        record.take(value)
    return PushResult(record)


@contextmanager
def _repaired(
    options: PushOptions, fix: bool | Losses, observer: Observer
) -> Iterator[PushOptions]:
    """What to push: the directory, or what is made of it for as long as that takes."""
    if not fix:
        yield options
        return
    from preflight.repair.draft import Losses
    from preflight.repair.on_the_way import repaired_on_the_way

    losses = fix if isinstance(fix, Losses) else Losses()
    with repaired_on_the_way(options, losses, observer) as ready:
        yield ready


def check_options(
    place: ModelSource | str | Path, flags: CheckFlags, select: Iterable[str] = ()
) -> CheckOptions:
    """What to check and how, as the pipeline takes it.

    Raises `UsageError` for arguments that cannot be carried out.
    """
    source = local_source(place) if isinstance(place, (str, Path)) else place
    kind, base_dir = flags.get("weight_type"), flags.get("base_dir")
    request = Request(
        WeightType(kind) if kind else None,
        flags.get("base_model"),
        Path(base_dir) if base_dir is not None else None,
        base_from_hub=flags.get("base_from_hub", False),
    )
    policy = make_policy(
        RULES,
        select=select,
        ignore=flags.get("ignore", ()),
        strict=flags.get("strict", False),
    )
    scan, measure = flags.get("scan"), flags.get("measure", False)
    if scan is None:
        scan = not source.location.url
    return CheckOptions(source, request, scan, policy, measure)


def settings_reader(
    needs: Iterable[Need], environ: Mapping[str, str] | None = None
) -> Callable[[], Settings]:
    """Reads the settings anew each time, temporary keys of a role included.

    `environ` instead of the process's own. The reader raises `ConfigurationError` when
    a role has no keys to give.
    """

    def read() -> Settings:
        env = dict(os.environ) if environ is None else environ
        home = home_directory()
        found = load_settings(env, home=home)
        return with_role_keys(found, env, home=home) if Need.OSS in needs else found

    return read


@contextmanager
def explained() -> Iterator[None]:
    """What the block raises is one of our errors, and its traceback says what to do.

    An `OSError` of a file, such as one that nobody may read, becomes a `UsageError`.
    """
    try:
        yield
    except PreflightError as error:
        if error.fix and hasattr(error, "add_note"):  # Python 3.11
            error.add_note(say("fix: {fix}", fix=error.fix))
        raise
    except OSError as exc:
        if exc.filename is None:
            raise
        reason = exc.strerror or type(exc).__name__
        raise UsageError(f"{exc.filename}: {reason}") from exc


class _CallbackProgress(Progress):
    """Hands what is done to a function."""

    def __init__(self, call: OnProgress) -> None:
        self._call, self._lock = call, threading.Lock()
        self._stage, self._done, self._total = "", 0, 0

    def start(self, total: int, label: str) -> None:
        """A stage begins with nothing done."""
        with self._lock:
            self._stage, self._done, self._total = label, 0, total
            told = Progressed(label, 0, total)
        self._call(told)

    def advance(self, count: int) -> None:
        """More of it is done."""
        with self._lock:
            self._done += count
            told = Progressed(self._stage, self._done, self._total)
        self._call(told)

    def finish(self) -> None:
        """The last call told of it."""


class _Called(Gatherer):
    """Gathers, and tells a function how far it is."""

    def __init__(self, record: RunRecord, call: OnProgress | None) -> None:
        super().__init__(record)
        self._call = call

    def progress(self) -> Progress:
        """What calls the function, if there is one."""
        return _CallbackProgress(self._call) if self._call else super().progress()
