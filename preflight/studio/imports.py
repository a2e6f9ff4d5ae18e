"""The endpoints of the import API, a method each, and their typed values."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any

from preflight.catalog.endpoints import is_loopback
from preflight.errors import AmbiguousAnswer, ServiceUnavailable, UsageError
from preflight.language import say
from preflight.studio.client import StudioClient
from preflight.studio.jobs import ImportJob, ImportRequest, read_job, read_number
from preflight.studio.models import Answer

__all__ = ["ImportApi", "ImportJob", "ImportRequest", "JobPage"]

_log = logging.getLogger(__name__)

PATH = "/custom_models/import"
PAGE_SIZE = 100  # the most that List import jobs gives
MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class JobPage:
    """One page of the list; `total` counts the jobs on all pages."""

    jobs: tuple[ImportJob, ...]
    total: int
    page_size: int


class ImportApi:
    """The import API: each method is one endpoint."""

    def __init__(self, client: StudioClient) -> None:
        self._client = client

    @property
    def clock_ahead(self) -> float | None:
        """Seconds that the service's clock is ahead of ours, by its last answer."""
        return self._client.clock_ahead

    @property
    def is_on_this_machine(self) -> bool:
        """Whether it is asked over loopback, as a sandbox is."""
        return is_loopback(self._client.base_url)

    def now(self) -> datetime:
        """What the service's clock shows, ours where it is not known."""
        ahead = timedelta(seconds=self.clock_ahead or 0.0)
        return datetime.now(timezone.utc) + ahead

    def create(self, request: ImportRequest) -> ImportJob:
        """Start an import; `submit` is the way to do it exactly once.

        Raises `AmbiguousAnswer` when the job may exist although its id is unknown.
        """
        answer = self._client.request("POST", PATH, body=request.form())
        job = read_job(answer.output, answer.request_id)
        if job is None:
            raise AmbiguousAnswer(
                say("POST {path}: the answer names no job", path=PATH),
                hint=say("look with `preflight jobs` before sending it again"),
                request_id=answer.request_id,
            )
        return job

    def get(self, job_id: str, *, attempts: int | None = None) -> ImportJob:
        """The job with this id as it is now."""
        path = _job_path(job_id)
        answer = self._client.request("GET", path, attempts=attempts)
        job = read_job({"job_id": job_id, **answer.output}, answer.request_id)
        if job is None or not job.status:
            raise _malformed(f"GET {path}", say("no job with a status"), answer)
        return job

    def list_page(
        self,
        page_no: int = 1,
        page_size: int = PAGE_SIZE,
        *,
        status: str = "",
        model_name: str = "",
    ) -> JobPage:
        """One page, counted from 1; `model_name` is the system-generated name."""
        query: dict[str, str | int] = {"page_no": page_no, "page_size": page_size}
        query |= {"status": status} if status else {}
        query |= {"model_name": model_name} if model_name else {}
        answer = self._client.request("GET", PATH, query=query)
        entries = answer.output.get("list")
        if entries is None and read_number(answer.output.get("total"), 1) == 0:
            entries = []
        if not isinstance(entries, list):
            raise _malformed(f"GET {PATH}", say("no list of jobs"), answer)
        jobs = tuple(_entries(entries, answer.request_id))
        total = read_number(answer.output.get("total"), len(jobs))
        size = read_number(answer.output.get("page_size"), page_size)
        return JobPage(jobs, total, size if size > 0 else page_size)

    def list_all(
        self, *, status: str = "", model_name: str = ""
    ) -> Iterator[ImportJob]:
        """Each job once, page by page; at most `MAX_PAGES` pages are asked for.

        When jobs are deleted meanwhile, the rest moves up by as many places: the
        page is then asked for again, so that none is missed.
        """
        seen: set[str] = set()
        number, total = 1, 0
        for _ in range(MAX_PAGES):
            page = self.list_page(number, status=status, model_name=model_name)
            new = [job for job in page.jobs if job.job_id not in seen]
            seen.update(job.job_id for job in new)
            yield from new
            if page.total < total and number > 1:
                number -= 1
            elif not page.jobs or number * page.page_size >= page.total:
                if len(seen) < page.total:
                    _log.warning(
                        say("the list shows %d of %d jobs"), len(seen), page.total
                    )
                return
            else:
                number += 1
            total = page.total
        raise ServiceUnavailable(
            say(
                "the list of jobs did not end in {max_pages} pages", max_pages=MAX_PAGES
            )
        )

    def delete(self, job_id: str) -> str:
        """Remove the platform's record of a final job; the request's id.

        The objects in OSS stay. Raises `ImportFailed` when the job still runs.
        """
        return self._client.request("DELETE", _job_path(job_id)).request_id


def _job_path(job_id: str) -> str:
    # Dots alone would climb to another endpoint.
    if not re.fullmatch(r"(?!\.+$)[A-Za-z0-9._-]{1,128}", job_id):
        raise UsageError(
            say("not a job id: {job_id!r}", job_id=job_id),
            hint=say("list them: preflight jobs"),
        )
    return f"{PATH}/{job_id}"


def _malformed(asked: str, lack: str, answer: Answer) -> ServiceUnavailable:
    message = say("{asked}: the answer holds {lack}", asked=asked, lack=lack)
    return ServiceUnavailable(message, request_id=answer.request_id)


def _entries(entries: list[Any], request_id: str) -> Iterator[ImportJob]:
    for entry in entries:
        job = read_job(entry, request_id)
        if job is None:
            _log.warning(say("a job in the list has no id and is left out"))
        else:
            yield job
