from __future__ import annotations

from collections.abc import Mapping

import pytest

from preflight.catalog.trainers import recognise
from preflight.findings import Severity, Unavailable, WeightType
from preflight.model.files import FileEntry, FileKind
from preflight.model.identity import identify
from preflight.model.weight_type import decide_weight_type
from preflight.rules.d_directory import (
    adapter_files_present,
    directory_readable,
    full_files_present,
    weight_type_decidable,
    weights_at_the_top,
)
from tests.cases import case
from tests.rules.inputs import HERE, entry, files, problems, severities, told, walk

LORA, FULL = WeightType.LORA, WeightType.FULL
NOT_ASKED = Unavailable("no base was asked for")
UNKNOWN = Unavailable("neither adapter nor full weights")
WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
TOP = "model.safetensors"


def asked_nothing(
    there: Mapping[str, FileEntry], kind: WeightType | Unavailable
) -> dict[str, object]:
    facts = {"location": HERE, "files": there, "weight_type": kind}
    return {**facts, "requested": NOT_ASKED}


def test_directory_must_hold_something() -> None:
    empty = told(directory_readable, walk=walk(), weight_type=UNKNOWN)
    assert "empty" in empty
    closed = walk(unreadable=(".",))
    found = told(directory_readable, walk=closed, weight_type=UNKNOWN)
    assert "permission" in found
    assert "empty" not in found
    one = walk(WEIGHTS, unreadable=("lost+found",))
    assert problems(directory_readable, walk=one, weight_type=LORA) == []


def test_only_what_goes_up_must_be_readable() -> None:
    cases: list[tuple[str, int]] = [
        (WEIGHTS, 1),
        ("optimizer.pt", 0),
        (f"sub/{WEIGHTS}", 0),
    ]
    for name, count in cases:
        with case(name, count):
            found = walk(entry(name, readable=False), "README.md")
            assert (
                len(problems(directory_readable, walk=found, weight_type=LORA)) == count
            )


def test_stopped_walk_is_a_warning() -> None:
    found = walk(WEIGHTS, complete=False)
    facts = {"walk": found, "weight_type": LORA}
    assert severities(directory_readable, **facts) == [Severity.WARNING]


@pytest.mark.parametrize("kind", [LORA, FULL])
def test_decided_weight_type_is_enough(kind: WeightType) -> None:
    both = files(WEIGHTS, TOP)
    facts = {
        "location": HERE,
        "files": both,
        "weight_type": kind,
        "requested": NOT_ASKED,
    }
    assert problems(weight_type_decidable, **facts) == []


def test_mixture_gives_a_command_for_each() -> None:
    both = files(WEIGHTS, CONFIG, "model-00001-of-00002.safetensors")
    kind = decide_weight_type(both)
    facts = {
        "location": HERE,
        "files": both,
        "weight_type": kind,
        "requested": NOT_ASKED,
    }
    text = told(weight_type_decidable, **facts)
    assert "preflight check '/models/run 1' --weight-type lora" in text
    assert "preflight check '/models/run 1' --weight-type full" in text


def test_the_commands_keep_the_base_that_was_asked_for() -> None:
    both = files(WEIGHTS, CONFIG, TOP)
    facts = {"location": HERE, "files": both, "weight_type": decide_weight_type(both)}
    text = told(weight_type_decidable, **facts, requested=identify("qwen3-8b"))
    assert text.count("--base-model qwen3-8b") == 2


def test_adapter_saved_as_model_is_named() -> None:
    both = files(CONFIG, TOP)
    kind = decide_weight_type(both)
    facts = {
        "location": HERE,
        "files": both,
        "weight_type": kind,
        "requested": NOT_ASKED,
    }
    assert f"no {WEIGHTS}" in told(weight_type_decidable, **facts)


def test_no_weights_at_all_is_one_problem() -> None:
    kind = decide_weight_type(files("notes.txt"))
    facts = {
        "location": HERE,
        "files": files("notes.txt"),
        "weight_type": kind,
        "requested": NOT_ASKED,
    }
    assert len(problems(weight_type_decidable, **facts)) == 1


@pytest.mark.parametrize(
    "name", ["lora.safetensors", "pytorch_lora_weights.safetensors"]
)
def test_strange_weights_alone_are_named(name: str) -> None:
    alone = files(name)
    kind = decide_weight_type(alone)
    facts = {
        "location": HERE,
        "files": alone,
        "weight_type": kind,
        "requested": NOT_ASKED,
    }
    assert f"{name}: no import reads" in told(weight_type_decidable, **facts)


def test_both_adapter_files_are_enough() -> None:
    assert problems(adapter_files_present, files=files(WEIGHTS, CONFIG)) == []


def test_weights_under_another_name_are_found() -> None:
    cases: list[str] = [
        "Adapter_Model.safetensors",
        "adapter_model (1).safetensors",
        "adapter_model-copy.safetensors",
        "adapter_model_2.safetensors",
        "adapter_model copy 2.safetensors",
        "adapter-model.safetensors",
        "adapt_model.safetensors",
        "adapter_model.safetensors.bak",
        "pytorch_lora_weights.safetensors",
    ]
    for meant in cases:
        with case(meant):
            text = told(adapter_files_present, files=files(meant, CONFIG))
            assert (
                text == f"{WEIGHTS}: missing; {meant} looks like it under another name"
            )


