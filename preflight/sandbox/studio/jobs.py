"""An import job as the API shows it, and as it is kept between two runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from enum import Enum
from typing import Any

from preflight.findings import WeightType

__all__ = ["Job", "Source", "Status", "WeightType"]


class Status(str, Enum):
    """The states of a job; the success is spelt as the service spells it."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCESSED"
    FAILED = "FAILED"

    @property
    def is_final(self) -> bool:
        """Whether the job stays so."""
        return self in (Status.SUCCEEDED, Status.FAILED)


@dataclass(frozen=True, slots=True)
class Source:
    """Where the files lie; `prefix` ends in a slash."""

    bucket: str
    prefix: str


@dataclass(frozen=True, slots=True)
class Job:
    """One job. `created` is in seconds since the epoch.

    `seen`: a poller was shown the present status, so the next one may come.
    """

    id: str
    base: str
    model_name: str
    display_name: str
    source: Source
    weight_type: WeightType
    created: float
    status: Status = Status.PENDING
    error_code: str = ""
    seen: bool = False

    def output(self, success_spelling: str) -> dict[str, Any]:
        """The answer of get, list and delete, which lacks the weight type."""
        success = self.status is Status.SUCCEEDED
        shown: dict[str, Any] = {
            "job_id": self.id,
            "model_name": self.model_name,
            "display_name": self.display_name,
            "source": "OSS",
            "storage_info": {
                "bucket_name": self.source.bucket,
                "object_key": self.source.prefix,
            },
            "status": success_spelling if success else self.status.value,
            "gmt_create": iso(self.created),
        }
        return shown | ({"error_code": self.error_code} if self.error_code else {})

    def record(self) -> dict[str, Any]:
        """The job as JSON values; `from_record` reads it back."""
        return asdict(self)

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Job:
        """The job that `record` made."""
        values = dict(record)
        values["source"] = Source(**values["source"])
        values["weight_type"] = WeightType(values["weight_type"])
        values["status"] = Status(values["status"])
        return cls(**values)


def iso(moment: float) -> str:
    """Seconds since the epoch as `2024-01-01T12:00:00.000+00:00`."""
    when = datetime.fromtimestamp(moment, tz=timezone.utc)
    return when.isoformat(timespec="milliseconds")
