"""Good directories before both judges: the tool's rules, and the sandbox's job.

The job's checks are written apart from the rules, by the same public pages.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from fixtures.full import build_full
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from fixtures.trainers import TRAINERS
from preflight.catalog.bases import load_bases
from preflight.findings import WeightType
from preflight.sandbox.studio.importable import IMPORTABLE
from tests.depth import examples
from tests.sandbox.court import Court, Judgement
from tests.sandbox.differences import STRICTER

RANKS = (8, 64)
REAL = [base.name for base in IMPORTABLE]
# Its adapters name a 4-bit copy of the base.
WARNED = {"unsloth": ("B02",)}


def is_good(found: Judgement, warned: tuple[str, ...] = ()) -> bool:
    verdict = "warn" if warned else "pass"
    alike = (found.verdict, found.failed) == (verdict, warned)
    return alike and found.uploads and found.reasons == ()


# Of the real bases each one meets each trainer with one of the two ranks by turns, the
# next one of its family with the other; in `make fuzz` with both.
@pytest.mark.parametrize("base", [TINY_TEXT, TINY_VL, *REAL])
def test_adapters_of_every_trainer(base: str, court: Court, tmp_path: Path) -> None:
    turn = REAL.index(base) if base in REAL else 0
    for number, trainer in enumerate(TRAINERS):
        both = base not in REAL or examples(1) > 1
        for rank in RANKS if both else RANKS[(number + turn) % 2 :][:1]:
            directory = build_adapter(
                tmp_path / f"{trainer}-{rank}",
                base=base,
                rank=rank,
                trainer=trainer,
                tiny=base in REAL,
                template=TINY_TEMPLATE,
                base_config=rank == 8,
            )
            found = court.judge(directory, WeightType.LORA, base)
            assert is_good(found, WARNED.get(trainer, ())), (trainer, rank, found)


def test_adapters_of_every_rank_and_format(court: Court, tmp_path: Path) -> None:
    for rank in (8, 16, 32, 64):
        for dtype in ("F32", "F16", "BF16"):
            directory = tmp_path / f"{rank}-{dtype}"
            build_adapter(directory, base=TINY_VL, rank=rank, dtype=dtype)
            assert is_good(court.judge(directory, WeightType.LORA, TINY_VL))


def test_full_models(court: Court, tmp_path: Path) -> None:
    """The real ones as holes, of up to 145 GB: names, shapes and figures are right."""
    for base in (TINY_TEXT, TINY_VL, *REAL):
        directory = build_full(
            tmp_path / base, base=base, sparse=base in REAL, template=TINY_TEMPLATE
        )
        found = court.judge(directory, WeightType.FULL, base, scan=base not in REAL)
        listed = WeightType.FULL in load_bases()[base].importable
        assert is_good(found, () if listed else ("B01",)), (base, found)


def test_a_trained_tower_is_told_and_nothing_else(court: Court, tmp_path: Path) -> None:
    directory = build_adapter(tmp_path / "a", base=TINY_VL, vision=True)
    assert court.judge(directory, WeightType.LORA, TINY_VL).failed == ("K04",)


def test_no_reason_is_stale() -> None:
    named = {
        name.rpartition(":")[2] for names in STRICTER.values() for name in names.split()
    }
    assert named <= FAULTS.keys()
    assert all(len(reason) > 20 for reason in STRICTER)


@pytest.mark.usefixtures("court")
def test_the_tool_knows_the_bases_of_the_fake() -> None:
    assert set(load_bases()) >= {TINY_TEXT, TINY_VL, *REAL}
