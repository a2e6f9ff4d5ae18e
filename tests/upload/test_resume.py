from __future__ import annotations

import itertools
from pathlib import Path

from preflight.oss.client import BucketClient
from preflight.oss.models import Part, PendingUpload
from preflight.sandbox import Sandbox
from preflight.upload.resume import grid_of, take_up
from tests.upload.small_model import FIRST, PART, leave, make_model, plan_for

K = 1024
USUAL = 400 * K


def parts(*sizes: tuple[int, int]) -> list[Part]:
    """Parts of (number, size in bytes)."""
    return [Part(number, "etag", size, 0) for number, size in sizes]


GRIDS: tuple[tuple[list[tuple[int, int]], int, int], ...] = (
    ([], 900 * K, USUAL),
    ([(1, 400 * K)], 900 * K, USUAL),
    ([(2, 200 * K)], 900 * K, 200 * K),
    ([(1, 200 * K), (4, 200 * K), (5, 100 * K)], 900 * K, 200 * K),
    ([(5, 50 * K)], 850 * K, 200 * K),  # the last part alone
    ([(1, 70 * K)], 70 * K, USUAL),  # a small file in one part
    ([(1, 200 * K), (2, 300 * K)], 900 * K, 0),
    ([(1, 200 * K), (2, 200 * K)], 300 * K, 0),  # of a longer file
    ([(1, 50 * K)], 900 * K, 0),  # less than OSS takes
    ([(9, 200 * K)], 900 * K, 0),  # beyond the end
    ([(1, 0)], 900 * K, 0),
)


def test_the_grid_is_derived_from_the_parts() -> None:
    for held, size, step in GRIDS:
        assert grid_of(parts(*held), size, USUAL) == step, held


def test_no_grid_of_more_than_ten_thousand_parts() -> None:
    size = 10_001 * 100 * K
    assert grid_of(parts((1, 100 * K)), size, 16 << 20) == 0
    assert grid_of(parts((1, 100 * K)), size - 100 * K, 16 << 20) == 100 * K


def test_the_fullest_is_taken_up_in_whatever_order_and_all_others_are_aborted(
    sandbox: Sandbox, client: BucketClient, tmp_path: Path
) -> None:
    """One that went away since it was listed is none of them."""
    model = make_model(tmp_path / "model")
    (item,) = (i for i in plan_for(model, sandbox).items if i.name == FIRST)
    for order in itertools.permutations([(1,), (2, 3), (), (1, 2, 3)]):
        left = {have: leave(sandbox, model, FIRST, PART, *have) for have in order}
        sandbox.oss.abort(sandbox.bucket, item.key, left[(1, 2, 3)])
        uploads = [PendingUpload(item.key, each) for each in left.values()]
        found = take_up(client, item, uploads, PART)
        assert found is not None, order
        assert (found.upload_id, set(found.parts)) == (left[(2, 3)], {2, 3}), order
        there = [each.id for each in sandbox.oss.uploads(sandbox.bucket)]
        assert there == [found.upload_id], order
        assert take_up(client, item, uploads, PART, restart=True) is None
        assert not sandbox.oss.uploads(sandbox.bucket), order
