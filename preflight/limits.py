"""Limits of this shell that would end a run in the middle, told at its start."""

from __future__ import annotations

import sys

from preflight.errors import ConfigurationError
from preflight.language import say

# Bytes. With less the libraries that numpy brings end the process themselves while they
# are loaded, with the exit code of a rule that failed; measured, 440 MB are enough for
# four workers.
ADDRESS_SPACE = 512 << 20


def require_address_space() -> None:
    """Raise `ConfigurationError` where `ulimit -v` leaves too little to load numpy."""
    if sys.platform == "win32":
        return
    import resource

    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    if 0 <= limit < ADDRESS_SPACE:
        raise ConfigurationError(
            say(
                "this shell allows {found} MiB of address space, and values are looked "
                "at with {least} MiB or more",
                found=limit >> 20,
                least=ADDRESS_SPACE >> 20,
            ),
            hint=say("raise `ulimit -v`, or ask the scheduler for more memory"),
        )
