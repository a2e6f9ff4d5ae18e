"""The fake OSS: a state that knows no HTTP, thin routes, and real signatures."""

from __future__ import annotations

from preflight.sandbox.oss.credentials import Credential
from preflight.sandbox.oss.errors import ContentNotKept, OssError
from preflight.sandbox.oss.policy import Policy
from preflight.sandbox.oss.records import Bucket, Part, StoredObject, Upload
from preflight.sandbox.oss.routes import OssRoutes
from preflight.sandbox.oss.state import OssState

__all__ = [
    "Bucket",
    "ContentNotKept",
    "Credential",
    "OssError",
    "OssRoutes",
    "OssState",
    "Part",
    "Policy",
    "StoredObject",
    "Upload",
]
