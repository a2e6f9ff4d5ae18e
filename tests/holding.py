"""Run preflight and hold it for a minute where the value scan opens the weights.

    python holding.py MARK ARGUMENT...

The file MARK is made when it stands there. Nothing of preflight is replaced: an
audit hook of the interpreter does the waiting, as a slow disk would.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import FrameType

from preflight.cli import entry


def _is_scanning() -> bool:
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "weights_of":
            return True
        frame = frame.f_back
    return False


def _hold(event: str, arguments: tuple[object, ...]) -> None:
    mark = Path(_MARK)
    weights = event == "open" and str(arguments[0]).endswith(".safetensors")
    if weights and _is_scanning() and not mark.exists():
        mark.touch()
        time.sleep(60)


if __name__ == "__main__":
    _MARK = sys.argv.pop(1)
    sys.addaudithook(_hold)
    entry()
