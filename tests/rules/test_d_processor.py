from __future__ import annotations

from preflight.catalog.base_models import load_bases
from preflight.findings import CannotTell, Problem, Unavailable
from preflight.rules.d_processor import image_processor_sound
from tests.cases import case

NONE = Unavailable("there is no config.json")
UNKNOWN = Unavailable("no base is known")
VISION = {"model_type": "qwen2_5_vl", "vision_config": {"depth": 32}}
TYPE = "image_processor_type"
GOOD = {
    TYPE: "Qwen2VLImageProcessor",
    "size": {"shortest_edge": 3136, "longest_edge": 12845056},
}


def found(documents: dict[str, object], **facts: object) -> list[Problem]:
    given = {"config": VISION, "compared": UNKNOWN, **facts}
    answers = image_processor_sound.check(documents=documents, **given)
    return [answer for answer in answers if isinstance(answer, Problem)]


def test_a_processor_that_loads() -> None:
    cases: list[dict[str, object]] = [
        {"preprocessor_config.json": GOOD},
        {"preprocessor_config.json": {**GOOD, "size": None}},
        {"preprocessor_config.json": {"patch_size": 14}},  # by the model's type
        {"processor_config.json": {"image_processor": GOOD}},
        {"preprocessor_config.json": Unavailable("cut short")},  # D18 tells
    ]
    for documents in cases:
        with case(documents):
            assert found(documents) == []


def test_a_processor_that_does_not() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({}, "missing"),
        ({"processor_config.json": {"processor_class": "X"}}, "missing"),
        (
            {"preprocessor_config.json": {TYPE: "Qwen2_5_VLImageProcessor"}},
            "no release",
        ),
        (
            {"processor_config.json": {
                "image_processor": {TYPE: "CLIPImageProcessor"}}},
            "CLIPImageProcessor",
        ),
        ({"preprocessor_config.json": {TYPE: 7}}, "is 7"),
        (
            {"preprocessor_config.json": {**GOOD, "size": {"min_pixels": 3136}}},
            "shortest_edge and longest_edge",
        ),
    ]  # fmt: skip
    for documents, words in cases:
        with case(documents, words):
            (problem,) = found(documents)
            assert words in problem.message


def test_only_vision_models_need_one() -> None:
    bases = load_bases()
    assert found({}, config={"model_type": "qwen3"}) == []
    assert found({}, compared=bases["qwen3-8b"]) == []
    assert found({}, config=NONE, compared=bases["qwen3-vl-8b-instruct"])


def test_without_config_and_base_nobody_can_tell() -> None:
    answers = image_processor_sound.check(documents={}, config=NONE, compared=UNKNOWN)
    assert [type(answer) for answer in answers] == [CannotTell]
