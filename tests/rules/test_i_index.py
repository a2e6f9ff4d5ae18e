"""The index of sharded weights, and the shards that it names."""

from __future__ import annotations

from typing import Any

import pytest

from preflight.findings import CannotTell, Severity, Unavailable
from preflight.model.files import FileKind
from preflight.model.headers import Broken, Cause
from preflight.rules import Rule
from preflight.rules.i_index import (
    INDEX,
    index_agrees_with_shards,
    index_readable,
    index_total_is_the_sum,
    no_foreign_weights,
    shard_names_sound,
    shards_have_an_index,
    shards_present,
)
from tests.cases import case
from tests.rules.inputs import entry, files, problems, severities, tensor, told
from tests.rules.inputs_full import FIRST, SECOND, index_of, shard

GOOD = index_of({FIRST: ["a", "b"], SECOND: ["c"]})
SHARDS = (shard(FIRST, "a", "b"), shard(SECOND, "c"))
EVERY_RULE_WITH_A_MAP: tuple[tuple[Rule, dict[str, object]], ...] = (
    (shards_present, {"files": files(FIRST)}),
    (no_foreign_weights, {"containers": SHARDS}),
    (index_agrees_with_shards, {"containers": SHARDS}),
    (shard_names_sound, {}),
)


def test_index_readable() -> None:
    cases: list[tuple[object, str]] = [
        (GOOD, ""),
        ({"weight_map": {"a": FIRST, "b": 1, "c": None}}, "so 2 of 3 entries"),
        ({"weight_map": [FIRST]}, "weight_map: is a list"),
        ({"weight_map": {}}, "names no tensor"),
        ({}, "weight_map: is missing"),
        (Unavailable("the index is not JSON"), "the index is not JSON"),
    ]
    for index, words in cases:
        with case(index, words):
            found = told(index_readable, index=index, files=files(INDEX))
            assert (words in found) if words else not found


@pytest.mark.parametrize(("size", "count"), [(10 << 20, 0), ((10 << 20) + 1, 1)])
def test_index_of_at_most_ten_mebibytes(size: int, count: int) -> None:
    found = files(entry(INDEX, size=size))
    assert len(severities(index_readable, index=GOOD, files=found)) == count


def test_no_index_is_another_rules_matter() -> None:
    assert not told(index_readable, index=Unavailable("none"), files=files("a"))


def test_shards_present() -> None:
    assert not told(shards_present, index=GOOD, files=files(FIRST, SECOND))
    missing = told(shards_present, index=GOOD, files=files(FIRST))
    assert missing == f"{SECOND}: missing; the index has 1 tensors in it"
    folder = entry(SECOND, kind=FileKind.DIRECTORY)
    assert "is a directory" in told(
        shards_present, index=GOOD, files=files(FIRST, folder)
    )


def test_without_a_map_nothing_is_proven() -> None:
    for rule, facts in EVERY_RULE_WITH_A_MAP:
        with case(rule, facts):
            answers = list(rule.check(index={"weight_map": 7}, **facts))
            assert [type(answer) for answer in answers] == [CannotTell]


def test_no_foreign_weights() -> None:
    cases: list[tuple[tuple[Any, ...], list[str]]] = [
        ((), []),
        ((shard("model.safetensors", "a", "b", "c"),), ["model.safetensors"]),
        (
            (Broken("model-00001-of-00099.safetensors", Cause.TRUNCATED, "short"),),
            ["model-00001-of-00099.safetensors"],
        ),
    ]
    for strangers, names in cases:
        with case(strangers, names):
            containers = (*SHARDS, *strangers)
            found = problems(no_foreign_weights, index=GOOD, containers=containers)
            assert [problem.where for problem in found] == names


def test_index_agrees_with_shards() -> None:
    cases: list[tuple[object, object, list[str]]] = [
        (GOOD, SHARDS, []),
        (
            index_of({FIRST: ["a", "b", "ghost"], SECOND: ["c"]}), SHARDS,
            ["ghost: the index has it in model-00001", "so 1 of 4 tensors"],
        ),
        (
            index_of({FIRST: ["a"], SECOND: ["c"]}), SHARDS,
            ["b: lies in model-00001", "is not in the index; so 1 of 3"],
        ),
        (
            index_of({FIRST: ["a"], SECOND: ["b", "c"]}), SHARDS,
            ["b: the index has it in model-00002", "it lies in model-00001"],
        ),
        (
            GOOD, (shard(FIRST, "a", "b"), shard(SECOND, "a", "c")),
            ["a: lies in more than one file"],
        ),
    ]  # fmt: skip
    for index, containers, words in cases:
        with case(index, containers, words):
            found = told(index_agrees_with_shards, index=index, containers=containers)
            assert all(word in found for word in words)
            assert bool(found) is bool(words)


