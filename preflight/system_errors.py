"""The operating system's reasons, in the language of people.

The system tells them in English here, whatever the locale: Python leaves its messages
alone. In English they stay as they came.
"""

from __future__ import annotations

from preflight.language import known, say

REASONS = (
    say("Address already in use"),
    say("Bad file descriptor"),
    say("Connection reset by peer"),
    say("Device or resource busy"),
    say("Disk quota exceeded"),
    say("File exists"),
    say("File name too long"),
    say("Input/output error"),
    say("Invalid argument"),
    say("Is a directory"),
    say("No space left on device"),
    say("No such device or address"),
    say("No such file or directory"),
    say("Not a directory"),
    say("Operation not permitted"),
    say("Permission denied"),
    say("Read-only file system"),
    say("Stale file handle"),
    say("Too many levels of symbolic links"),
    say("Too many open files"),
    say("Transport endpoint is not connected"),
    say("it is closed"),
)
# As they stand inside of a sentence.
WITHIN = (
    say("device or resource busy"),
    say("file name too long"),
    say("input/output error"),
    say("no such device or address"),
    say("no such file or directory"),
    say("operation not permitted"),
    say("permission denied"),
    say("stale file handle"),
    say("too many levels of symbolic links"),
    say("too many open files"),
    say("transport endpoint is not connected"),
)


def reason_of(error: OSError) -> str:
    """Why a call of the system failed, without the path."""
    return known(error.strerror or type(error).__name__)
