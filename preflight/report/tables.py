"""Tables for people: aligned by columns of the terminal, cut to its width."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from preflight.text import columns, cut, padded

_GAP = 2  # columns between two cells
_NARROWEST = 8  # no column is cut to less


def table(rows: Sequence[Sequence[str]], width: int = 0) -> Iterator[str]:
    """Rows as lines of aligned columns; the first row is the heading.

    Of a table wider than `width` (0: no limit) the widest columns are cut.
    """
    if not rows:
        return
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    if width:
        widths = fitted(widths, width)
    for row in rows:
        cells = (
            padded(cut(cell, most), most)
            for cell, most in zip(row, widths, strict=True)
        )
        yield (" " * _GAP).join(cells).rstrip()


def fitted(widths: Sequence[int], width: int) -> list[int]:
    """The widths, the widest made narrower until a line fits, as far as can be."""
    made = list(widths)
    room = width - _GAP * (len(made) - 1)
    while sum(made) > room and max(made) > _NARROWEST:
        made[made.index(max(made))] -= 1
    return made
