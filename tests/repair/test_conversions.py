"""Adapters and full weights in other forms: pickles, MLX's layout, parts, experts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from fixtures.faults import FAULTS
from fixtures.tensors import Tensor, read_tensors, write_tensors
from fixtures.tiny import TINY_TEXT
from preflight.findings import Unavailable, WeightType
from preflight.model.inspection import inspect
from preflight.model.source import LocalDirectory
from preflight.repair.d_mlx import experts_apart
from preflight.repair.draft import Known, first_draft
from tests.repair.conftest import adapter, full
from tests.repair.effect import raw_tensors, same_effect, snapshot
from tests.repair.torch_files import as_torch_file
from tests.running import InProcess

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
QUIET = ("--progress", "off")  # a slow machine would tell how far it is
MLP = "base_model.model.model.layers.0.mlp"


def holding(name: str, dtype: str, shape: tuple[int, ...], data: bytes) -> Tensor:
    """A tensor that holds these bytes."""
    return Tensor(name, dtype, shape, lambda: [data])


def transposed(one: Tensor) -> bytes:
    """A matrix of F32 the other way round."""
    rows, columns = one.shape
    data = b"".join(one.chunks() if one.chunks else ())
    items = [data[at : at + 4] for at in range(0, len(data), 4)]
    return b"".join(items[r * columns + c] for c in range(columns) for r in range(rows))


def as_mlx(directory: Path, scale: float, **more: object) -> None:
    """The adapter as mlx-lm would have saved it."""
    tensors = []
    for one in read_tensors(directory / WEIGHTS):
        name = one.name.removeprefix("base_model.model.").removesuffix(".weight")
        name = name.replace("lora_A", "lora_a").replace("lora_B", "lora_b")
        data = transposed(one)
        tensors.append(holding(name, one.dtype, one.shape[::-1], data))
    write_tensors(directory / "adapters.safetensors", tensors, None)
    (directory / WEIGHTS).unlink()
    config = json.loads((directory / CONFIG).read_text("utf-8"))
    run = {
        "model": config["base_model_name_or_path"],
        "fine_tune_type": "lora",
        "num_layers": 2,
        "lora_parameters": {"rank": config["r"], "scale": scale, "dropout": 0.0},
        **more,
    }
    (directory / CONFIG).write_text(json.dumps(run), "utf-8")


@pytest.mark.parametrize("scale", [20.0, 2.0, 0.1])
def test_an_adapter_of_mlx(scale: float, preflight: InProcess, tmp_path: Path) -> None:
    good = adapter(tmp_path / "good", trainer="peft-0.21")
    config = json.loads((good / CONFIG).read_text("utf-8"))
    config["lora_alpha"] = scale * config["r"]
    (good / CONFIG).write_text(json.dumps(config), "utf-8")
    broken = Path(shutil.copytree(good, tmp_path / "broken"))
    as_mlx(broken, scale)
    before = snapshot(broken)
    assert preflight("check", broken, "-q").code == 1
    done = preflight("fix", broken, "-o", tmp_path / "new", "--format", "json", *QUIET)
    assert (done.code, done.err) == (0, "")
    names = [step["name"] for step in done.document["repair"]["steps"]]
    assert "mlx-converted" in names
    assert raw_tensors(tmp_path / "new" / WEIGHTS) == raw_tensors(good / WEIGHTS)
    assert same_effect(good, tmp_path / "new")
    assert snapshot(broken) == before


@pytest.mark.parametrize(
    "more",
    [
        {"fine_tune_type": "dora"},
        {"lora_parameters": {"rank": 16}},
        {"lora_parameters": {"rank": 16, "alpha": 8, "scale": 2.0}},
    ],
)
def test_of_mlx_nothing_is_guessed(
    more: dict[str, object], preflight: InProcess, tmp_path: Path
) -> None:
    broken = adapter(tmp_path / "broken", trainer="peft-0.21")
    as_mlx(broken, 2.0, **more)
    done = preflight("fix", broken, "-o", tmp_path / "new")
    assert done.code == 1
    assert "not repaired  mlx-converted: " in done.out
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "name", ["adapter_model.bin", "adapter_model.pt", "lora.pth", WEIGHTS]
)
@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
def test_a_pickled_adapter(
    name: str, dtype: str, preflight: InProcess, tmp_path: Path
) -> None:
    good = adapter(tmp_path / "good", dtype=dtype)
    broken = Path(shutil.copytree(good, tmp_path / "broken"))
    (broken / WEIGHTS).unlink()
    (broken / name).write_bytes(as_torch_file(good / WEIGHTS))
    assert preflight("check", broken, "-q").code == 1
    done = preflight("fix", broken, "-o", tmp_path / "new", "--format", "json", *QUIET)
    assert (done.code, done.err) == (0, "")
    names = [step["name"] for step in done.document["repair"]["steps"]]
    assert names == ["pickle-converted"]
    assert raw_tensors(tmp_path / "new" / WEIGHTS) == raw_tensors(good / WEIGHTS)


def test_of_pickles_none_is_guessed(preflight: InProcess, tmp_path: Path) -> None:
    """Neither one of two, nor another in the place of one that cannot be read."""
    good = adapter(tmp_path / "good")
    data = as_torch_file(good / WEIGHTS)
    for first, second in (("one.pt", "other.pt"), ("adapter_model.bin", "old.pt")):
        broken = tmp_path / first
        shutil.copytree(good, broken)
        (broken / WEIGHTS).unlink()
        (broken / second).write_bytes(data)
        is_attack = first == "adapter_model.bin"
        attack = b"\x80\x02cos\nsystem\n."
        (broken / first).write_bytes(attack if is_attack else data)
        done = preflight("fix", broken, "-o", tmp_path / "new", "-q")
        assert done.code == 1
        assert not (tmp_path / "new").exists()


def test_pickled_names_are_repaired_as_well(
    preflight: InProcess, tmp_path: Path
) -> None:
    good = adapter(tmp_path / "good")
    broken = Path(shutil.copytree(good, tmp_path / "broken"))
    FAULTS["orig-mod"].apply(broken)
    (broken / "adapter_model.bin").write_bytes(as_torch_file(broken / WEIGHTS))
    (broken / WEIGHTS).unlink()
    assert preflight("fix", broken, "-o", tmp_path / "new", "-q").code == 0
    assert raw_tensors(tmp_path / "new" / WEIGHTS) == raw_tensors(good / WEIGHTS)


@pytest.mark.parametrize("sharded", [False, True])
def test_pickled_full_weights(
    sharded: bool, preflight: InProcess, tmp_path: Path
) -> None:
    good = full(tmp_path / "good")
    broken = Path(shutil.copytree(good, tmp_path / "broken"))
    (broken / "model.safetensors.index.json").unlink()
    shards = sorted(broken.glob("model-*.safetensors"))
    if sharded:
        for path in shards:
            name = path.name.replace("model-", "pytorch_model-")
            name = name.replace(".safetensors", ".bin")
            (broken / name).write_bytes(as_torch_file(path))
    else:
        whole = [one for path in shards for one in read_tensors(path)]
        write_tensors(broken / "all.safetensors", whole)
        data = as_torch_file(broken / "all.safetensors")
        (broken / "pytorch_model.bin").write_bytes(data)
        (broken / "all.safetensors").unlink()
    for path in shards:
        path.unlink()
    words = ["--base-model", TINY_TEXT]
    assert preflight("check", broken, "-q", *words).code == 1
    done = preflight("fix", broken, "-o", tmp_path / "new", *words, *QUIET)
    assert (done.code, done.err) == (0, "")
    assert "full-pickle-converted" in done.out
    assert _all(tmp_path / "new") == _all(good)


def _all(directory: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in directory.glob("*.safetensors"):
        found.update(raw_tensors(path))
    return found


def test_parts_of_an_adapter_are_joined(preflight: InProcess, tmp_path: Path) -> None:
    good = adapter(tmp_path / "good")
    broken = Path(shutil.copytree(good, tmp_path / "broken"))
    tensors = read_tensors(good / WEIGHTS)
    for number, part in enumerate((tensors[:9], tensors[9:]), 1):
        name = f"adapter_model-{number:05d}-of-00002.safetensors"
        write_tensors(broken / name, part)
    (broken / WEIGHTS).unlink()
    assert preflight("check", broken, "-q").code == 1
    assert preflight("fix", broken, "-o", tmp_path / "new", "-q").code == 0
    assert raw_tensors(tmp_path / "new" / WEIGHTS) == raw_tensors(good / WEIGHTS)
    (broken / "adapter_model-00002-of-00002.safetensors").unlink()
    assert preflight("fix", broken, "-o", tmp_path / "half", "-q").code == 1


def test_a_head_that_is_the_embedding_is_left_out(
    preflight: InProcess, tmp_path: Path
) -> None:
    broken = full(tmp_path / "broken")
    FAULTS["lm-head-tied"].apply(broken)
    paths = sorted(broken.glob("*.safetensors"))
    embedding = next(
        stored
        for path in paths
        for name, stored in raw_tensors(path).items()
        if name == "model.embed_tokens.weight"
    )
    shard = next(path for path in paths if "lm_head.weight" in raw_tensors(path))
    held = {**raw_tensors(shard), "lm_head.weight": embedding}
    write_tensors(shard, [holding(name, *stored) for name, stored in held.items()])
    words = ["--base-model", TINY_TEXT]
    done = preflight("fix", broken, "-o", tmp_path / "new", *words)
    assert "tied-head" in done.out
    assert "lm_head.weight" not in _all(tmp_path / "new")


def test_config_fields_with_one_right_value(
    preflight: InProcess, tmp_path: Path
) -> None:
    broken = full(tmp_path / "broken")
    path = broken / "config.json"
    config = json.loads(path.read_text("utf-8"))
    own = config["architectures"][0]
    config |= {"architectures": [f"FSDP{own}"], "torch_dtype": "float16"}
    path.write_text(json.dumps(config), "utf-8")
    words = ["--base-model", TINY_TEXT]
    assert preflight("check", broken, "-q", *words).code == 1
    done = preflight("fix", broken, "-o", tmp_path / "new", *words, *QUIET)
    assert (done.code, done.err) == (0, "")
    assert {"class-name", "stated-dtype"} <= set(done.out.split())
    new = json.loads((tmp_path / "new" / "config.json").read_text("utf-8"))
    assert (new["architectures"], new["torch_dtype"]) == ([own], "bfloat16")


def test_a_config_of_another_size_beside_an_adapter(
    preflight: InProcess, tmp_path: Path
) -> None:
    broken = adapter(tmp_path / "broken", base_config=True)
    path = broken / "config.json"
    config = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**config, "hidden_size": 4096}), "utf-8")
    assert preflight("check", broken, "-q").code == 1
    done = preflight("fix", broken, "-o", tmp_path / "new", *QUIET)
    assert (done.code, done.err) == (0, "")
    assert "foreign-config" in done.out


def test_experts_get_halves_of_their_own(tmp_path: Path) -> None:
    """Bytes are cut, not changed; one matrix that all experts share stands for each."""
    names = ("up_proj", "w1")
    shapes = {"up_proj": ((3, 2, 4), (3, 4, 2)), "w1": ((1, 2, 4), (3, 4, 2))}
    path = tmp_path / WEIGHTS
    tensors = []
    for leaf in names:
        for half, shape in zip("AB", shapes[leaf], strict=True):
            size = 4 * shape[0] * shape[1] * shape[2]
            data = bytes((ord(half) + at) % 251 for at in range(size))
            kind = "switch_mlp" if leaf == "up_proj" else "experts"
            name = f"{MLP}.{kind}.{leaf}.lora_{half}.weight"
            tensors.append(holding(name, "F32", shape, data))
    write_tensors(path, tensors)
    shutil.copy(adapter(tmp_path / "other") / CONFIG, tmp_path)
    found = inspect(tmp_path)

    mixture = SimpleNamespace(counters={"expert": 3})  # the catalogue has none yet
    known = Known(frozenset(), mixture, Unavailable("no copy"))  # type: ignore[arg-type]
    draft = first_draft(found, LocalDirectory(tmp_path), WeightType.LORA, known)
    change = experts_apart.apply(draft)
    assert change is not None
    made = {one.name: one for one in change.draft.tensors}
    assert len(made) == 12
    stored, whole = raw_tensors(path), path.read_bytes()
    for leaf, kind, real in (
        ("up_proj", "switch_mlp", "up_proj"),
        ("w1", "experts", "gate_proj"),
    ):
        for half in "AB":
            data = stored[f"{MLP}.{kind}.{leaf}.lora_{half}.weight"][2]
            for expert in range(3):
                one = made[f"{MLP}.experts.{expert}.{real}.lora_{half}.weight"]
                at = 0 if len(data) == 32 else 32 * expert
                assert one.is_moved
                assert whole[one.origin.start :][:32] == data[at:][:32]
