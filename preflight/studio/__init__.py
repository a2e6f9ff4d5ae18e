"""Model Studio: the import API's client, its verbs, submission and waiting."""

from preflight.studio.client import StudioClient
from preflight.studio.imports import ImportApi, ImportJob, ImportRequest, JobPage
from preflight.studio.submit import Contents, How, Submission, submit
from preflight.studio.wait import require_success, wait

__all__ = [
    "Contents",
    "How",
    "ImportApi",
    "ImportJob",
    "ImportRequest",
    "JobPage",
    "StudioClient",
    "Submission",
    "require_success",
    "submit",
    "wait",
]
