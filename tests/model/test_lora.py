"""Adapter tensors sorted by their names."""

from __future__ import annotations

from preflight.model.headers import Tensor
from preflight.model.lora import LoraTensor, lora_view
from tests.cases import case

LAYER = "base_model.model.model.layers.0.self_attn.q_proj"


def tensor(name: str, *shape: int) -> Tensor:
    return Tensor(name, "F32", shape, 0, 0)


def half(name: str, *shape: int) -> LoraTensor:
    (found,) = lora_view([tensor(name, *shape)]).halves
    return found


def test_the_parts_of_a_name() -> None:
    cases: list[tuple[str, str, str, str]] = [
        (f"{LAYER}.lora_A.weight", LAYER, "A", ".weight"),
        (f"{LAYER}.lora_B.weight", LAYER, "B", ".weight"),
        (f"{LAYER}.lora_A.default.weight", LAYER, "A", ".default.weight"),
        (f"{LAYER}.lora_A", LAYER, "A", ""),
        (f"{LAYER}.lora_B.bias", LAYER, "B", ".bias"),
        ("lora_A.weight", "", "A", ".weight"),
    ]
    for name, module, which, suffix in cases:
        with case(name, module, which, suffix):
            found = half(name, 16, 4096)
            assert (found.module, found.half, found.suffix) == (module, which, suffix)
            assert not found.embedding


def test_embeddings() -> None:
    found = half("base_model.model.model.embed_tokens.lora_embedding_A", 16, 151_936)
    assert (found.module, found.half) == ("base_model.model.model.embed_tokens", "A")
    assert found.embedding


def test_others() -> None:
    cases: list[str] = [
        f"{LAYER}.weight",
        f"{LAYER}.lora_magnitude_vector",
        f"{LAYER}.lora_a.weight",
        f"{LAYER}.lora_C.weight",
        f"{LAYER}.lora_AB.weight",
        f"{LAYER}.lora_Ax",
        "",
    ]
    for name in cases:
        with case(name):
            view = lora_view([tensor(name, 2, 2)])
            assert view.halves == ()
            assert [other.name for other in view.others] == [name]


def test_rank_and_outer_dimension() -> None:
    cases: list[tuple[str, tuple[int, ...], int | None, int | None]] = [
        ("m.lora_A.weight", (16, 4096), 16, 4096),
        ("m.lora_B.weight", (1024, 16), 16, 1024),
        ("m.lora_A.weight", (65_536,), None, None),
        ("m.lora_A.weight", (), None, None),
        ("m.lora_A.weight", (2, 16, 4096), None, None),
        ("m.lora_B.bias", (1024,), None, None),
        ("m.lora_B.bias", (1024, 1), None, None),
        ("m.lora_A.weight", (0, 4096), 0, 4096),
    ]
    for name, shape, rank, outer in cases:
        with case(name, shape, rank, outer):
            found = half(name, *shape)
            assert (found.rank, found.outer) == (rank, outer)


def test_pairs_are_matrices_by_module() -> None:
    view = lora_view(
        [
            tensor("one.lora_A.weight", 8, 64),
            tensor("one.lora_B.weight", 64, 8),
            tensor("one.lora_B.bias", 64),
            tensor("two.lora_A.weight", 8, 64),
            tensor("norm.weight", 64),
        ]
    )
    assert {module: set(halves) for module, halves in view.pairs.items()} == {
        "one": {"A", "B"},
        "two": {"A"},
    }
    assert view.pairs["one"]["B"].suffix == ".weight"
    assert [other.name for other in view.others] == ["norm.weight"]
