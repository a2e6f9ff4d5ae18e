"""The stages: check, and push, which is check, upload, verify, submit and wait."""

from preflight.pipeline.checking import check
from preflight.pipeline.connecting import bucket_access
from preflight.pipeline.options import CheckOptions, PushOptions
from preflight.pipeline.pushing import push

__all__ = ["CheckOptions", "PushOptions", "bucket_access", "check", "push"]
