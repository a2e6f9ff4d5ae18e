"""Shares: each part and each tensor has one owner, and all bring about as much."""

from __future__ import annotations

import random
from pathlib import Path

from preflight.catalog.uploadable import Role
from preflight.upload.parts import KIB, MIB, TransferOptions, part_size
from preflight.upload.plan import UploadItem
from preflight.upload.shares import Shares, shared_items, shared_part

GIB = 1 << 30


def item(name: str, size: int, role: Role = Role.WEIGHTS) -> UploadItem:
    return UploadItem(f"p/{name}", name, size, Path(name), role=role)


def test_each_part_has_one_owner_and_the_parts_of_an_owner_are_neighbours() -> None:
    chance = random.Random(3)  # noqa: S311
    for _ in range(200):
        sizes = [chance.randint(1, 40 * MIB) for _ in range(chance.randint(1, 5))]
        items = [item(f"{n}.safetensors", size) for n, size in enumerate(sizes)]
        count, step = chance.randint(1, 9), chance.choice([100 * KIB, MIB, 16 * MIB])
        shares = Shares(items, count)
        for each in items:
            of = [shares.numbers(each, step, {rank}) for rank in range(count)]
            in_turn = [number for numbers in of for number in numbers]
            assert in_turn == list(range(1, -(-each.size // step) + 1))
        # Whoever knows a byte of a file knows its owner, even of the byte behind it.
        owners = [shares.owner(e.name, at) for e in items for at in (0, e.size)]
        assert owners == sorted(owners)
        assert set(owners) <= set(range(count))
        assert sum(shares.size_of(step, rank) for rank in range(count)) == sum(sizes)


def test_a_directory_with_one_large_file_is_shared_alike() -> None:
    items = [item("model.safetensors", 30 * GIB + 1)]
    options = TransferOptions()
    part = shared_part(items, options)
    for count in (2, 3, 7):
        shares = Shares(items, count)
        sizes = [shares.size_of(part, rank) for rank in range(count)]
        assert max(sizes) - min(sizes) <= part_size(items[0].size, part)


def test_the_part_size_depends_on_nothing_but_sizes_and_flags() -> None:
    def part(size: int, workers: int = 0, part_size: int = 0) -> int:
        options = TransferOptions(workers=workers, part_size=part_size)
        return shared_part([item("a", size)], options)

    assert part(MIB) == part(256 * MIB, workers=1) == 4 * MIB
    assert part(GIB) == part(GIB, workers=64) == 16 * MIB
    assert part(100 * GIB) == 32 * MIB
    assert part(100 * GIB, part_size=MIB) == MIB


def test_weights_are_shared_and_nothing_else() -> None:
    weights, config = item("a.safetensors", 5), item("config.json", 5, Role.KEY_CONFIG)
    support = item("tokenizer.json", 20 * MIB, Role.SUPPORT)
    made = UploadItem("p/b", "b", 3, b"abc", role=Role.WEIGHTS)
    assert shared_items([weights, support, made, config]) == (weights,)
