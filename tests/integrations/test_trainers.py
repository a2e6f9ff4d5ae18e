"""The callback in real trainers, each in an environment of its own."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integrations.environments import (
    BASE,
    SCRIPTS,
    Workplace,
    python_of,
    workplace,
)

pytestmark = pytest.mark.timeout(600)
RECORD = Path(__file__).with_name("recorded.json")
GENERATIONS = ("transformers-4", "transformers-5")


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workplace]:
    monkeypatch.setenv("PREFLIGHT_BASES", "")  # restored at the end
    with workplace(tmp_path) as made:
        yield made


def train(place: Workplace, name: str, *ways: str) -> tuple[int, str, str]:
    words = (BASE, str(place.out), place.destination, *ways)
    done = place.run(python_of(name), str(SCRIPTS / "train.py"), *words)
    return done.code, done.out, done.err


def hold(name: str, place: Workplace, out: str = "") -> None:
    """Compare what a run showed with what is on record, or put it there."""
    saves = sorted(place.folder.glob("out/adapter/**/checkpoint-*"))
    told = [line[5:] for line in out.splitlines() if line.startswith("told ")]
    seen = {
        "saves": [save.name for save in saves],
        "files": sorted(path.name for path in saves[-1].iterdir()),
        "events": [json.loads(line) for line in told],
    }
    known = json.loads(RECORD.read_text("utf-8")) if RECORD.exists() else {}
    if os.environ.get("PREFLIGHT_INTEGRATIONS_RECORD"):
        text = json.dumps({**known, name: seen}, indent=1, sort_keys=True)
        RECORD.write_text(text + "\n", "utf-8")
    else:
        assert seen == known[name]


@pytest.mark.parametrize("name", GENERATIONS)
@pytest.mark.parametrize("way", ["adapter", "words", "full words"])
def test_a_training_ends_as_an_imported_model(
    place: Workplace, name: str, way: str
) -> None:
    code, out, err = train(place, name, *way.split())
    assert code == 0, err
    assert "steps 6" in out
    (job,) = place.box.studio.jobs()
    assert place.box.studio.model_is_valid(job.id)
    assert job.display_name == "adapter-6"
    assert job.source.prefix.startswith("models/adapter-6-")
    if way == "words":
        hold(name, place, out)


@pytest.mark.parametrize("name", GENERATIONS)
def test_a_nan_stops_at_the_save_that_holds_it(place: Workplace, name: str) -> None:
    code, out, err = train(place, name, "nan")
    assert code == 0, err
    assert "steps 4" in out
    assert "checkpoint-4: the model would not import" in err
    assert "S10 adapter-values-finite" in err
    assert "training stops at step 4" in err
    assert not list(place.box.oss.objects(place.box.bucket))


@pytest.mark.parametrize("name", GENERATIONS)
def test_all_processes_stop_when_the_first_finds_a_nan(
    place: Workplace, name: str
) -> None:
    words = (BASE, str(place.out), place.destination, "nan")
    launch = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")
    done = place.run(python_of(name), *launch, str(SCRIPTS / "train.py"), *words)
    assert done.code == 0, done.err
    assert done.out.count("steps 4") == 2


@pytest.mark.parametrize("name", GENERATIONS)
def test_two_processes_push_once(place: Workplace, name: str) -> None:
    words = (BASE, str(place.out), place.destination)
    launch = ("-m", "torch.distributed.run", "--nproc-per-node=2", "--standalone")
    done = place.run(python_of(name), *launch, str(SCRIPTS / "train.py"), *words)
    assert done.code == 0, done.err
    assert done.out.count("steps 6") == 2
    assert len(place.box.studio.jobs()) == 1


def test_what_lacks_beside_the_weights_stops_nothing_and_is_told(
    place: Workplace,
) -> None:
    code, out, err = train(place, "transformers-5", "full")
    assert code == 0, err
    assert "steps 6" in out
    assert err.count("would not import") == 4
    assert "checkpoint-6 was not imported" in err
    assert not place.box.studio.jobs()


def test_who_asks_for_it_gets_an_error(place: Workplace) -> None:
    code, out, err = train(place, "transformers-5", "nan", "raise")
    assert code == 1
    assert "steps" not in out
    assert "RulesFailed: the model would not import" in err


def imported(place: Workplace) -> str:
    """The console's name of the one model that was imported and is valid."""
    (job,) = place.box.studio.jobs()
    for _ in range(3):  # it was not waited for, and goes on when it is looked at
        place.box.studio.get(job.id)
    assert place.box.studio.model_is_valid(job.id)
    return job.display_name


@pytest.mark.parametrize("name", GENERATIONS)
def test_the_example_for_trl(place: Workplace, name: str) -> None:
    place.write_rows()
    place.write_example(
        "train_sft.py", **{"save_steps=500": "save_steps=2, max_steps=4, use_cpu=True"}
    )
    done = place.run(python_of(name), "train_sft.py")
    assert done.code == 0, done.err
    assert imported(place) == "adapter-4", done.err
    hold(f"trl on {name}", place)


def test_the_example_for_llama_factory(place: Workplace) -> None:
    place.write_rows()
    place.write_example("llama-factory/train.py")
    place.write_example(
        "llama-factory/qwen3_lora.yaml",
        **{"save_steps: 500": "save_steps: 2\nmax_steps: 4\nuse_cpu: true"},
    )
    done = place.run(python_of("llama-factory"), "train.py", "qwen3_lora.yaml")
    assert done.code == 0, done.err
    assert imported(place) == "adapter-4", done.err
    hold("llama-factory", place)


def test_the_example_for_ms_swift(place: Workplace) -> None:
    """Called as its docstring says."""
    place.write_rows()
    place.write_example("ms-swift/preflight_plugin.py")
    text = (place.folder / "preflight_plugin.py").read_text("utf-8")
    called = text.split('"""')[1].partition("\n\n")[2]
    words = shlex.split(called.replace("\\\n", " "))
    small = (
        *("--model_type", "qwen3", "--template", "qwen3_nothinking"),
        *("--use_cpu", "true", "--torch_dtype", "float32", "--max_length", "256"),
        *("--save_steps", "2", "--max_steps", "4", "--eval_strategy", "no"),
    )
    python = python_of("ms-swift")
    swift = str(Path(python).with_name("swift"))
    done = place.run(swift, *words[1:], *small)
    assert done.code == 0, done.err
    assert imported(place).endswith("-4"), done.err
    hold("ms-swift", place)
