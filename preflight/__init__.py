"""Check, upload and import fine-tuned models into Alibaba Cloud Model Studio.

    import preflight

    report = preflight.check("out/adapter")
    report.raise_for_errors()
    result = preflight.push("out/adapter", "oss://my-bucket/models/{name}-{digest}/")
    print(result.deployment_call().curl())
    preflight.jobs.list(status="failed")

What `__all__` names is promised; everything else may change. The names are loaded when
they are first used, so that `import preflight` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from preflight import jobs
    from preflight.api import CheckReport, Progressed, PushResult, check, push
    from preflight.errors import (
        AccessDenied,
        AnotherTaskFailed,
        ConfigurationError,
        ImportFailed,
        LivePrefix,
        PreflightError,
        RulesFailed,
        SourceChanged,
        StillRunning,
        TransferError,
        UsageError,
        VerificationFailed,
    )
    from preflight.findings import Outcome, Problem, Result, Severity, Verdict
    from preflight.studio.deployment import DeploymentCall
    from preflight.studio.jobs import ImportJob
    from preflight.upload.parts import TransferOptions

__version__ = "0.1.0"

__all__ = [
    "AccessDenied",
    "AnotherTaskFailed",
    "CheckReport",
    "ConfigurationError",
    "DeploymentCall",
    "ImportFailed",
    "ImportJob",
    "LivePrefix",
    "Outcome",
    "PreflightError",
    "Problem",
    "Progressed",
    "PushResult",
    "Result",
    "RulesFailed",
    "Severity",
    "SourceChanged",
    "StillRunning",
    "TransferError",
    "TransferOptions",
    "UsageError",
    "Verdict",
    "VerificationFailed",
    "__version__",
    "check",
    "jobs",
    "push",
]

# The cheapest to load first.
_HOMES = (
    "errors",
    "findings",
    "studio.jobs",
    "studio.deployment",
    "upload.parts",
    "api",
)


def __getattr__(name: str) -> object:
    if name == "jobs":
        return import_module("preflight.jobs")
    if name in __all__:
        for home in _HOMES:
            module = import_module(f"preflight.{home}")
            if hasattr(module, name):
                globals()[name] = getattr(module, name)
                return globals()[name]
    raise AttributeError(f"module 'preflight' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
