"""A line of a terminal that tqdm draws: loaded with the first bar, not before."""

from __future__ import annotations

from collections.abc import MutableMapping
from threading import RLock
from typing import TYPE_CHECKING, Any, NoReturn, TextIO

from tqdm.std import tqdm

from preflight.text import columns, cut

if TYPE_CHECKING:
    _Tqdm = tqdm[NoReturn]
else:
    _Tqdm = tqdm  # at run time it takes no type

_BAR = 13  # columns at most, fewer where the words need them
_LETTERS = "░█", ".#"  # of the bar, and where the stream has no such letters


class DrawnLine(_Tqdm):
    """A bar with words, or words alone, drawn when `refresh` is called.

    `position`: lines below the cursor; 0 has the bar. `n` is a percentage. `more`
    is shown where there is room for it. `width`: columns, 0 for the terminal's own.
    """

    # The stage's thread asks for each drawing; tqdm needs none of its own.
    monitor_interval = 0

    def __init__(self, stream: TextIO, position: int, width: int = 0) -> None:
        self.words = self.more = ""
        super().__init__(
            total=100 if position == 0 else None,
            file=stream,
            position=position,
            bar_format="{desc}  {bar}  {words}" if position == 0 else "{desc}",
            ascii=_letters(stream),
            ncols=width or None,
            dynamic_ncols=not width,
            leave=False,
        )

    @property
    def format_dict(self) -> MutableMapping[str, Any]:
        """What tqdm formats: its own fields and the words, in no more than they need.

        So the bar becomes shorter first, and text that is cut all the same says so.
        """
        fields = dict(super().format_dict)
        width = fields["ncols"] or 80
        words, room = self.words, width - columns(self.desc) - 4  # between the three
        if columns(words + self.more) + _BAR <= room:
            words += self.more
        fields["prefix"], fields["words"] = cut(self.desc, width), cut(words, room - 1)
        fields["ncols"] = min(width, width - room + _BAR + columns(words))
        return fields


# tqdm's own lock is one between processes, which not every machine can make.
DrawnLine.set_lock(RLock())


def _letters(stream: TextIO) -> str:
    fine, plain = _LETTERS
    try:
        fine.encode(getattr(stream, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return plain
    return fine
