"""The types of flags' values, for argparse; they import nothing of a run."""

from __future__ import annotations

import argparse
import re

from preflight.language import say

_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def seconds(text: str) -> float:
    """A number of seconds, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(
            say("not a number of seconds: {text}", text=text)
        )
    return value


def count(text: str) -> int:
    """A whole number above 0, for argparse."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(
            say("not a number from 1 on: {text}", text=text)
        )
    return int(text)


def size(text: str) -> int:
    """Bytes, with a suffix of powers of 1,024: 800K, 16M, 1.5GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMG]?)(?:I?B)?", text.strip().upper())
    if not found or float(found[1]) * _UNITS[found[2]] < 1:
        raise argparse.ArgumentTypeError(
            say("not a number of bytes: {text}", text=text)
        )
    return int(float(found[1]) * _UNITS[found[2]])
