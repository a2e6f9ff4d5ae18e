"""The import jobs of Model Studio: list them, look at one, wait for it, delete it.

    from preflight import jobs

    for job in jobs.list(status="failed"):
        print(job.job_id, job.error_code)
    print(jobs.deployment_call(jobs.wait("4f1c2d9a")).curl())

Keys and address come from the environment and the usual files, or from `settings`. A
job may be named by the beginning of its id. What refuses raises `AccessDenied`, what
does not answer `ImportFailed`, what is not set `ConfigurationError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

from preflight.api import explained, settings_reader
from preflight.findings import WeightType
from preflight.pipeline.import_prefix import wait_for
from preflight.pipeline.options import TIMEOUT, Waiting
from preflight.pipeline.services import studio_client
from preflight.record import Gatherer, RunRecord
from preflight.settings import Need, Settings
from preflight.studio import deployment, named
from preflight.studio.deployment import DeploymentCall
from preflight.studio.imports import ImportApi
from preflight.studio.jobs import ImportJob

__all__ = ["delete", "deployment_call", "get", "list", "wait"]

SettingsReader = Callable[[], Settings]

# The service spells its success so; one page of its documentation does not.
_STATUSES = {"SUCCEEDED": "SUCCESSED"}


def list(  # noqa: A001 - read as `jobs.list`
    *,
    status: str = "",
    model_name: str = "",
    limit: int | None = None,
    settings: SettingsReader | None = None,
) -> tuple[ImportJob, ...]:
    """The import jobs, newest first, at most `limit`.

    `status`: only those that are pending, running, succeeded or failed; `model_name`:
    only that of this model, by its system-generated name.
    """
    wanted = _STATUSES.get(status.upper(), status.upper())
    with _api(settings) as api:
        return tuple(islice(api.list_all(status=wanted, model_name=model_name), limit))


def get(job_id: str, *, settings: SettingsReader | None = None) -> ImportJob:
    """The job as it is now. Raises `ImportFailed` where there is none."""
    with _api(settings) as api:
        return named.get_job(api, job_id)


def wait(
    job_id: str,
    *,
    timeout: float = TIMEOUT,
    poll_interval: float | None = None,
    settings: SettingsReader | None = None,
) -> ImportJob:
    """The job once it succeeded; `timeout` and `poll_interval` in seconds.

    Raises `ImportFailed` when it fails, with what is likely wrong as its notes, and
    `StillRunning` at the limit.
    """
    with _api(settings) as api, named.job_named(job_id):
        whole = named.whole_id(api, job_id)
    gatherer = Gatherer(RunRecord("wait"))
    with explained(), named.job_named(job_id):
        waiting = Waiting(timeout, poll_interval)
        return wait_for(whole, waiting, _settings(settings), gatherer).job


def delete(job_id: str, *, settings: SettingsReader | None = None) -> ImportJob:
    """Delete the platform's record of a final job, and return it as it was.

    The objects in OSS stay. Raises `ImportFailed` for a job that still runs.
    """
    with _api(settings) as api:
        job = named.get_job(api, job_id)
        api.delete(job.job_id)
        return job


def deployment_call(
    job: ImportJob,
    *,
    weight_type: WeightType | str | None = None,
    name: str = "",
    suffix: str = "",
    settings: SettingsReader | None = None,
) -> DeploymentCall:
    """The call that deploys the model of a job; nothing is sent.

    `weight_type` where the service did not tell it, which it does of no job but one
    just made: full weights need units of their own. `name` and `suffix`: see
    `PushResult.deployment_call`.
    """
    kind = WeightType(weight_type) if weight_type else job.weight_type
    return deployment.deployment_call(
        job.model_name,
        kind,
        name=name or job.display_name,
        suffix=suffix,
        service=(settings or settings_reader(()))().base_url.value,
    )


def _settings(reader: SettingsReader | None) -> Settings:
    return (reader or settings_reader([Need.STUDIO]))()


@contextmanager
def _api(reader: SettingsReader | None) -> Iterator[ImportApi]:
    with explained():
        settings = _settings(reader)
        settings.require(Need.STUDIO)
        with studio_client(settings) as client:
            yield ImportApi(client)
