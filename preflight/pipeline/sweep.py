"""Several directories in one run: all are checked, then sent; see also `awaited`.

Each goes the way of a push of its own, with its own lock, connections and end: what is
wrong with one of them is no matter of the others. So a sweep that was killed is gone on
with as a push is, directory by directory, whichever of them it is given again.

Only what all would meet ends a sweep: a key that is refused, a service that cannot be
reached.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Protocol

from preflight.catalog.service import DISPLAY_NAME_LIMIT
from preflight.errors import (
    AccessDenied,
    ConfigurationError,
    ServiceUnavailable,
)
from preflight.observer import Observer
from preflight.oss.errors import OssUnavailable
from preflight.pipeline.lanes import Stoppable, in_lanes
from preflight.pipeline.options import PushOptions
from preflight.pipeline.push import Pushed, brought, opened, prepared
from preflight.settings import Settings
from preflight.studio.imports import ImportJob

# Of small models most of the time is waiting for answers; a large one fills the link.
_AT_ONCE, _SMALL = 4, 500_000_000  # bytes
_MET_BY_ALL = (AccessDenied, ConfigurationError, ServiceUnavailable, OssUnavailable)


class Follower(Observer, Protocol):
    """Follows one directory to its end."""

    def ended(self, error: BaseException | None) -> None:
        """It is over; without an `error` all that was asked for is done."""


@dataclass(slots=True)
class Leg:
    """One directory on its way: `opening` gives what to push for as long as it lasts.

    `pushed` is how far it came.
    """

    opening: AbstractContextManager[PushOptions]
    follower: Follower
    options: PushOptions | None = None
    pushed: Pushed | None = None
    over: bool = False
    _open: ExitStack = field(default_factory=ExitStack)

    def begin(self) -> PushOptions:
        """What to push."""
        self.options = self._open.enter_context(self.opening)
        return self.options

    def end(self, error: BaseException | None = None) -> None:
        """It is over."""
        self.over = True
        self.close()
        self.follower.ended(error)

    def close(self) -> None:
        """Leave what was opened for it, such as a repaired copy; done once."""
        self._open.close()

    @property
    def size(self) -> int:
        """Bytes to bring."""
        return self.pushed.planned.plan.total_bytes if self.pushed else 0

    @property
    def job(self) -> ImportJob | None:
        """Its import job, once there is one."""
        imported = self.pushed.imported if self.pushed else None
        return imported.job if imported else None

    @property
    def url(self) -> str:
        """Where to."""
        return self.pushed.planned.plan.destination.url if self.pushed else ""


def check_all(legs: Sequence[Leg]) -> None:
    """Check and plan each; those that fail are over."""
    # All before the first byte goes up: a mistake in the last directory is told at
    # once.
    for leg in legs:
        with its_own(leg):
            leg.pushed = _slim(prepared(leg.begin(), leg.follower))
            leg.follower.reached(leg.pushed.checked)
    _name_apart(going(legs))


def going(legs: Sequence[Leg]) -> list[Leg]:
    """Those that are not over."""
    return [leg for leg in legs if not leg.over]


def send_all(
    legs: Sequence[Leg], settings: Settings, stop: threading.Event | None = None
) -> None:
    """Upload and submit each; whose job goes on is not over, and is waited for.

    `stop` is set when it is broken off: nothing begins then, and what is under way
    ends.
    """
    over = stop or threading.Event()
    sending = _Sending(settings, over)
    together, alone = _by_prefix(going(legs)), list[list[Leg]]()
    lanes = _lanes(going(legs))
    if lanes > 1:
        alone = [group for group in together if group[0].size > _SMALL]
        together = [group for group in together if group not in alone]
    # The small ones first: their imports run while the large ones go up.
    for groups, most in ((together, lanes), (alone, 1)):
        in_lanes([sending.task(group) for group in groups], most, over)
    # What stopped one for a reason of all would stop each of them in the same way.
    if sending.met_by_all is not None:
        for leg in going(legs):
            if leg.job is None:
                leg.end(sending.met_by_all)


def _lanes(legs: Sequence[Leg]) -> int:
    """How many at a time; a limit of the bytes a second holds for all together."""
    options = next((leg.options for leg in legs), None)
    # What was asked for holds for the whole command, so that lanes cannot multiply it.
    if options is None or options.transfer.bandwidth or options.transfer.workers:
        return 1
    return _AT_ONCE


@contextmanager
def its_own(leg: Leg) -> Iterator[None]:
    """What goes wrong in the block is the end of this leg alone."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - told as what ended this directory
        leg.end(error)