def test_many_tensors_of_one_cause_are_one_problem() -> None:
    names = [f"layer.{number}" for number in range(500)]
    containers = (shard(FIRST, *names), shard(SECOND, "c"))
    index = index_of({SECOND: [*names, "c"], FIRST: []})
    found = severities(index_agrees_with_shards, index=index, containers=containers)
    # The index does not name the first shard at all, and all its tensors elsewhere.
    assert len(found) == 1


def test_broken_shard_proves_nothing_of_its_tensors() -> None:
    broken = Broken(SECOND, Cause.TRUNCATED, "short")
    containers = (shard(FIRST, "a", "b"), broken)
    answers = list(index_agrees_with_shards.check(index=GOOD, containers=containers))
    assert [type(answer) for answer in answers] == [CannotTell]


TENSORS = (tensor("a"), tensor("b", (4,), "BF16"))  # 256 and 8 bytes


def test_index_total() -> None:
    cases: list[tuple[dict[str, object], str]] = [
        ({"total_size": 264}, ""),
        ({"total_size": 264.0}, ""),
        ({"total_size": 263}, "is 263, the tensors have 264 bytes"),
        ({"total_size": "264"}, "is no number but a str"),
        ({"total_size": True}, "is no number but a bool"),
        ({}, "missing"),
    ]
    for metadata, words in cases:
        with case(metadata, words):
            index = index_of({FIRST: ["a"], SECOND: ["b"]}, **metadata)
            found = told(index_total_is_the_sum, index=index, tensors=TENSORS)
            assert (words in found) if words else not found
            assert set(
                severities(index_total_is_the_sum, index=index, tensors=TENSORS)
            ) <= {Severity.WARNING}


def test_index_without_metadata() -> None:
    cases: list[dict[str, object]] = [{"metadata": []}, {"metadata": None}, {}]
    for index in cases:
        with case(index):
            assert "missing" in told(
                index_total_is_the_sum, index=index, tensors=TENSORS
            )


def test_shard_names() -> None:
    cases: list[tuple[list[str], str]] = [
        ([FIRST, SECOND], ""),
        (["model.safetensors"], ""),
        (["model-00000-of-00002.safetensors", "model-00001-of-00002.safetensors"], ""),
        ([FIRST], "names 1 of 2 shards; number 2"),
        ([FIRST, "model-00002-of-00003.safetensors"], "-of-2, -of-3"),
        (["/etc/model.safetensors"], "leads elsewhere"),
        (["../model.safetensors"], "leads elsewhere"),
        (["shards/model.safetensors"], "leads elsewhere"),
        (["shards\\model.safetensors"], "leads elsewhere"),
        (["..", FIRST, SECOND], "leads elsewhere"),
        ([""], "leads elsewhere"),
        (["weights.safetensors"], "would not be uploaded"),
        (["model.bin"], "would not be uploaded"),
        (["model-1-of-" + "9" * 5000 + ".safetensors"], ""),
    ]
    for names, words in cases:
        with case(names, words):
            index = index_of({name: [f"t{n}"] for n, name in enumerate(names)})
            found = told(shard_names_sound, index=index)
            assert (words in found) if words else not found


def test_shards_have_an_index() -> None:
    cases: list[tuple[list[str], str]] = [
        (["model.safetensors"], ""),
        ([FIRST, SECOND], "there are 2 weight files"),
        (["model-00001-of-00001.safetensors"], "has to be called model.safetensors"),
    ]
    for names, words in cases:
        with case(names, words):
            containers = tuple(shard(name, "a") for name in names)
            found = told(
                shards_have_an_index, containers=containers, files=files(*names)
            )
            assert (words in found) if words else not found
            there = files(*names, INDEX)
            assert not told(shards_have_an_index, containers=containers, files=there)


def test_one_file_that_is_all_of_the_model_is_renamed() -> None:
    for name, fix in (
        ("model-00001-of-00001.safetensors", "Rename model-00001-of-00001.saf"),
        ("model_final.safetensors", "Rename model_final.safetensors to model.saf"),
        (FIRST, ""),
    ):
        facts = {"containers": (shard(name, "a"),), "files": files(name)}
        (found,) = problems(shards_have_an_index, **facts)
        assert found.fix.startswith(fix)
        assert bool(found.fix) is bool(fix)


def test_index_under_another_name_is_named() -> None:
    near = "Model.safetensors.index.json"
    containers = (shard(FIRST, "a"), shard(SECOND, "b"))
    there = files(FIRST, SECOND, near)
    found = told(shards_have_an_index, containers=containers, files=there)
    assert f"{near} looks like it" in found
