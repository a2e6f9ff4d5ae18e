"""Good directories before both judges: the tool's rules, and the sandbox's job.

The job's checks are written apart from the rules, by the same public pages.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.adapters import build_adapter
from fixtures.faults import FAULTS
from fixtures.tiny import TINY_TEMPLATE, TINY_TEXT, TINY_VL
from fixtures.trainers import TRAINERS
from preflight.catalog.base_models import load_bases
from preflight.findings import WeightType
from preflight.sandbox.studio.importable import IMPORTABLE
from tests.depth import examples
from tests.loaders.agreement import disagreements
from tests.loaders.cases import Case, cases
from tests.loaders.confirmed import is_large
from tests.loaders.table import is_of_new_base
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


# Of the real bases the first of each family meets every trainer and the others meet
# every second one by turns, with one of the two ranks; in `make fuzz` all meet all.
FIRST = {base.family: base.name for base in reversed(IMPORTABLE)}.values()


def ranks(base: str, trainer: int) -> tuple[int, ...]:
    """Those of the adapters that this trainer, by its number, makes of the base."""
    if base not in REAL or examples(1) > 1:
        return RANKS
    turn = REAL.index(base)
    if base not in FIRST and (trainer + turn) % 2:
        return ()
    return (RANKS[(trainer // 2 + turn) % 2],)


def test_every_pair_that_is_left_out_has_one_of_its_kind() -> None:
    tried = [(base, n) for base in REAL for n in range(len(TRAINERS)) if ranks(base, n)]
    families = {base.name: base.family for base in IMPORTABLE}
    met = {(families[base], trainer) for base, trainer in tried}
    assert len(met) == len(set(families.values())) * len(TRAINERS)
    assert {base for base, _ in tried} == set(REAL)
    both = {(base, ranks(base, trainer)) for base, trainer in tried}
    assert examples(1) > 1 or len(both) == 2 * len(REAL)


@pytest.mark.parametrize("base", [TINY_TEXT, TINY_VL, *REAL])
def test_adapters_of_every_trainer(base: str, court: Court, tmp_path: Path) -> None:
    for number, trainer in enumerate(TRAINERS):
        for rank in ranks(base, number):
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


# The loaders were asked about the same directories, which are built once for all.
FULL = re.compile(r"good/full/[^/]+")
RANK_AND_FORMAT = re.compile(rf"good/lora/{TINY_VL}/[a-z]+[0-9]+-[0-9]+")


def is_walked_there(case: Case) -> bool:
    """Whether a case of the loaders is judged here, good as it is."""
    kinds = (FULL, RANK_AND_FORMAT)
    return any(kind.fullmatch(case.name) for kind in kinds)


def judged(court: Court, case: Case, directory: Path) -> tuple[str, Judgement]:
    """The base and the judgement, with which the loaders agree."""
    directory.mkdir()
    base = case.build(directory)
    scan = case.kind is WeightType.LORA or not is_large(directory)
    found = court.judge(directory, case.kind, base, scan=scan)
    apart = disagreements(case.name, directory, found)
    assert not apart, "\n".join(apart)
    return base, found


def test_adapters_of_every_rank_and_format(court: Court, tmp_path: Path) -> None:
    some = [case for name, case in cases().items() if RANK_AND_FORMAT.fullmatch(name)]
    assert len(some) == 12
    for number, case in enumerate(some):
        _, found = judged(court, case, tmp_path / str(number))
        assert is_good(found), (case.name, found)


def test_full_models(court: Court, tmp_path: Path) -> None:
    """The real ones as holes, of up to 145 GB: names, shapes and figures are right."""
    some = [
        case
        for name, case in cases().items()
        if FULL.fullmatch(name) and not is_of_new_base(name)
    ]
    bases = set()
    for number, case in enumerate(some):
        base, found = judged(court, case, tmp_path / str(number))
        listed = WeightType.FULL in load_bases()[base].importable
        assert is_good(found, () if listed else ("B01",)), (case.name, found)
        bases.add(base)
    assert bases >= {TINY_TEXT, TINY_VL, *REAL}


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