def _slim(pushed: Pushed) -> Pushed:
    """Without what only the rules of names and texts needed: it is most of the memory.

    The rules of values, which come with the bytes, read none of it.
    """
    checked = pushed.checked
    return replace(
        pushed, checked=replace(checked, found=replace(checked.found, vocabularies={}))
    )


def _name_apart(legs: Sequence[Leg]) -> None:
    """Models that the console would call alike are called as their prefixes are."""
    names: dict[str, set[str]] = {}
    for leg in legs:
        if leg.pushed is not None:
            named = leg.pushed.planned.request.display_name
            names.setdefault(named, set()).add(leg.url)
    for leg in legs:
        if leg.pushed is None:
            continue
        planned = leg.pushed.planned
        if len(names[planned.request.display_name]) > 1:
            # Its end, if it is too long: prefixes differ there.
            last = leg.url.rstrip("/").rpartition("/")[2][-DISPLAY_NAME_LIMIT:]
            request = replace(planned.request, display_name=last)
            leg.pushed = replace(leg.pushed, planned=replace(planned, request=request))
            leg.follower.reached(leg.pushed.planned)


def _by_prefix(legs: Sequence[Leg]) -> list[list[Leg]]:
    """Copies of one model, which `{digest}` sends to one prefix, go one after another.

    The first brings it, and the others find it there.
    """
    groups: dict[str, list[Leg]] = {}
    for leg in legs:
        groups.setdefault(leg.url, []).append(leg)
    return list(groups.values())


class _Sending:
    """What the uploads of a sweep share."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings, self._stop = settings, stop
        self._lock = threading.Lock()
        self.met_by_all: Exception | None = None

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """The turn to submit.

        The service limits how often it may be asked: one submits at a time, and while
        it is made to wait, the others wait with it. What it waited for in vain, nobody
        after it waits for again.
        """
        with self._lock:
            if self.met_by_all is not None:
                raise self.met_by_all
            try:
                yield
            except _MET_BY_ALL as error:
                self.met_by_all = self.met_by_all or error
                raise

    def task(self, legs: Sequence[Leg]) -> _Task:
        """The uploads to one prefix, for a lane."""
        return _Task(self, legs)

    def send(self, leg: Leg) -> None:
        """One upload, and its job."""
        if self.met_by_all is not None or leg.pushed is None or leg.options is None:
            return
        options, ready = leg.options, leg.pushed
        observer = Stoppable(leg.follower, self._stop)
        try:
            with opened(options, ready.planned, self._settings, observer) as services:
                leg.pushed = brought(options, ready, services, observer, self._turn())
        except Exception as error:  # noqa: BLE001 - told as what ended this directory
            if isinstance(error, _MET_BY_ALL):
                self.met_by_all = self.met_by_all or error
            leg.end(error)
            return
        # A leg whose job goes on stays open: all jobs are waited for together.
        job = leg.job
        if job is None or job.finished or options.waiting is None:
            leg.end()


@dataclass(frozen=True, slots=True)
class _Task:
    """The legs of one prefix, one after the other."""

    sending: _Sending
    legs: Sequence[Leg]

    def __call__(self) -> None:
        for leg in self.legs:
            self.sending.send(leg)
