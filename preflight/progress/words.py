"""Sizes and times as people read them."""

from __future__ import annotations

from preflight.language import say

# What a run does, one after the other.
STAGES = (
    say("inspect"),
    say("rules"),
    say("scan"),
    say("digest"),
    say("bucket"),
    say("compare"),
    say("upload"),
    say("verify"),
    say("submit"),
    say("wait"),
    say("uploading"),
    say("scanning"),
    say("comparing"),
)


def human_size(count: float) -> str:
    """Bytes as `999 B`, `1.2 MB`, `14.3 GB` (powers of 1,000)."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.95 or unit == "GB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    raise AssertionError  # the loop always returns


def human_time(seconds: float) -> str:
    """Seconds as `42 s`, `3 min 05 s` or `2 h 07 min`."""
    whole = round(seconds)
    if whole < 60:
        return say("{seconds} s", seconds=whole)
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return say("{minutes} min {seconds:02d} s", minutes=minutes, seconds=rest)
    hours, minutes = divmod(minutes, 60)
    return say("{hours} h {minutes:02d} min", hours=hours, minutes=minutes)
