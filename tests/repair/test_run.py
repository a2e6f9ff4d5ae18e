"""Every repair: failing before, passing after, same effect, the source untouched."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fixtures.faults import FAULTS
from fixtures.tiny import TINY_TEXT, TINY_VL
from preflight.api import check
from preflight.findings import Verdict
from preflight.model.source import LocalDirectory
from preflight.pipeline.options import CheckOptions
from preflight.record import Gatherer, RunRecord
from preflight.repair import REPAIRS
from preflight.repair.draft import Losses
from preflight.repair.plan import RepairPlan, planned_repair
from preflight.repair.run import repaired
from tests.cases import case
from tests.depth import examples
from tests.repair.conftest import adapter, full
from tests.repair.effect import raw_tensors, same_effect, snapshot
from tests.running import InProcess

WEIGHTS = "adapter_model.safetensors"
QUIET = ("--progress", "off")  # a slow machine would tell how far it is


@dataclass(frozen=True)
class Case:
    """A fault and what repairs it; `moved`: the tensors' bytes stay as they are.

    `own`: the effect is that of the broken directory itself, which can be read.
    """

    fault: str
    repair: str
    moved: bool = True
    own: bool = False
    flags: tuple[str, ...] = ()


ADAPTERS = [
    *(Case(name, "key-names") for name in (
        "orig-mod", "data-parallel", "no-prefix", "fsdp-wrapped", "checkpoint-wrapped",
        "default-names", "torchtune", "no-weight-suffix",
    )),
    Case("language-model-segment", "layer-paths"),
    Case("transposed", "turned-matrices", moved=False, own=False),
    *(Case(name, "json-text") for name in (
        "config-bom", "config-utf16", "config-nan", "config-comma", "config-twice",
    )),
    Case("peft-type-lower", "adapter-type"),
    Case("targets-null", "target-modules"),
    Case("targets-object", "target-modules"),
    *(Case(name, "rank-of-tensors") for name in (
        "rank-text", "rank-float", "rank-true", "rank-null", "rank-string",
        "rank-differs", "rank-negative",
    )),
    *(Case(name, "unused-switches") for name in (
        "lora-bias-flag", "bias-lora-only", "modules-to-save-flag",
        "token-indices-flag",
    )),
    *(Case(name, "one-rank-and-scale", moved=False, own=True) for name in (
        "rank-1", "rank-4", "rank-12", "rank-pattern", "alpha-pattern",
    )),
    Case("rslora", "one-rank-and-scale", own=True),
    Case("dtype-f64", "one-format", moved=False, own=True),
    Case("mixed-dtypes", "one-format", moved=False, own=True),
    Case("no-format", "container-metadata"),
    *(Case(name, "described-tensors") for name in (
        "trailing-bytes", "number-metadata",
    )),
    *(Case(name, "foreign-config") for name in ("architecture", "layers")),
    *(Case(name, "weights-renamed") for name in (
        "name-case", "name-copy", "name-adapt", "name-model", "weights-in-default",
        "mlx-adapter",
    )),
    Case("config-copy", "config-renamed"),
    *(Case(name, "inner-directory") for name in (
        "in-checkpoint", "in-merged", "in-epoch", "in-converted",
    )),
    Case("link-outside", "link-followed"),
    *(Case(name, "broken-files") for name in (
        "empty-config", "empty-tokenizer", "tokenizer-broken",
    )),
    *(Case(name, "leftovers") for name in (
        "temporary", "incomplete", "tmp-checkpoint",
    )),
    *(Case(name, "foreign-template") for name in (
        "template-jinja", "template-tokenizer-config", "template-json",
        "template-model-config", "template-list", "template-number",
        "template-disagree", "template-word", "template-extra",
    )),
    Case("rank-128", "reduced-rank", flags=("--reduce-rank",), moved=False),
    *(Case(name, "dropped-head", flags=("--drop-head",)) for name in (
        "lm-head-lora", "unembed-lora", "embedding-lora", "embed-saved",
        "lm-head-saved", "trainable-tokens", "vocab-resized", "stray-lm-head",
    )),
    Case("stray-norm", "dropped-modules", flags=("--drop-saved-modules",)),
    Case("bias-all", "dropped-bias", flags=("--drop-bias",)),
    Case("lora-bias", "dropped-bias", flags=("--drop-bias",)),
    *(Case(name, "dropped-vision", flags=("--drop-vision",)) for name in (
        "visual-keys", "visual-keys-old", "convolution-lora", "visual-first",
    )),
    *(Case(name, "base-tokenizer", flags=("--base-tokenizer",)) for name in (
        "token-in-tokenizer", "token-in-config", "token-in-added", "token-in-map",
        "token-in-extra", "token-renamed", "vocabulary-grown", "tokens-no-list",
    )),
]  # fmt: skip


def failed(directory: Path, base: str | None = None) -> set[str]:
    """The codes of the rules that a check of this directory says failed."""
    found = check(directory, base_model=base)
    return {outcome.code for outcome in (*found.errors, *found.warnings)}


def repairs(cases: Sequence[Case]) -> Mapping[str, list[Case]]:
    """The cases by the repair that they are for."""
    found: dict[str, list[Case]] = {}
    for each in cases:
        found.setdefault(each.repair, []).append(each)
    return found


@dataclass(frozen=True, slots=True)
class Repaired:
    """A broken directory, and what `fix` made of it."""

    broken: Path
    new: Path
    flags: tuple[str, ...]


def fixed(each: Case, broken: Path, run: InProcess, *flags: str) -> Repaired:
    """Break, repair and look: what holds of every repair, whatever it is for."""
    FAULTS[each.fault].apply(broken)
    new = broken.with_name(f"{broken.name}-new")
    base = flags[flags.index("--base-model") + 1] if "--base-model" in flags else None
    before, codes = snapshot(broken), failed(broken, base)
    assert codes
    done = run("fix", broken, "-o", new, "--format", "json", *QUIET, *flags)
    assert (done.code, done.err) == (0, "")
    steps = {step["name"]: step for step in done.document["repair"]["steps"]}
    assert steps[each.repair]["lossless"] is not bool(_losing(each))
    assert set(steps[each.repair]["codes"]) & codes
    assert failed(new, base) == set()
    assert snapshot(broken) == before
    return Repaired(broken, new, flags)


def _losing(each: Case) -> set[str]:
    return set(each.flags) - {"--base-dir"}


@pytest.mark.parametrize("repair", repairs(ADAPTERS))
def test_an_adapter_is_repaired(
    repair: str, preflight: InProcess, tmp_path: Path
) -> None:
    good = adapter(tmp_path / "good")
    moved = sorted(data for _, _, data in raw_tensors(good / WEIGHTS).values())
    cases = repairs(ADAPTERS)[repair]
    done, *_ = [_adapter_repaired(each, good, moved, preflight) for each in cases]
    # What is lost only where it is asked for is the repair's, not the single fault's.
    other = tmp_path / "other"
    words = ("-n",) if done.flags == () else ()
    code = preflight("fix", done.broken, "-o", other, "-q", *words).code
    assert code == (0 if done.flags == () else 1)
    assert not other.exists()


def _adapter_repaired(
    each: Case, good: Path, moved: list[bytes], run: InProcess
) -> Repaired:
    with case(each.fault):
        done = fixed(each, adapter(good.with_name(each.fault)), run, *each.flags)
        if each.moved:
            tensors = raw_tensors(done.new / WEIGHTS).values()
            assert sorted(data for _, _, data in tensors) == moved
        if each.own:
            assert same_effect(done.broken, done.new)
        elif each.moved and each.fault != "rank-negative":
            assert same_effect(good, done.new)
    return done


FULL = [
    *(Case(name, "index-rebuilt") for name in (
        "index-total", "index-total-text", "index-no-metadata", "index-absolute",
        "index-parent", "index-nested", "index-number", "index-ghost",
        "index-unlisted", "index-other-shard", "index-list", "index-no-map",
        "index-missing", "index-broken", "shard-foreign", "shard-second-set",
        "index-stale", "shard-duplicate", "shard-names", "shard-swapped",
    )),
    Case("prefix-in-memory", "full-names"),
    Case("shards-of-torchtune", "shards-renamed"),
    *(Case(name, "described-tensors") for name in (
        "trailing-bytes", "number-metadata",
    )),
    Case("no-format", "container-metadata"),
    Case("in-merged", "inner-directory"),
    Case("temporary", "leftovers"),
    Case("image-processor-class", "image-processor"),
    Case("image-processor-size", "image-processor"),
    Case("tokenizer-class-of-5", "older-fields"),
    Case("extra-tokens-of-5", "older-fields"),
    Case("rope-of-5", "older-fields"),
    Case("template-model-config", "base-template"),
    *(Case(name, "base-template", flags=("--base-dir",)) for name in (
        "no-template", "template-jinja", "template-list",
    )),
    *(Case(name, "base-files", flags=("--base-dir",)) for name in (
        "no-config", "no-generation-config", "no-tokenizer", "empty-config",
        "empty-tokenizer", "config-not-json", "tokenizer-broken",
        "no-image-processor",
    )),
    Case("token-in-tokenizer", "base-tokenizer", flags=(
        "--base-dir", "--base-tokenizer",
    )),
]  # fmt: skip


@pytest.mark.parametrize("repair", repairs(FULL))
def test_full_weights_are_repaired(
    repair: str, preflight: InProcess, tmp_path: Path
) -> None:
    for each in repairs(FULL)[repair]:
        with case(each.fault):
            base = TINY_VL if "image" in each.fault else TINY_TEXT
            good = tmp_path / base
            if not good.exists():
                full(good, base)
            flags = ["--base-model", base]
            for flag in each.flags:
                flags += [flag, str(good)] if flag == "--base-dir" else [flag]
            broken = full(tmp_path / each.fault, base)
            done = fixed(each, broken, preflight, *flags)
            assert _tensors(done.new) == _tensors(good)


def _tensors(directory: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in directory.glob("*.safetensors"):
        found.update(raw_tensors(path))
    return found


def test_every_repair_has_a_case() -> None:
    tested = {case.repair for case in (*ADAPTERS, *FULL)}
    elsewhere = {
        "shards-joined", "pickle-converted", "full-pickle-converted", "mlx-converted",
        "experts-apart", "tied-head", "class-name", "stated-dtype",
    }  # fmt: skip
    assert tested | elsewhere == {repair.name for repair in REPAIRS}
    assert not tested & elsewhere


# Many at once


AT_ONCE = (
    "rank-12", "rslora", "alpha-pattern", "no-format", "mixed-dtypes",
    "orig-mod", "default-names", "language-model-segment", "fsdp-wrapped",
    "modules-to-save-flag", "token-indices-flag", "lora-bias-flag",
    "targets-null", "peft-type-lower", "rank-string",
    "template-tokenizer-config", "tokenizer-broken", "empty-config",
    "temporary", "name-copy", "config-comma", "config-bom",
)  # fmt: skip


def test_a_directory_that_many_faults_broke_at_once_is_ready_after_one_fix(
    preflight: InProcess, tmp_path: Path
) -> None:
    broken, trained = tmp_path / "broken", tmp_path / "trained"
    adapter(broken)
    for name in AT_ONCE:
        if name == "mixed-dtypes":  # what is trained ends here; the rest breaks it
            FAULTS[name].apply(broken)
            shutil.copytree(broken, trained)
        else:
            FAULTS[name].apply(broken)
    before = snapshot(broken)
    assert len(AT_ONCE) >= 15
    done = preflight("fix", broken, "-o", tmp_path / "new", *QUIET)
    assert (done.code, done.err) == (0, ""), done.out + done.err
    assert "READY" in done.out
    assert failed(tmp_path / "new") == set()
    assert snapshot(broken) == before
    assert same_effect(trained, tmp_path / "new")


# What cannot be repaired


BEYOND = (
    "truncated", "header-hole", "lfs-pointer", "missing-b", "wrong-width",
    "alpha-zero", "alpha-text", "config-cut", "mixed-ranks", "fsdp-half-rank",
    "dora", "pissa", "nan-first", "b-all-zero", "no-weights", "only-bin",
    "decoder-segment", "beside-tower", "base-coder", "fifo", "dangling-link",
)  # fmt: skip


def test_what_cannot_be_repaired_is_told_and_nothing_is_made(
    preflight: InProcess, tmp_path: Path
) -> None:
    for fault in BEYOND:
        with case(fault):
            place = tmp_path / fault
            broken = adapter(place / "broken")
            FAULTS[fault].apply(broken)
            before, codes = snapshot(broken), failed(broken)
            words = ("-o", place / "new", "--format", "json")
            done = preflight("fix", broken, *words)
            assert done.code == 1
            outcomes = done.document["outcomes"]
            assert {o["code"] for o in outcomes if o["result"] == "failed"} & codes
            assert [p.name for p in place.iterdir()] == ["broken"]
            assert snapshot(broken) == before


@pytest.mark.parametrize("fault", ["shard-missing", "lfs-pointer", "shard-repeated"])
def test_a_shard_that_is_gone_is_never_repaired_away(
    fault: str, preflight: InProcess, tmp_path: Path
) -> None:
    """Also where no base is known that would miss its tensors."""
    broken, new = full(tmp_path / "broken"), tmp_path / "new"
    FAULTS[fault].apply(broken)
    (broken / "README.md").unlink(missing_ok=True)
    for words in ([], ["--base-model", TINY_TEXT]):
        assert preflight("fix", broken, "-o", new, "-q", *words).code == 1
        assert not new.exists()


# Killed, interrupted, full


def _planned(directory: Path) -> tuple[CheckOptions, RepairPlan]:
    options = CheckOptions(LocalDirectory(directory))
    return options, planned_repair(options, Losses())


def test_a_kill_at_any_instant_leaves_nothing_or_the_whole(
    preflight: InProcess, tmp_path: Path
) -> None:
    broken = adapter(tmp_path / "broken")
    for name in ("rank-12", "orig-mod"):
        FAULTS[name].apply(broken)
    options, plan = _planned(broken)
    before = snapshot(broken)
    instants: list[str] = []
    repaired(plan, options, tmp_path / "whole", _observer(), between=instants.append)
    assert failed(tmp_path / "whole") == set()
    whole = _digests(tmp_path / "whole")
    for at in _chosen(instants):
        with case(instants[at], at):
            place = tmp_path / str(at)
            place.mkdir()
            _killed(broken, place / "new", at)
            assert snapshot(broken) == before
            if (place / "new").exists():
                assert _digests(place / "new") == whole
            # The next run goes on as if nothing had been, and leaves nothing of the
            # dead one.
            assert preflight("fix", broken, "-o", place / "new", "-q").code == 0
            assert [path.name for path in place.iterdir()] == ["new"]
            assert _digests(place / "new") == whole


def _chosen(instants: list[str]) -> list[int]:
    """One instant of each kind; `make fuzz` takes them all."""
    if examples(1) > 1:
        return list(range(len(instants)))
    kinds: dict[str, int] = {}
    for at, told in enumerate(instants):
        verb, _, what = told.partition(" ")
        kinds[f"{verb} {'' if what.endswith('.json') else what}"] = at
    assert len(kinds) >= 7
    return sorted(kinds.values())


def _digests(directory: Path) -> dict[str, str]:
    return {name: found[0] for name, found in snapshot(directory).items()}


def _observer() -> Gatherer:
    return Gatherer(RunRecord("fix"))


def _killed(broken: Path, target: Path, at: int) -> None:
    """Repair in a process that kills itself at one of those instants."""
    child = os.fork()
    if child == 0:
        left = at

        def between(_: str) -> None:
            nonlocal left
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

        options, plan = _planned(broken)
        repaired(plan, options, target, _observer(), between=between)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status)


def test_ctrl_c_and_a_full_disk_leave_nothing(tmp_path: Path) -> None:
    broken = adapter(tmp_path / "broken")
    FAULTS["orig-mod"].apply(broken)
    options, plan = _planned(broken)
    for error in (KeyboardInterrupt(), OSError(28, "No space left on device")):

        def between(word: str, error: BaseException = error) -> None:
            if word == "within":
                raise error

        with pytest.raises(type(error)):
            repaired(plan, options, tmp_path / "new", _observer(), between=between)
        assert [p.name for p in tmp_path.iterdir()] == ["broken"]


def test_the_outlook_is_what_comes_of_it(tmp_path: Path) -> None:
    broken = adapter(tmp_path / "broken")
    FAULTS["rank-4"].apply(broken)
    _, plan = _planned(broken)
    assert plan.before.verdict is Verdict.FAIL
    assert plan.outlook.verdict is Verdict.PASS
