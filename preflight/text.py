"""Text of strangers, made fit for a terminal: on one line, escaped, not too long."""

from __future__ import annotations


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # an undecodable byte of a file name
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def printable(text: str, limit: int = 200) -> str:
    """`text` on one line: no control, escape or bidirectional characters.

    Of more than `limit` characters the middle is left out: both ends of a tensor's
    name or a path tell something.
    """
    shortened = text if len(text) <= 2 * limit else text[:limit] + text[-limit:]
    shown = "".join(map(_visible, shortened))
    if len(shown) <= limit:
        return shown
    half = max(0, limit - 3) // 2
    return f"{shown[:half]}...{shown[len(shown) - half :]}"
