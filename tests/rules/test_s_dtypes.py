from __future__ import annotations

from preflight.findings import Severity, WeightType
from preflight.model.headers import Broken, Cause
from preflight.rules.s_dtypes import (
    dtype_as_the_config_says,
    dtypes_alike,
    dtypes_are_floats,
    metadata_says_format,
)
from tests.cases import case
from tests.rules.inputs import container, problems, severities, tensor, told

LORA, FULL = WeightType.LORA, WeightType.FULL


def test_dtypes() -> None:
    cases: list[tuple[str, int]] = [
        ("BF16", 0),
        ("F16", 0),
        ("F32", 0),
        ("F64", 1),
        ("U8", 1),
        ("I8", 1),
        ("I64", 1),
        ("F8_E4M3", 1),
        ("BOOL", 1),
    ]
    for dtype, count in cases:
        with case(dtype, count):
            made = (tensor("a"), tensor("b", dtype=dtype))
            assert len(problems(dtypes_are_floats, tensors=made)) == count


def test_quantised_tensors_are_counted() -> None:
    made = (tensor("a"), *(tensor(f"q{n}", dtype="U8") for n in range(3)))
    text = told(dtypes_are_floats, tensors=made)
    assert text.startswith("q0: is U8")
    assert "3 of 4 tensors" in text


def test_mixed_dtypes() -> None:
    cases: list[tuple[list[str], WeightType, int]] = [
        (["F32", "F32"], LORA, 0),
        (["BF16", "BF16"], LORA, 0),
        (["F32", "BF16"], LORA, 1),
        (["BF16", "BF16"], FULL, 0),
        (["BF16", "F32"], FULL, 1),
        (["F32", "F32"], FULL, 1),
        (["BF16", "U8"], FULL, 0),
        ([], FULL, 0),
    ]
    for dtypes, kind, count in cases:
        with case(dtypes, kind, count):
            made = tuple(tensor(f"t{n}", dtype=each) for n, each in enumerate(dtypes))
            found = severities(dtypes_alike, tensors=made, weight_type=kind)
            assert found == [Severity.WARNING] * count


def test_of_an_adapter_only_its_halves_are_compared() -> None:
    halves = (tensor("m.lora_A.weight"), tensor("m.lora_B.weight"))
    made = (*halves, tensor("m.norm.weight", dtype="BF16"))
    assert told(dtypes_alike, tensors=made, weight_type=LORA) == ""


def test_the_rarest_dtype_is_shown_first() -> None:
    made = (tensor("a"), tensor("b"), tensor("odd", dtype="F16"))
    text = told(dtypes_alike, tensors=made, weight_type=LORA)
    assert text == "odd: is F16; in all 2 tensors in F32, 1 tensors in F16"


def test_dtype_in_the_config() -> None:
    cases: list[tuple[dict[str, object], int]] = [
        ({"torch_dtype": "bfloat16"}, 0),
        ({"dtype": "torch.bfloat16"}, 0),
        ({"torch_dtype": "float32"}, 1),
        ({"dtype": "float16", "torch_dtype": "bfloat16"}, 1),
        ({"torch_dtype": "float8_e4m3fn"}, 0),
        ({"torch_dtype": 16}, 0),
        ({}, 0),
    ]
    for config, count in cases:
        with case(config, count):
            made = (tensor("a", dtype="BF16"), tensor("n", (4,), dtype="F32"))
            found = problems(dtype_as_the_config_says, tensors=made, config=config)
            assert len(found) == count


def test_format_in_the_metadata() -> None:
    cases: list[tuple[dict[str, str], int]] = [
        ({"format": "pt"}, 0),
        ({}, 1),
        ({"format": "mlx"}, 1),
        ({"step": "5"}, 1),
    ]
    for metadata, count in cases:
        with case(metadata, count):
            made = container(tensor("a"), metadata=metadata)
            assert len(problems(metadata_says_format, containers=(made,))) == count


def test_format_of_broken_and_empty_files_is_not_asked() -> None:
    made = (Broken("a", Cause.HTML, "a page"), container(metadata={}))
    assert problems(metadata_says_format, containers=made) == []
