"""Text of strangers on its way out: escaped, cut in the middle, coloured at the end.

File names, tensor names and values from files stay as they are everywhere in the
program. They are made harmless where text leaves it: in a line for people by
`printable` and `Line.render`, in a document for programs by `json_text`. There a
message is put into the language of the people, too, and secrets are masked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from preflight.hidden import masked, masked_value
from preflight.language import localized, middle_out, say

_SGR_END = "\x1b[0m"
# What may need care in a document: JSON itself escapes what lies below the space.
_BEYOND_ASCII = re.compile(r"[^\x20-\x7e\n]")
# What one copies stays on one line: code in backquotes, and a command to its end.
_WHOLE = re.compile(r"`[^`]*`|(?:(?<=: )|(?<=  )|^)preflight (?!itself\b)[a-z].*")
_LABEL = re.compile(r" *(?:\S{1,14}  +)?")
_NARROWEST = 20  # columns; a terminal that says it has fewer is not believed
# Our own marks in letters that every stream has.
_PLAIN = str.maketrans({"→": "->", "·": "|", "✔": "OK", "✘": "FAIL", "…": "..."})


def _visible(character: str) -> str:
    if character.isprintable():
        return character
    if "\udc80" <= character <= "\udcff":  # an undecodable byte of a file name
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def escaped(text: str) -> str:
    """`text` for people, without control, escape, direction or newline characters."""
    text = masked(localized(text))
    return text if text.isprintable() else "".join(map(_visible, text))


def shortened(text: str, limit: int = 200) -> str:
    """At most `limit` characters: the middle is left out.

    Both ends of a tensor's name or a path tell something.
    """
    return middle_out(text, limit)


def printable(text: str, limit: int = 200) -> str:
    """`text` on one line, escaped, of at most `limit` characters."""
    # Masked before it is cut: half a secret is one, too.
    return shortened(escaped(shortened(masked(text), 2 * limit)), limit)


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes once it is escaped.

    Wide characters, such as Chinese ones, take two; accents that combine take none.
    """
    shown = escaped(text)
    if shown.isascii():
        return len(shown)
    from wcwidth import wcswidth  # only where it is needed: it reads large tables

    return max(0, int(wcswidth(shown)))


def cut(text: str, width: int) -> str:
    """`text` escaped, in at most `width` columns; what is left out is an ellipsis."""
    shown = escaped(text)
    if columns(shown) <= width:
        return shown
    dots = "..."[: max(0, width)]
    kept = shown[: max(0, width)]
    while kept and columns(kept) + len(dots) > width:
        kept = kept[:-1]
    return kept + dots


def padded(text: str, width: int) -> str:
    """`text` escaped and filled up with spaces to `width` columns."""
    return escaped(text) + " " * max(0, width - columns(text))


# What cannot begin a line in Chinese, and what cannot end one.
_CLOSING = "，。、；：？！）】》」』”’…%"  # noqa: RUF001
_OPENING = "（【《「『“‘"  # noqa: RUF001


def wrapped(text: str, width: int, first: str = "", others: str = "") -> list[str]:
    """`text` for people in lines of at most `width` columns, where that is possible.

    A line ends at a space or beside a wide letter, which takes two columns; what has no
    such place, as a command or a path, stays whole. `first` and `others` begin lines.
    """
    lines: list[str] = []
    line, used = first, columns(first)
    empty = True
    for word in _words(localized(text)):
        size = columns(word)
        if not empty and used + columns(word.rstrip()) > width:
            lines.append(line.rstrip())
            line, used = others, columns(others)
        line, used, empty = line + word, used + size, False
    return lines if empty else [*lines, line.rstrip()]


def _words(text: str) -> Iterator[str]:
    """The pieces that a line may end after, each with the space that follows it."""
    start = 0
    whole = {n for each in _WHOLE.finditer(text) for n in range(*each.span())[1:]}
    for at in range(1, len(text)):
        if at in whole:
            continue
        before, after = text[at - 1], text[at]
        if before == " " and after != " ":
            fine = True
        elif after == " " or (before.isascii() and after.isascii()):
            fine = False
        else:
            fine = columns(before) > 1 or columns(after) > 1
            fine = fine and after not in _CLOSING and before not in _OPENING
        if fine:
            yield text[start:at]
            start = at
    yield text[start:]


def folded(text: str, width: int) -> Iterator[str]:
    """The lines that `text` makes in at most `width` columns (0: without a limit).

    Those after the first are indented below what follows a label such as `next  `.
    """
    shown = localized(text)
    if not width or columns(shown) <= width:
        yield shown
        return
    found = _LABEL.match(shown)
    label = found[0] if found else ""
    indent = " " * columns(label if label.strip() else f"{label}  ")
    room = max(width, _NARROWEST)
    yield from wrapped(shown[len(label) :], room, first=label, others=indent)


def nearest(word: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """`; did you mean WORD?` with the known word that is most like it, or nothing."""
    from difflib import get_close_matches  # slow to import, seldom needed

    near = get_close_matches(word, list(known), n=1, cutoff=cutoff)
    return say("; did you mean {word}?", word=near[0]) if near else ""


def in_letters_of(encoding: str, text: str) -> str:
    """`text`, with our own marks in plain letters where `encoding` lacks them."""
    try:
        text.encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return text.translate(_PLAIN)
    return text


def json_text(value: object, indent: int | None = 2) -> str:
    """A document for programs, with one newline at its end; one line without `indent`.

    What reads it gets every value unchanged; a terminal that shows it obeys none.
    """
    text = json.dumps(masked_value(value), indent=indent, ensure_ascii=False)
    return _BEYOND_ASCII.sub(_in_json, text) + "\n"


def _in_json(found: re.Match[str]) -> str:
    """A character as a JSON string may hold it; those that show stay as they are.

    C1 controls and direction marks are obeyed by terminals, and lone surrogates, the
    undecodable bytes of a file name, fit no encoding.
    """
    return found[0] if found[0].isprintable() else json.dumps(found[0])[1:-1]


@dataclass(frozen=True, slots=True)
class Colored:
    """A word in a terminal colour; `sgr` is the code, such as `1;31` for bold red."""

    text: str
    sgr: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line for people, of pieces some of which may be coloured."""

    pieces: Sequence[str | Colored]

    @property
    def text(self) -> str:
        """What it says, without colour."""
        return "".join(
            each if isinstance(each, str) else each.text for each in self.pieces
        )

    def render(self, *, color: bool = False) -> str:
        """The line as a terminal may have it: escaped, in colour if that is wanted."""
        return "".join(_rendered(piece, color) for piece in self.pieces)


def _rendered(piece: str | Colored, color: bool) -> str:
    if isinstance(piece, str):
        return escaped(piece)
    shown = escaped(piece.text)
    return f"\x1b[{piece.sgr}m{shown}{_SGR_END}" if color else shown


def render_lines(lines: Iterable[str | Line], *, color: bool = False) -> str:
    """The lines, each made harmless and ended; empty when there are none."""
    whole = (Line((line,)) if isinstance(line, str) else line for line in lines)
    return "".join(f"{line.render(color=color)}\n" for line in whole)
