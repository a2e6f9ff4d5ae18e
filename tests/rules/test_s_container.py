from __future__ import annotations

from pathlib import Path

import pytest

from preflight.findings import CannotTell
from preflight.model.headers import Broken, Cause, read_container
from preflight.model.steady import open_regular
from preflight.rules import Rule
from preflight.rules.s_container import (
    no_ungathered_tensor,
    safetensors_complete,
    safetensors_has_tensors,
    safetensors_header_readable,
    safetensors_layout_sound,
    safetensors_library_agrees,
)
from tests.cases import case
from tests.rules.inputs import container, problems, tensor, told

SOUND = container(tensor("a.lora_A.weight"), tensor("a.lora_B.weight"))


def test_each_cause_is_told_by_one_rule() -> None:
    for cause in list(Cause):
        with case(cause):
            broken = Broken("a.safetensors", cause, f"it is {cause.value}")
            told_by = [
                each
                for each in (
                    safetensors_header_readable,
                    safetensors_complete,
                    safetensors_layout_sound,
                )
                if problems(each, containers=(SOUND, broken))
            ]
            assert len(told_by) == 1
            assert f"it is {cause.value}" in told(told_by[0], containers=(broken,))


def test_cause_is_told_by_the_rule_that_mends_it() -> None:
    cases: list[tuple[Cause, Rule]] = [
        (Cause.LFS_POINTER, safetensors_header_readable),
        (Cause.TRUNCATED, safetensors_complete),
        (Cause.TRAILING, safetensors_complete),
        (Cause.BAD_OFFSETS, safetensors_layout_sound),
    ]
    for cause, rule in cases:
        with case(cause, rule):
            assert problems(rule, containers=(Broken("a", cause, "x"),))
            assert not problems(rule, containers=(SOUND,))


def test_library_has_the_last_word() -> None:
    facts = {"containers": (SOUND,), "refused": {SOUND.file: "no"}}
    assert len(problems(safetensors_library_agrees, **facts)) == 1
    assert problems(safetensors_library_agrees, **{**facts, "refused": {}}) == []


def test_library_is_not_asked_of_a_broken_file() -> None:
    broken = Broken("a.safetensors", Cause.HTML, "a page")
    facts = {"containers": (broken,), "refused": {}}
    answers = list(safetensors_library_agrees.check(**facts))
    assert [type(answer) for answer in answers] == [CannotTell]


def test_container_must_hold_tensors() -> None:
    assert not problems(safetensors_has_tensors, containers=(SOUND,))
    assert "no tensor at all" in told(
        safetensors_has_tensors, containers=(container(),)
    )


def test_ungathered_tensors() -> None:
    cases: list[tuple[str, tuple[int, ...], int]] = [
        ("m.lora_A.weight", (8, 64), 0),
        ("m.lora_A.weight", (0,), 1),
        ("m.lora_A.weight", (0, 64), 1),
        ("m.lora_A.weight", (512,), 1),
        ("m.lora_A.weight", (), 1),
        ("m.lora_B.weight", (4, 8, 8), 1),
        ("m.lora_B.bias", (64,), 0),
        ("model.norm.weight", (64,), 0),
        ("model.norm.weight", (0,), 1),
        ("model.scale", (), 0),
    ]
    for name, shape, count in cases:
        with case(name, shape, count):
            found = container(tensor(name, shape))
            assert len(problems(no_ungathered_tensor, containers=(found,))) == count


def test_ungathered_tensors_are_counted() -> None:
    empty = [tensor(f"{n}.lora_A.weight", (0,)) for n in range(5)]
    text = told(no_ungathered_tensor, containers=(container(*empty, tensor("b")),))
    assert "0.lora_A.weight" in text
    assert "5 of 6 tensors" in text


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html></html>", "logged in"),
        (b"GGUF" + bytes(100), "made from"),
        (b"PK\x03\x04" + b"x" * 100, "save_pretrained"),
        (b"", "Save or copy it again"),
        (bytes(100), "Save or copy it again"),
    ],
)
def test_the_remedy_is_of_what_lies_there(
    tmp_path: Path, data: bytes, words: str
) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes(data)
    containers = (read_container(open_regular(path), path.name),)
    (found,) = problems(safetensors_header_readable, containers=containers)
    assert words in found.fix
