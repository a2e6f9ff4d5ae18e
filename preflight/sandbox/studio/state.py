"""The import service as a state machine on a clock; it knows no HTTP and no thread."""

from __future__ import annotations

import json
import secrets
import string
import threading
import time
import uuid
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timezone

from preflight.sandbox.database import Database
from preflight.sandbox.studio.bodies import CreateRequest, ListRequest
from preflight.sandbox.studio.errors import not_found, operation_denied
from preflight.sandbox.studio.importable import IMPORTABLE, BaseModel
from preflight.sandbox.studio.jobs import Job, Status
from preflight.sandbox.studio.policy import FILES_MISSING, Policy
from preflight.sandbox.studio.store import ObjectStore
from preflight.sandbox.studio.validation import Verdict, validate

_PENDING_SHARE = 0.25  # of the job's time is spent waiting for its turn
_ALPHABET = string.ascii_lowercase + string.digits
_SCHEMA = """
CREATE TABLE IF NOT EXISTS job (
    position INTEGER PRIMARY KEY, id TEXT UNIQUE, record TEXT, reason TEXT,
    changed TEXT
)
"""


class StudioState:
    """Jobs, base models and what became of the imported models.

    `reasons` says of each failed job why, for tests: the client only ever sees the
    `error_code`. `changed_files` has the jobs whose source objects changed after
    their success, with the names of these. `clock` gives seconds since the epoch;
    `database` keeps everything for the next time.
    """

    def __init__(
        self,
        store: ObjectStore,
        *,
        region: str,
        bases: Iterable[BaseModel] = IMPORTABLE,
        policy: Policy | None = None,
        clock: Callable[[], float] = time.time,
        database: Database | None = None,
    ) -> None:
        self.region = region
        self.policy = policy if policy is not None else Policy()
        self.bases = {base.name: base for base in bases}
        self.reasons: dict[str, str] = {}
        self.changed_files: dict[str, tuple[str, ...]] = {}
        self._store = store
        self.clock = clock
        self._db = database or Database(None)
        self._jobs: dict[str, Job] = {}
        # The store may call back while it holds a lock of its own, so the callback
        # takes only the second lock, under which the store is never called.
        self._lock = threading.RLock()
        self._watch_lock = threading.Lock()
        self._changed_while_read: dict[str, tuple[str, ...]] = {}
        self._load()
        store.on_change(self._on_change)

    def create(self, request: CreateRequest) -> Job:
        """A new job; raises `StudioError` NotFound for a base that has no import."""
        if request.model_name not in self.bases:
            raise not_found(f"Model {request.model_name} does not support import.")
        now = self.clock()
        job = Job(
            id=str(uuid.uuid4()),
            base=request.model_name,
            model_name=_model_name(request.model_name, now),
            display_name=request.display_name or request.model_name,
            source=request.source,
            weight_type=request.weight_type,
            created=now,
        )
        with self._lock:
            self._keep(job)
        return job

    def get(self, job_id: str) -> Job:
        """The job now; raises `StudioError` NotFound."""
        with self._lock:
            return self._shown(self._advanced(self._job(job_id)))

    def page(self, request: ListRequest) -> tuple[int, list[Job]]:
        """How many jobs match, and those of the page, newest first."""
        with self._lock:
            jobs = [self._advanced(job) for job in reversed(self._jobs.values())]
            named = [j for j in jobs if request.model_name in ("", j.model_name)]
            found = [j for j in named if request.status in (None, j.status)]
            start = (request.page_no - 1) * request.page_size
            page = found[start : start + request.page_size]
            # Whoever asks for one status alone has learnt that these are not in it.
            for job in named:
                if job in page or job not in found:
                    self._shown(job)
            return len(found), page

    def delete(self, job_id: str) -> Job:
        """Forget a job; raises `StudioError` OperationDenied before its final state."""
        with self._lock:
            job = self._advanced(self._job(job_id))
            if not job.status.is_final:
                raise operation_denied(f"Job {job_id} is {job.status.value}.")
            with self._watch_lock:
                del self._jobs[job_id]
                self.changed_files.pop(job_id, None)
            self.reasons.pop(job_id, None)
            self._db.run("DELETE FROM job WHERE id = ?", [job_id])
        return job

    @property
    def invalidated(self) -> set[str]:
        """The jobs whose models are void, since their source objects changed."""
        return set(self.changed_files)

    def jobs(self) -> tuple[Job, ...]:
        """All jobs as they are, oldest first, without counting as a look at them."""
        with self._lock:
            return tuple(self._jobs.values())

    def model_is_valid(self, job_id: str) -> bool:
        """Whether the import succeeded and nothing changed under its prefix since.

        Raises KeyError for a job that is not known.
        """
        with self._lock:
            job = self._jobs[job_id]
        return job.status is Status.SUCCEEDED and job_id not in self.changed_files

    def _job(self, job_id: str) -> Job:
        if job_id not in self._jobs:
            raise not_found(f"Job {job_id} does not exist.")
        return self._jobs[job_id]

    def _keep(self, job: Job) -> Job:
        with self._watch_lock:
            self._jobs[job.id] = job
            self._save(job)
        return job

    def _shown(self, job: Job) -> Job:
        """Note that a poller saw the job so; each state is seen at least once."""
        return job if job.seen else self._keep(replace(job, seen=True))

    def _advanced(self, job: Job) -> Job:
        """The job one state further, if it was seen in this one and time allows."""
        if job.status.is_final or not job.seen:
            return job
        waiting = job.status is Status.PENDING
        share = _PENDING_SHARE if waiting else 1.0
        if self.clock() < job.created + share * self.policy.job_seconds:
            return job
        if waiting:
            return self._keep(replace(job, status=Status.RUNNING, seen=False))
        return self._finished(job)

    def _finished(self, job: Job) -> Job:
        with self._watch_lock:
            self._changed_while_read.pop(job.id, None)
        verdict = self._verdict(job)
        if verdict.reasons:
            self.reasons[job.id] = "; ".join(verdict.reasons)
        ended = Status.FAILED if verdict.reasons else Status.SUCCEEDED
        code = verdict.error_code
        done = replace(job, status=ended, error_code=code, seen=False)
        with self._watch_lock:
            changed = self._changed_while_read.pop(job.id, ())
            if changed and ended is Status.SUCCEEDED:
                self.changed_files[job.id] = changed
            self._jobs[job.id] = done
            self._save(done)
        return done

    def _verdict(self, job: Job) -> Verdict:
        base = self.bases.get(job.base)
        if base is None:  # a test's own one, in a directory that outlived the test
            return Verdict(FILES_MISSING, (f"{job.base} is no base model here",))
        return validate(
            self._store,
            job.source,
            base,
            weight_type=job.weight_type,
            region=self.region,
            policy=self.policy,
        )

    def _on_change(self, bucket: str, key: str) -> None:
        """An object was put, replaced or deleted: imports made from it are void."""
        with self._watch_lock:
            for job in self._jobs.values():
                if bucket != job.source.bucket or not key.startswith(job.source.prefix):
                    continue
                name = key[len(job.source.prefix) :]
                if job.status is Status.SUCCEEDED:
                    self._note(self.changed_files, job, name)
                    self._save(job)
                elif job.status is Status.RUNNING:
                    self._note(self._changed_while_read, job, name)

    @staticmethod
    def _note(changes: dict[str, tuple[str, ...]], job: Job, name: str) -> None:
        known = changes.get(job.id, ())
        changes[job.id] = known if name in known else (*known, name)

    def _save(self, job: Job) -> None:
        values = [
            job.id,
            json.dumps(job.record()),
            self.reasons.get(job.id, ""),
            json.dumps(self.changed_files.get(job.id, [])),
        ]
        self._db.run(
            "INSERT INTO job (id, record, reason, changed) VALUES (?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET record = excluded.record,"
            " reason = excluded.reason, changed = excluded.changed",
            values,
        )

    def _load(self) -> None:
        self._db.create(_SCHEMA)
        query = "SELECT id, record, reason, changed FROM job ORDER BY position"
        for job_id, record, reason, changed in self._db.rows(query):
            self._jobs[job_id] = Job.from_record(json.loads(record))
            if reason:
                self.reasons[job_id] = reason
            if names := json.loads(changed):
                self.changed_files[job_id] = tuple(names)


def _model_name(base: str, now: float) -> str:
    """The platform's own name, such as `qwen3-8b-offline-20240101-abc1`."""
    day = datetime.fromtimestamp(now, tz=timezone.utc).strftime("%Y%m%d")
    suffix = "".join(secrets.choice(_ALPHABET) for _ in range(4))
    return f"{base}-offline-{day}-{suffix}"
