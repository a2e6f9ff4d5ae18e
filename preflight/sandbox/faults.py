"""Faults as data: what shall go wrong, at which call, and how often.

A plan is a list of JSON objects. Keys that choose the calls:

    service      "oss" or "studio" (required)
    operation    "UploadPart", "CreateImportJob", ... as the routes name it, or "*"
    key          a glob on the object key, for example "*.safetensors" (optional)
    nth          the first matching call that fails, counted from 1 (default 1)
    times        how many calls from then on (default 1), or "always"
    for_seconds  instead of times: every match in so many seconds from the first one

and `action` with the keys that belong to it (a star: may be left out):

    status          status, code*, message*, headers*: an error instead of the call
    cut             at: "before" the call, "after" it (done, but the answer is lost),
                    or "body" with fraction*: after that share of the request's body
    wrong_crc       the answer's x-oss-hash-crc64ecma is not that of the bytes
    expire_token    the key or token of this call is expired from now on
    latency         seconds: wait before the call is handled
    bandwidth       bytes_per_second: request body and answer pass at that rate
    captive_portal  an HTML page with status 200 instead of the call
    truncate        fraction*: the call is done, its answer's body ends early

An unknown key or action is refused with a sentence when the plan is made. A token that
`expire_token` ended stays so: the client has to come with another one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any, Literal

ALWAYS: Literal["always"] = "always"


class Action(str, Enum):
    """What a fault does to the call that it hits."""

    STATUS = "status"
    CUT = "cut"
    WRONG_CRC = "wrong_crc"
    EXPIRE_TOKEN = "expire_token"
    LATENCY = "latency"
    BANDWIDTH = "bandwidth"
    CAPTIVE_PORTAL = "captive_portal"
    TRUNCATE = "truncate"


_REQUIRED: Mapping[Action, frozenset[str]] = {
    Action.STATUS: frozenset({"status"}),
    Action.CUT: frozenset({"at"}),
    Action.LATENCY: frozenset({"seconds"}),
    Action.BANDWIDTH: frozenset({"bytes_per_second"}),
}
_OPTIONAL: Mapping[Action, frozenset[str]] = {
    Action.STATUS: frozenset({"code", "message", "headers"}),
    Action.CUT: frozenset({"fraction"}),
    Action.TRUNCATE: frozenset({"fraction"}),
}
_CHOICE = frozenset(
    {"service", "operation", "key", "nth", "times", "for_seconds", "action"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One entry of a plan; the module's docstring is the manual of its fields.

    Raises ValueError for a value that makes no sense.
    """

    service: Literal["oss", "studio"]
    operation: str
    action: Action
    key: str = "*"
    nth: int = 1
    times: int | Literal["always"] = 1
    for_seconds: float | None = None
    status: int = 0
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    at: Literal["", "before", "body", "after"] = ""
    fraction: float = 0.5
    seconds: float = 0.0
    bytes_per_second: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "action", Action(self.action))
        problem = _problem(self)
        if problem:
            raise ValueError(f"fault on {self.service}:{self.operation}: {problem}")

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Fault:
        """The fault that a JSON object describes.

        Raises ValueError with a sentence that names the key at fault.
        """
        given = set(value)
        try:
            action = Action(value.get("action"))
        except ValueError:
            known = ", ".join(item.value for item in Action)
            text = f"fault action {value.get('action')!r} is unknown; known: {known}"
            raise ValueError(text) from None
        required = _REQUIRED.get(action, frozenset()) | {"service", "operation"}
        for name in sorted(given - _CHOICE - required - _OPTIONAL.get(action, set())):
            raise ValueError(f"fault key {name!r} does not belong to {action.value!r}")
        for name in sorted(required - given):
            raise ValueError(f"a fault with action {action.value!r} needs {name!r}")
        return cls(**{str(name): item for name, item in value.items()})

    def to_json(self) -> dict[str, Any]:
        """The JSON object that makes this fault again (defaults left out)."""
        out: dict[str, Any] = {}
        for item in fields(self):
            value = getattr(self, item.name)
            if item.name == "headers":
                value = dict(value)
            if value and value != item.default:
                out[item.name] = value.value if isinstance(value, Action) else value
        return out


