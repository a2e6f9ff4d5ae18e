"""`python -m preflight`, and the console script: Ctrl-C is heard while it loads."""

from __future__ import annotations

import sys
from typing import NoReturn


def entry() -> NoReturn:
    """Run the command line; a Ctrl-C before it can say so ends without a traceback."""
    try:
        from preflight.cli import entry as begin
    except KeyboardInterrupt:
        sys.stderr.write("preflight: interrupted\n")
        sys.exit(130)
    begin()


if __name__ == "__main__":
    entry()
