from __future__ import annotations

# Imported, not listed in pytest_plugins: once the package is installed its entry point
# registers the same module, and pytest refuses to register one twice.
from preflight.sandbox.plugin import sandbox

__all__ = ["sandbox"]
