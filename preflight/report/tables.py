"""Tables for people: aligned by columns of the terminal, cut to its width."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

from preflight.text import columns, cut, padded

_GAP = 2  # columns between two cells
_NARROWEST = 8  # no column is cut to less


def table(
    rows: Sequence[Sequence[str]],
    width: int = 0,
    *,
    whole: Collection[int] = (),
    spare: Sequence[int] = (),
) -> Iterator[str]:
    """Rows as lines of aligned columns; the first row is the heading.

    Of a table wider than `width` (0: no limit) the widest columns are cut, but for
    those whose numbers are in `whole`. Where that is not enough those in `spare` are
    left out, one after the other, and in the end all are cut.
    """
    if not rows:
        return
    widths = [max(map(columns, column)) for column in zip(*rows, strict=True)]
    kept = list(range(len(widths)))
    if width:
        for number in ((), *spare):
            kept = [each for each in kept if each != number]
            made = fitted(
                [widths[each] for each in kept],
                width,
                [at for at, each in enumerate(kept) if each in whole],
            )
            if _is_within(made, width):
                break
        else:
            made = fitted(made, width)
        widths, rows = made, [[row[each] for each in kept] for row in rows]
    for row in rows:
        cells = (
            padded(cut(cell, most), most)
            for cell, most in zip(row, widths, strict=True)
        )
        yield (" " * _GAP).join(cells).rstrip()


def _is_within(widths: Sequence[int], width: int) -> bool:
    return sum(widths) + _GAP * (len(widths) - 1) <= width


def fitted(widths: Sequence[int], width: int, whole: Collection[int] = ()) -> list[int]:
    """The widths, the widest made narrower until a line fits, as far as can be."""
    made = list(widths)
    room = width - _GAP * (len(made) - 1)
    while sum(made) > room:
        free = [n for n in range(len(made)) if n not in whole and made[n] > _NARROWEST]
        if not free:
            break
        made[max(free, key=lambda n: made[n])] -= 1
    return made