def test_config_under_another_name_is_found() -> None:
    cases: list[str] = [
        "adapter_config (1).json",
        "adapt_model.config.json",
        "ADAPTER_CONFIG.json",
    ]
    for meant in cases:
        with case(meant):
            text = told(adapter_files_present, files=files(meant, WEIGHTS))
            assert (
                text == f"{CONFIG}: missing; {meant} looks like it under another name"
            )


def test_names_made_of_digits_take_no_time() -> None:
    assert told(adapter_files_present, files=files("1" * 250, CONFIG)).endswith("sing")


def test_other_files_are_not_taken_for_it() -> None:
    cases: list[str] = ["optimizer.pt", "model.safetensors", "config.json"]
    for other in cases:
        with case(other):
            assert told(adapter_files_present, files=files(other, CONFIG)).endswith(
                ": missing"
            )


def test_directory_of_that_name_is_no_file() -> None:
    odd = files(entry(WEIGHTS, kind=FileKind.DIRECTORY), CONFIG)
    assert "is a directory, not a file" in told(adapter_files_present, files=odd)


FULL_FILES = ("config.json", "tokenizer_config.json", "generation_config.json", TOP)


def test_full_weights_need_their_files() -> None:
    cases: list[tuple[str, list[str], list[Severity]]] = [
        ("", ["tokenizer.json"], []),
        ("", ["vocab.json", "merges.txt"], []),
        ("", ["vocab.json"], [Severity.ERROR]),
        ("config.json", ["tokenizer.json"], [Severity.ERROR]),
        ("tokenizer_config.json", ["tokenizer.json"], [Severity.ERROR]),
        ("generation_config.json", ["tokenizer.json"], [Severity.WARNING]),
        (TOP, ["tokenizer.json"], [Severity.ERROR]),
        (TOP, ["tokenizer.json", "model-00001-of-00001.safetensors"], []),
        (TOP, ["tokenizer.json", "lora.safetensors"], [Severity.ERROR]),
    ]
    for left_out, added, expected in cases:
        with case(left_out, added, expected):
            there = files(*(name for name in FULL_FILES if name != left_out), *added)
            assert severities(full_files_present, files=there, traces=()) == expected


def test_full_weights_under_another_name_are_named() -> None:
    there = files(*FULL_FILES[:-1], "tokenizer.json", "pytorch_model.safetensors")
    said = told(full_files_present, files=there, traces=())
    assert "pytorch_model.safetensors lies there under another name" in said


def test_each_cause_has_a_remedy_of_its_own() -> None:
    there = files("notes.txt")
    found = problems(full_files_present, files=there, traces=())
    fixes = {p.where: p.fix or full_files_present.fix for p in found}
    assert "save_pretrained" in fixes["config.json"]
    assert "AutoTokenizer" in fixes["tokenizer_config.json"] == fixes["tokenizer.json"]
    assert "generation_config" in fixes["generation_config.json"]
    assert "tokenizer" in fixes[TOP]
    assert len(set(fixes.values())) == 4
    (renamed, *_) = problems(
        adapter_files_present, files=files("adapter_model 2.safetensors")
    )
    assert renamed.fix.startswith("Rename adapter_model 2.safetensors to")


def test_missing_weights_are_told_once() -> None:
    there = files(*FULL_FILES[:-1], "tokenizer.json", "lit_model.pth")
    traces = recognise(there, {})
    assert problems(full_files_present, files=there, traces=traces) == []


def _below(*names: str, top: tuple[str, ...] = ()) -> str:
    made = [entry(name, mtime_ns=at * 10**18) for at, name in enumerate(names)]
    found = walk(*made, *top)
    facts = {"location": HERE, "walk": found, "files": files(*top)}
    kind = decide_weight_type(files(*top))
    return told(weights_at_the_top, **facts, weight_type=kind, requested=NOT_ASKED)


def test_sub_directories_newest_first_with_their_commands() -> None:
    lines = _below(
        f"checkpoint-400/{WEIGHTS}",
        f"checkpoint-500/{WEIGHTS}",
        "merged/model-00001-of-00002.safetensors",
    ).splitlines()
    assert [line.split("/")[0] for line in lines] == [
        "merged",
        "checkpoint-500",
        "checkpoint-400",
    ]
    assert "full weights" in lines[0]
    assert lines[1].endswith("preflight check '/models/run 1/checkpoint-500'")


def test_config_at_the_top_and_weights_below() -> None:
    assert "default" in _below(f"default/{WEIGHTS}", top=(CONFIG,))


def test_weights_at_the_top_are_enough() -> None:
    cases: list[tuple[str, ...]] = [(WEIGHTS,), (WEIGHTS, CONFIG), (TOP,)]
    for top in cases:
        with case(top):
            assert _below(f"checkpoint-400/{WEIGHTS}", top=top) == ""


def test_hidden_and_empty_candidates_are_left_out() -> None:
    made = [entry(f".cache/{WEIGHTS}"), entry(f"checkpoint-1/{WEIGHTS}", size=0)]
    facts = {"location": HERE, "walk": walk(*made), "files": {}}
    assert (
        problems(weights_at_the_top, **facts, weight_type=UNKNOWN, requested=NOT_ASKED)
        == []
    )


def test_each_folder_is_named_once() -> None:
    shards = [f"merged/model-0000{n}-of-00003.safetensors" for n in (1, 2, 3)]
    assert len(_below(*shards).splitlines()) == 1
