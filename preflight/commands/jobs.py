"""The import jobs that the service knows."""

from __future__ import annotations

import os
from pathlib import Path

from preflight.arguments import Namespace
from preflight.pipeline import wait_for_job
from preflight.record import RunRecord
from preflight.settings import load_settings
from preflight.terminal import Terminal


def cmd_wait(args: Namespace, record: RunRecord, screen: Terminal) -> None:
    """Wait for a job that an earlier run submitted."""
    settings = load_settings(dict(os.environ), home=Path.home())
    limits = args.timeout, args.poll_interval
    wait_for_job(args.job_id, settings, record, screen, limits=limits)