def _is_int(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _is_number(value: object, least: float) -> bool:
    return (
        isinstance(value, (int, float))
        and not isinstance(value, bool)
        and value >= least
    )


def _problem(fault: Fault) -> str:
    """Why the fault makes no sense; empty if it does."""
    is_status = fault.action is Action.STATUS
    is_cut = fault.action is Action.CUT
    checks = (
        (fault.service in ("oss", "studio"), "service must be 'oss' or 'studio'"),
        (isinstance(fault.operation, str) and fault.operation, "no operation"),
        (isinstance(fault.key, str), "key must be a glob"),
        (_is_int(fault.nth, 1), "nth must be an integer >= 1"),
        (
            fault.times == ALWAYS or _is_int(fault.times, 1),
            "times must be an integer >= 1 or 'always'",
        ),
        (
            fault.for_seconds is None or _is_number(fault.for_seconds, 0),
            "for_seconds must be a number of seconds",
        ),
        (
            not is_status or (_is_int(fault.status, 100) and fault.status < 600),
            "status must be an HTTP status",
        ),
        (
            all(
                isinstance(item, str) for pair in fault.headers.items() for item in pair
            )
            if isinstance(fault.headers, Mapping)
            else False,
            "headers must map names to strings",
        ),
        (
            not is_cut or fault.at in ("before", "body", "after"),
            "at must be 'before', 'body' or 'after'",
        ),
        (
            _is_number(fault.fraction, 0) and fault.fraction <= 1,
            "fraction must be a number from 0 to 1",
        ),
        (_is_number(fault.seconds, 0), "seconds must be a number >= 0"),
        (
            fault.action is not Action.BANDWIDTH or _is_int(fault.bytes_per_second, 1),
            "bytes_per_second must be an integer >= 1",
        ),
    )
    return next((str(text) for good, text in checks if not good), "")


@dataclass(frozen=True, slots=True)
class Fired:
    """A fault that hit a call."""

    fault: Fault
    operation: str
    key: str
    at: float  # the plan's clock, in seconds


class FaultPlan:
    """The faults of a run, counted as calls come in; safe to use from many threads."""

    def __init__(
        self,
        faults: Iterable[Fault] = (),
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.clock = clock
        self.sleep = sleep
        self._faults = list(faults)
        self._matches: Counter[int] = Counter()
        self._started: dict[int, float] = {}
        self._fired: list[Fired] = []
        self._lock = threading.Lock()

    @classmethod
    def from_json(cls, value: Sequence[Mapping[str, Any]]) -> FaultPlan:
        """A plan from parsed JSON; raises ValueError naming what is wrong."""
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Sequence):
            raise ValueError("a fault plan is a JSON list of objects")
        for item in value:
            if not isinstance(item, Mapping):
                raise ValueError(f"a fault is a JSON object, not {item!r}")
        return cls(Fault.from_json(item) for item in value)

    def add(self, fault: Fault) -> None:
        """One more fault; its matches are counted from now."""
        with self._lock:
            self._faults.append(fault)

    def clear(self) -> None:
        """No faults, no counts and nothing fired."""
        with self._lock:
            self._faults.clear()
            self._matches.clear()
            self._started.clear()
            self._fired.clear()

    @property
    def fired(self) -> tuple[Fired, ...]:
        """What hit which call so far, in order."""
        with self._lock:
            return tuple(self._fired)

    def due(self, service: str, operation: str, key: str = "") -> tuple[Fault, ...]:
        """The faults that hit this call; counts it as a match of each."""
        now = self.clock()
        with self._lock:
            hit = tuple(
                fault
                for index, fault in enumerate(self._faults)
                if fault.service == service
                and fault.operation in ("*", operation)
                and fnmatchcase(key, fault.key)
                and self._counts(index, fault, now)
            )
            self._fired += [Fired(fault, operation, key, now) for fault in hit]
        return hit

    def _counts(self, index: int, fault: Fault, now: float) -> bool:
        self._matches[index] += 1
        past = self._matches[index] - fault.nth
        if past < 0:
            return False
        if fault.for_seconds is not None:
            start = self._started.setdefault(index, now)
            return now - start < fault.for_seconds
        return fault.times == ALWAYS or past < fault.times
