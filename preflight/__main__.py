"""`python -m preflight`, and the console script: Ctrl-C is heard while it loads."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

# numpy's libraries start a thread for each core when they are loaded. Nothing here
# multiplies matrices; and where no thread can be made, OpenBLAS raises SIGINT, which
# would pass for a Ctrl-C.
_MATH = (
    "OPENBLAS_NUM_THREADS",
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


def entry() -> NoReturn:
    """Run the command line; a Ctrl-C before it can say so ends without a traceback."""
    for name in _MATH:
        os.environ.setdefault(name, "1")
    # Loading makes hundreds of thousands of objects and next to no garbage: to look
    # for it again and again is a tenth of the time that `check` takes. `main` turns
    # it on once the command is loaded.
    gc.disable()
    try:
        from preflight.cli import entry as begin
    except KeyboardInterrupt:
        sys.stderr.write("preflight: interrupted\n")
        sys.exit(130)
    begin()


if __name__ == "__main__":
    entry()
