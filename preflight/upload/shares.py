"""Who brings what: the bytes of all weights, laid end to end, cut into equal shares.

Every task works it out by itself from names and sizes alone. A part belongs to the task
in whose share its middle lies, a tensor to that of its first byte: so each has exactly
one owner, however a file was cut into parts, and a task's parts of it are neighbours.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from preflight.catalog.uploadable import Role
from preflight.upload.parts import MIB, TransferOptions, part_size
from preflight.upload.plan import UploadItem

_PARTS = 64  # of all weights at least, so that shares are alike
_SMALLEST, _LARGEST = 4 * MIB, 32 * MIB


def shared_items(items: Iterable[UploadItem]) -> tuple[UploadItem, ...]:
    """What is shared: weights. All else is small, and the publishing task's."""
    return tuple(
        item
        for item in items
        if item.role is Role.WEIGHTS
        and item.size
        and not isinstance(item.source, bytes)
    )


def shared_part(items: Sequence[UploadItem], options: TransferOptions) -> int:
    """The part size in bytes: as asked, else by sizes alone, alike for every task."""
    if options.part_size:
        return options.part_size
    total, part = sum(item.size for item in items), _SMALLEST
    while part * 2 <= min(total // _PARTS, _LARGEST):
        part *= 2
    return part


class Shares:
    """The weights of a plan in its order, shared by `count` tasks."""

    def __init__(self, items: Iterable[UploadItem], count: int) -> None:
        self.items, self.count = tuple(items), count
        self._before: dict[str, int] = {}
        self._splits: dict[tuple[str, int], Mapping[int, list[int]]] = {}
        self.total = 0
        for item in self.items:
            self._before[item.name] = self.total
            self.total += item.size

    def owner(self, name: str, offset: int) -> int:
        """The number of the task whose share byte `offset` of a file lies in."""
        position = self._before[name] + offset
        # An empty tensor may begin where all ends.
        return min(position * self.count // self.total, self.count - 1)

    def numbers(self, item: UploadItem, step: int, ranks: Iterable[int]) -> list[int]:
        """The numbers of the parts of `step` bytes that belong to these tasks."""
        of = self._split(item, step)
        return sorted(number for rank in set(ranks) for number in of.get(rank, ()))

    def _split(self, item: UploadItem, step: int) -> Mapping[int, list[int]]:
        """The numbers of all parts of a file by task; worked out once."""
        known = self._splits.get((item.name, step))
        if known is not None:
            return known
        of: dict[int, list[int]] = {}
        for number, start in enumerate(range(0, item.size, step), 1):
            # Who has the middle of a part brings it: shares differ by one at most.
            middle = start + min(step, item.size - start) // 2
            of.setdefault(self.owner(item.name, middle), []).append(number)
        self._splits[item.name, step] = of
        return of

    def size_of(self, step: int, rank: int) -> int:
        """About how many bytes one task brings, of files cut by `step` bytes."""
        return sum(
            min(cut, item.size - (number - 1) * cut)
            for item in self.items
            for cut in [part_size(item.size, step)]
            for number in self.numbers(item, cut, {rank})
        )
