"""An import as values: what is asked for, and the job that the service tells of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from enum import Enum
from typing import Any

from preflight.catalog.service import DISPLAY_NAME_LIMIT
from preflight.errors import UsageError
from preflight.findings import WeightType
from preflight.language import known, say
from preflight.studio.models import clean

# The documented states are PENDING, RUNNING, SUCCESSED and FAILED (Model Studio docs,
# "Get import job details"); one page spells it SUCCEEDED. The others here are usual
# names of the vendor's job APIs, so that a new one is not misread.
_SUCCEEDED = "SUCCE"
_GOING = {"PENDING", "RUNNING", "QUEUED", "CREATED", "SUBMITTED"}
_OVER = {
    "FAILED",
    "ABORTED",
    "CANCELED",
    "CANCELLED",
    "DELETED",
    "EXPIRED",
    "INVALID",
    "STOPPED",
    "TERMINATED",
    "TIMEOUT",
}
# An import takes minutes, of the largest models maybe an hour. A state that is unknown
# here is taken for one that goes on no longer than this, so that no prefix is blocked
# for ever; and for so long, so that no job is made twice.
UNKNOWN_LASTS = timedelta(hours=6)


class State(Enum):
    """What a job's status means; `UNKNOWN` may be anything but success."""

    GOING = "going"
    SUCCEEDED = "succeeded"
    OVER = "over"
    UNKNOWN = "unknown"


# The words of the service, as `ImportJob.told` says them.
_TOLD = (
    say("canceled"),
    say("deleted"),
    say("failed"),
    say("pending"),
    say("running"),
    say("succeeded"),
)


def read_state(status: str) -> State:
    """What a status means, however it is spelt."""
    name = status.upper()
    if name.startswith(_SUCCEEDED):
        return State.SUCCEEDED
    if name in _OVER:
        return State.OVER
    if name in _GOING or name.endswith("ING"):  # STARTING, CANCELLING
        return State.GOING
    return State.UNKNOWN


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What Create asks for; an empty `display_name` leaves it to the service.

    `prefix` ends in `/`. Raises `UsageError` for what the service would refuse.
    """

    model_name: str
    display_name: str
    weight_type: WeightType
    bucket: str
    prefix: str

    def __post_init__(self) -> None:
        if not self.model_name or not self.bucket:
            raise UsageError(say("an import needs a base model's name and a bucket"))
        length = len(self.display_name)
        if length > DISPLAY_NAME_LIMIT:
            raise UsageError(
                say(
                    "the display name has {length} characters, at most "
                    "{display_name_limit} are accepted",
                    length=length,
                    display_name_limit=DISPLAY_NAME_LIMIT,
                ),
                hint=say("give a shorter one with --display-name"),
            )
        if not self.display_name.isprintable():
            raise UsageError(
                say("the display name has characters that cannot be printed")
            )
        if (
            not self.prefix.strip("/")
            or self.prefix[0] == "/"
            or self.prefix[-1] != "/"
        ):
            raise UsageError(
                say(
                    "not a prefix that can be imported: {prefix!r}", prefix=self.prefix
                ),
                hint=say(
                    "write oss://bucket/prefix/; a bucket's root cannot be imported"
                ),
            )

    def form(self) -> dict[str, Any]:
        """The body of Create."""
        named = {"display_name": self.display_name} if self.display_name else {}
        return {
            "model_name": self.model_name,
            **named,
            "source": "oss",
            "weight_type": self.weight_type.value,
            "storage_info": {"bucket_name": self.bucket, "object_key": self.prefix},
        }


@dataclass(frozen=True, slots=True)
class ImportJob:
    """One import job as the service told it; what it left out is empty or None.

    `model_name` is the system-generated one, which deploying asks for. `status` is
    as it came.
    """

    job_id: str
    model_name: str = ""
    display_name: str = ""
    status: str = ""
    bucket: str = ""
    prefix: str = ""
    weight_type: WeightType | None = None
    error_code: str = ""
    created: datetime | None = None
    request_id: str = ""

    @property
    def state(self) -> State:
        """What the status means."""
        return read_state(self.status)

    @property
    def word(self) -> str:
        """The status as people and programs may rely on: the service has two words.

        `succeeded`, whether it was spelt SUCCESSED or SUCCEEDED; others in lower case.
        """
        return "succeeded" if self.succeeded else self.status.lower()

    @property
    def told(self) -> str:
        """The status for people."""
        return known(self.word)

    @property
    def succeeded(self) -> bool:
        """Whether the model is imported and can be deployed."""
        return self.state is State.SUCCEEDED

    @property
    def failed(self) -> bool:
        """Whether the job ended without a model."""
        return self.state is State.OVER

    @property
    def finished(self) -> bool:
        """Whether the status will not change any more."""
        return self.succeeded or self.failed

    @property
    def live(self) -> bool:
        """Whether the job waits or runs, as far as the status is known."""
        return self.state is State.GOING

    def may_go_on(self, now: datetime) -> bool:
        """Whether the job may still make a model; `now` is by the service's clock.

        One in an unknown state may for `UNKNOWN_LASTS` after it was created.
        """
        if self.state is not State.UNKNOWN:
            return self.live
        return self.created is not None and now - self.created < UNKNOWN_LASTS

    def is_of(self, base: str, known: Iterable[str]) -> bool:
        """Whether the model's system-generated name is that of a base, then a suffix.

        Of all `known` codes the longest decides: `qwen3-4b` begins the names of
        `qwen3-4b-instruct-2507`, too. A job without a name may be of any base.
        """
        name = self.model_name.lower()
        codes = {code.lower() for code in (base, *known)}
        fit = [code for code in codes if name == code or name.startswith(f"{code}-")]
        return not name or max(fit, key=len, default="") == base.lower()

    @property
    def source(self) -> str:
        """`oss://bucket/prefix/` of its files; empty where the service did not say."""
        return f"oss://{self.bucket}/{self.prefix}" if self.bucket else ""

    def is_from(self, bucket: str, prefix: str) -> bool:
        """Whether its files are those under `prefix` of `bucket`."""
        return self.bucket == bucket and self.prefix.strip("/") == prefix.strip("/")


def read_job(form: object, request_id: str) -> ImportJob | None:
    """A job from its JSON form; None when it has no id. Unknown fields are let be."""
    if not isinstance(form, Mapping) or not _text(form, "job_id"):
        return None
    place = form.get("storage_info")
    place = place if isinstance(place, Mapping) else {}
    weight_type = _text(form, "weight_type").lower()
    known = weight_type in {kind.value for kind in WeightType}
    return ImportJob(
        job_id=_text(form, "job_id"),
        model_name=_text(form, "model_name"),
        display_name=clean(_text(form, "display_name")),
        status=clean(_text(form, "status")),
        bucket=_text(place, "bucket_name"),
        prefix=_text(place, "object_key"),
        weight_type=WeightType(weight_type) if known else None,
        error_code=clean(_text(form, "error_code")),
        created=_moment(_text(form, "gmt_create")),
        request_id=request_id,
    )


def _text(form: Mapping[str, Any], name: str) -> str:
    value = form.get(name)
    return "" if value is None else str(value)


def read_number(value: object, otherwise: int) -> int:
    """A whole number as the service writes it, maybe as a string."""
    try:
        return int(str(value))
    except ValueError:
        return otherwise


def _moment(text: str) -> datetime | None:
    """ISO 8601 with or without a zone (then UTC); None when it is something else."""
    spelled = re.sub(r"Z$", "+00:00", text)
    spelled = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", spelled)
    try:
        moment = datetime.fromisoformat(spelled)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)
