"""One rank and one scale: exact, as cheap as can be, or said to be rounded."""

from __future__ import annotations

import math
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from preflight.catalog.service import LORA_RANKS
from preflight.repair.scale import Folded, Module, folded, scale
from tests.cases import case


def modules(*made: tuple[int, float], dtype: str = "F32") -> dict[str, Module]:
    return {
        f"m{number}": Module(rank, scale(alpha, rank, root=False), dtype)
        for number, (rank, alpha) in enumerate(made)
    }


def check(found: Folded, given_modules: dict[str, Module]) -> None:
    """The terms times the new scale are the old scale, and no rank is too small."""
    for name, module in given_modules.items():
        terms = found.terms[name]
        assert len(terms) * module.rank <= found.rank or found.widened
        new = float(sum(terms)) * (found.alpha / found.rank)
        assert math.isclose(new, module.scale.number, rel_tol=4e-16)
        if found.exact and not found.widened:
            assert all(_is_power_of_two(abs(term)) for term in terms)


def _is_power_of_two(value: Fraction) -> bool:
    top, bottom = value.numerator, value.denominator
    return top & (top - 1) == 0 and bottom & (bottom - 1) == 0


def test_one_rank_is_filled_up_and_the_scale_stays_to_the_last_bit() -> None:
    for rank in range(1, 65):
        with case(rank):
            for alpha in (1, 16, 32, 0.3, 100):
                found = folded(modules((rank, alpha)), LORA_RANKS)
                assert found is not None
                assert found.rank == min(r for r in LORA_RANKS if r >= rank)
                assert found.alpha / found.rank == alpha / rank
                assert found.terms == {"m0": (Fraction(1),)}


def test_rslora_keeps_what_loaders_compute() -> None:
    cases: list[int] = [8, 12, 16, 24, 64]
    for rank in cases:
        with case(rank):
            one = Module(rank, scale(32, rank, root=True), "BF16")
            found = folded({"a": one, "b": one}, LORA_RANKS)
            assert found is not None
            assert found.exact
            assert found.alpha / found.rank == 32 / math.sqrt(rank)


def test_a_power_of_two_goes_into_b_and_changes_the_fewest() -> None:
    made = modules((16, 32), (16, 32), (16, 4))
    found = folded(made, LORA_RANKS)
    assert found is not None
    assert (found.rank, found.alpha, found.exact, found.widened) == (
        16,
        32,
        True,
        False,
    )
    one = (Fraction(1),)
    assert found.terms == {"m0": one, "m1": one, "m2": (Fraction(1, 8),)}


def test_three_halves_take_ranks_that_zeros_would_have_taken() -> None:
    made = modules((16, 32), (24, 32))
    found = folded(made, LORA_RANKS)
    assert found is not None
    assert (found.rank, found.exact, found.widened) == (32, True, False)
    assert sum(found.terms["m0"]) == Fraction(3, 2)
    check(found, made)


def test_sixteen_bits_are_widened_where_f32_holds_the_product() -> None:
    made = modules((64, 32), (64, 48), dtype="BF16")
    found = folded(made, LORA_RANKS)
    assert found is not None
    assert (found.exact, found.widened) == (True, True)
    check(found, made)


def test_what_has_to_be_rounded_says_so() -> None:
    found = folded(modules((64, 32), (64, 48)), LORA_RANKS)
    assert found is not None
    assert not found.exact
    assert folded(modules((65, 32)), LORA_RANKS) is None


def test_roots_that_differ_are_no_fraction() -> None:
    made = {
        "a": Module(8, scale(16, 8, root=True), "F32"),
        "b": Module(16, scale(16, 16, root=True), "F32"),
    }
    found = folded(made, LORA_RANKS)
    assert found is not None
    assert not found.exact
    same = {
        "a": Module(8, scale(16, 8, root=True), "F32"),
        "b": Module(32, scale(16, 32, root=True), "F32"),
    }
    found = folded(same, LORA_RANKS)
    assert found is not None
    assert found.exact
    check(found, same)


@given(
    st.lists(
        st.tuples(st.integers(1, 64), st.integers(1, 256)), min_size=1, max_size=5
    ),
    st.sampled_from(["F32", "BF16", "F16"]),
)
def test_whatever_is_folded_is_the_same(
    made: list[tuple[int, int]], dtype: str
) -> None:
    given_modules = modules(*made, dtype=dtype)
    found = folded(given_modules, LORA_RANKS)
    assert found is not None
    assert found.rank in LORA_RANKS
    check(found, given_modules)
