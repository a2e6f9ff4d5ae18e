"""Is everything in place? Settings, keys, network, clock and bucket, in one go."""

from preflight.doctor.diagnostics import Examination, examine
from preflight.doctor.results import Finding, Level

__all__ = ["Examination", "Finding", "Level", "examine"]
