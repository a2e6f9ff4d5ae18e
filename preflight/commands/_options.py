"""What the flags of `check` and `push` ask for, as options of the pipeline."""

from __future__ import annotations

from argparse import Namespace

from preflight.findings import WeightType
from preflight.model.inspection import Request
from preflight.pipeline.options import CheckOptions, Waiting
from preflight.rules import RULES
from preflight.rules.policy import make_policy


def check_options(arguments: Namespace) -> CheckOptions:
    """How to judge; raises `UsageError` for codes that are no rules'."""
    request = Request(
        weight_type(arguments),
        arguments.base_model,
        arguments.base_dir,
        base_from_hub=arguments.base_from_hub,
    )
    policy = make_policy(
        RULES,
        select=getattr(arguments, "select", ()),  # a push must not choose its rules
        ignore=arguments.ignore,
        strict=arguments.strict,
    )
    return CheckOptions(arguments.model_dir, request, not arguments.no_scan, policy)


def weight_type(arguments: Namespace) -> WeightType | None:
    """The kind of weights that was asked for."""
    return WeightType(arguments.weight_type) if arguments.weight_type else None


def waiting(arguments: Namespace) -> Waiting | None:
    """How to wait for the job; None with --no-wait."""
    if getattr(arguments, "no_wait", False):
        return None
    return Waiting(arguments.timeout, arguments.poll_interval)
