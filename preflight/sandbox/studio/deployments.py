"""Deployments of imported models, as the deployment API has them; nothing is billed.

Pages "Create deployment", "Deployment details", "List deployments", "List deployable
models" and "Deployment object" of Model Studio's API reference, 2026.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timezone
from typing import Any

from preflight.findings import WeightType
from preflight.sandbox.database import Database
from preflight.sandbox.studio.errors import (
    StudioError,
    invalid_parameter,
    not_found,
    operation_denied,
    unknown_to_sandbox,
)
from preflight.sandbox.studio.jobs import Job, Status
from preflight.sandbox.studio.state import StudioState

_SCHEMA = "CREATE TABLE IF NOT EXISTS deployment (name TEXT PRIMARY KEY, record TEXT)"
_SUFFIX = re.compile(r"[a-z0-9]{1,8}")
_SPECS = ("MU1",)
_KNOWN = frozenset(
    {
        "model_name",
        "plan",
        "capacity",
        "name",
        "suffix",
        "billing_method",
        "deploy_spec",
    }
)
_ACCOUNT = "1234567890123456"


@dataclass(frozen=True, slots=True)
class Deployment:
    """One deployment; `created` is in seconds since the epoch.

    `seen`: somebody was shown that it is being made, so it may be running now.
    """

    deployed_model: str
    name: str
    model_name: str
    base_model: str
    plan: str
    capacity: int
    created: float
    seen: bool = False


class Deployments:
    """What is deployed of the models that were imported."""

    def __init__(self, studio: StudioState, database: Database) -> None:
        self._studio = studio
        self._db = database
        self._lock = threading.RLock()
        database.create(_SCHEMA)

    def create(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """A new deployment, PENDING.

        Raises StudioError: InvalidParameter, NotFound for a model that was never
        imported, Conflict for a second one without a suffix of its own, and
        OperationDenied for a model that became invalid.
        """
        if unknown := sorted(set(body) - _KNOWN):
            raise unknown_to_sandbox(f"unknown in the body: {', '.join(unknown)}")
        job = self._model(_text(body, "model_name"))
        plan, capacity = self._plan(job, body)
        name, suffix = _text(body, "name"), body.get("suffix", "")
        if suffix and not (isinstance(suffix, str) and _SUFFIX.fullmatch(suffix)):
            text = "suffix has to be at most 8 lower-case letters and digits."
            raise invalid_parameter(text)
        deployed = f"{job.model_name}-{suffix}" if suffix else job.model_name
        made = Deployment(
            deployed, name, job.model_name, job.base, plan, capacity, self._now()
        )
        with self._lock:
            if self._find(deployed) is not None:
                text = f"Deployed model {deployed} already exists, please specify a"
                raise StudioError(409, "Conflict", f"{text} suffix.")
            self._keep(made)
        return self._shown(made)

    def get(self, deployed_model: str) -> dict[str, Any]:
        """One deployment as it is now, or NotFound."""
        with self._lock:
            return self._looked_at(self._known(deployed_model))

    def page(self, number: int, size: int) -> dict[str, Any]:
        """A page of all deployments, oldest first; pages count from 1."""
        with self._lock:
            rows = self._db.rows("SELECT record FROM deployment ORDER BY rowid")
            start = (number - 1) * size
            chosen = [Deployment(**json.loads(row)) for (row,) in rows]
            shown = [self._looked_at(one) for one in chosen[start : start + size]]
        return {
            "page_no": number,
            "page_size": size,
            "total": len(rows),
            "deployments": shown,
        }

    def delete(self, deployed_model: str) -> dict[str, Any]:
        """Take a deployment away; NotFound if there is none."""
        with self._lock:
            found = self._known(deployed_model)
            self._db.run("DELETE FROM deployment WHERE name = ?", [deployed_model])
        return self._shown(found) | {"status": "DELETING"}

    def models(self, source: str, number: int, size: int) -> dict[str, Any]:
        """A page of the models that can be deployed; none of the system's own."""
        jobs = [
            job
            for job in self._studio.jobs()
            if source == "custom" and self._studio.model_is_valid(job.id)
        ]
        start = (number - 1) * size
        return {
            "page_no": number,
            "page_size": size,
            "total": len(jobs),
            "models": [self._deployable(job) for job in jobs[start : start + size]],
        }

    def _deployable(self, job: Job) -> dict[str, Any]:
        templates = [
            {"template_id": spec, "template_type": "COUPLED"} for spec in _SPECS
        ]
        plans = _plans(job)
        return {
            "model_name": job.model_name,
            "base_model": job.base,
            "base_capacity": self._studio.policy.base_capacity,
            "supported_plans": list(plans),
            "plans": [
                {"plan": plan, "templates": templates if plan == "mu" else []}
                for plan in plans
            ],
        }

    def _model(self, name: str) -> Job:
        """The job that made a model of that name, which must still be valid."""
        for job in self._studio.jobs():
            if job.model_name == name and job.status is Status.SUCCEEDED:
                if changed := self._studio.changed_files.get(job.id):
                    told = ", ".join(changed[:5])
                    text = f"Model {name} is invalid, since its files changed: {told}"
                    raise operation_denied(text)
                return job
        raise not_found(f"Model: {name} not found!")

    def _plan(self, job: Job, body: Mapping[str, Any]) -> tuple[str, int]:
        plan, capacity = _text(body, "plan"), body.get("capacity")
        if plan not in _plans(job):
            text = f"plan has to be one of {', '.join(_plans(job))} for this model."
            raise invalid_parameter(text)
        if not isinstance(capacity, int) or isinstance(capacity, bool) or capacity < 1:
            raise invalid_parameter("capacity is required and has to be a number.")
        if plan != "mu":
            return plan, capacity
        if body.get("billing_method") != "POST_PAY":
            raise invalid_parameter("billing_method has to be POST_PAY.")
        if body.get("deploy_spec") not in _SPECS:
            raise invalid_parameter(
                f"deploy_spec has to be one of {', '.join(_SPECS)}."
            )
        base = self._studio.policy.base_capacity
        if capacity % base:
            raise invalid_parameter(f"capacity has to be a multiple of {base}.")
        return plan, capacity

    def _now(self) -> float:
        return self._studio.clock()

    def _find(self, name: str) -> Deployment | None:
        row = self._db.row("SELECT record FROM deployment WHERE name = ?", [name])
        return Deployment(**json.loads(row[0])) if row else None

    def _known(self, name: str) -> Deployment:
        found = self._find(name)
        if found is None:
            raise not_found(f"Model: {name} not found!")
        return found

    def _keep(self, made: Deployment) -> None:
        values = [made.deployed_model, json.dumps(asdict(made))]
        statement = (
            "INSERT INTO deployment VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET record = excluded.record"
        )
        self._db.run(statement, values)

    def _looked_at(self, found: Deployment) -> dict[str, Any]:
        """It as it is now; whoever looks sees at least once that it is being made."""
        shown = self._shown(found)
        if not found.seen:
            self._keep(replace(found, seen=True))
        return shown

    def _shown(self, found: Deployment) -> dict[str, Any]:
        ready = found.created + self._studio.policy.deployment_seconds
        is_running = found.seen and self._now() >= ready
        moment = _iso(found.created)
        return {
            "deployed_model": found.deployed_model,
            "name": found.name,
            "gmt_create": moment,
            "gmt_modified": moment,
            "status": "RUNNING" if is_running else "PENDING",
            "model_name": found.model_name,
            "base_model": found.base_model,
            "base_capacity": self._studio.policy.base_capacity,
            "capacity": found.capacity,
            "ready_capacity": found.capacity if is_running else 0,
            "workspace_id": "llm-sandbox",
            "charge_type": "post_paid",
            "creator": _ACCOUNT,
            "modifier": _ACCOUNT,
            "plan": found.plan,
        }


def _plans(job: Job) -> tuple[str, ...]:
    """Adapters are paid by the token, or run on units of one's own as all models."""
    return ("lora", "mu") if job.weight_type is WeightType.LORA else ("mu",)


def _text(body: Mapping[str, Any], field: str) -> str:
    value = body.get(field)
    if not isinstance(value, str) or not value:
        raise invalid_parameter(f"{field} is required and has to be a string.")
    return value


def _iso(moment: float) -> str:
    """As the pages show it: without a zone."""
    return f"{datetime.fromtimestamp(moment, timezone.utc):%Y-%m-%dT%H:%M:%S}"
