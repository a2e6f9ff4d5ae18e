"""Is everything in place? Settings, keys, network, clock and bucket, in one go."""

from preflight.doctor.findings import Finding, Level
from preflight.doctor.visit import Visit, examine

__all__ = ["Finding", "Level", "Visit", "examine"]
