"""Weights that torch pickled: read as torch reads them; all else is refused unrun."""

from __future__ import annotations

import base64
import pickle
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from preflight.findings import Unavailable
from preflight.model.files import FileEntry
from preflight.model.source import LocalDirectory
from preflight.repair.pickles import pickled_tensors
from preflight.repair.tensors import Made
from preflight.repair.values import Losses, content
from tests.repair.torch_files import (
    archive,
    call,
    numbers,
    program,
    storage,
    tensor,
    text,
    torch_file,
    whole,
)

# What torch 2.13 writes of lora_A, the numbers 0 to 5 as (2, 3) in F32, and lora_B, the
# same in BF16 and transposed, in both of its layouts; compressed here.
ZIPPED = (
    "eNqllc9v0mAYx9+2rLAOYZs/mCQu2Q2T2dEyYMwo2JheehBZTIgHm6680mpH95aXLXrCGEm86T9g/B88"
    "+AeYeN/F0w4mHownrx59XyqsLYPpfMPLG+D9Pp9vn/d5XuoaFwMgkQATYxEsA8MzLfsAbrQMbIj7Tx1V"
    "SYGHodFnTdN1HGhi2+10hXteC3qwddc2sYDA9QZics00CbYnOq5n6HfEQ2i3LYxYE7sktqj3sO10Bd2D"
    "uz3baekYdrqupx/IAuJyuWacSLtkp9GGKOZLBNVxDbzjfymguSZD9uQR3+TIau73UFzjMUrc14DGatwA"
    "zWucxgyQ8NqidhYwSjbQhaAnZeQpZRGkNcIoQ45UGpPSQ5KEFq0hYYkSOI0doGWNoaCLPuESRpcb6EpP"
    "rGvxxIvPzKcskdFZn5rpDFgbZ1p87Hp7BtYPoNclGVWVa5GER4ZEMR9/Hr+k5uicjsmC8gnmT1Z1w7Hb"
    "nT3YwapSmE06fZQ2qYHqIfrBEgQ708ASqI4N7D7D0KXFoio3z8MdDcfG2IHUw6tb367yhMLP9JACt0NV"
    "vZFXle3/MOBH7VfJW428yOyT+b5GHWXefH+7Qn5YOcPRetiRpCo58Pd8wq7Vav2az/yw9nU7SaImZzLT"
    "gVIYV9q5zr8gUOrRu/aDs89/FcgnBTh81C70bFKBzw16e+h2S1XEfzSRL5YkKb9VlAslqVIq54tyZTMv"
    "FwtbJbmyJckFuVLelIrlCnW582g+mSM+ckOXDDU79hns1MUJ59F7MKoONmAmpHzCgGm9HQ0SbKJsKMhR"
    "MMhE50bjBBthKRSnwYLJBozKg1WbCsm/sCDSO1FtsPrCWouLaKWoNlhD6ZD2OKCdkrvg0a6GnzkGzii6"
    "usbz66MS5W6MlYnIusD666+YvxId/X8CXNz/7N++c7yvSQz3+3t/A4hrmcE="
)
LEGACY = (
    "eNptkbtOIzEUhj2XBDD3q7Qd5dCMtAmQUDEgRGNxyzZu0Cg7sTJemXGOxwMCCWmqCHgGCkpejUdAouAM"
    "IbAFln0k/z7nfL/t0n2g6u3x8HX93/Ppr7B0j148jLdAAr5ACBkYbXWiVXwpTC51Bg4m8Fk8UdJaJWKR"
    "9WQ3A/eOUxTt9UDEubwROXi34Ae8hmKeamOhxlzu4U5mFurM537VQ2d9mGB+USAzQYwSiUVKTk9MTxjR"
    "O5CJpUA2OuAEfB4rLkKlTTfeC6+E7KcW3MRqk6RhXFipchob8beQqhdbkeXaxJcNCl4Q8InKBmZ2+wL8"
    "UQk9VLpr/4xECjU+hzk7m81Ws93E0NzZakD9w3EyKNBk/djC5BkjzGXeEKaYx5wh0Pu0MjdtYaYDs/87"
    "3B87nEvRQDqG7n9Qf29/cee/ua3N7Xa70ULuQjriLVY8j7lDWGJOhV0e8VYsrHZgrXq18+qnfmjh/HQf"
    "V4R1Mh7lLomiqIyeom/tUyckwomrxPUUvQOS9pEk"
)


def read(path: Path) -> tuple[Made, ...] | Unavailable:
    source = LocalDirectory(path.parent)
    entry = next(e for e in source.walk().entries if e.name == path.name)
    return pickled_tensors(source.open(entry), entry)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("sample", [ZIPPED, LEGACY], ids=["zip", "legacy"])
def test_both_layouts_of_torch_are_read(sample: str, tmp_path: Path) -> None:
    data = zlib.decompress(base64.b64decode(sample))
    found = read(written(tmp_path / "adapter_model.bin", data))
    assert not isinstance(found, Unavailable)
    a, b = found
    assert (a.name, a.dtype, a.shape, a.is_moved) == (
        "m.lora_A.weight", "F32", (2, 3), True,
    )  # fmt: skip
    start = a.origin.start
    assert data[start : start + 24] == struct.pack("<6f", *range(6))
    assert (b.dtype, b.shape, b.is_moved) == ("BF16", (3, 2), False)
    halves = [struct.pack("<f", n)[2:] for n in (0, 3, 1, 4, 2, 5)]
    assert content(b, Losses()) == b"".join(halves)


STORED = ("F32", (2, 2), bytes(16))


def shell(directory: Path) -> bytes:
    return call("os.system", text(f"touch {directory}/ran"))


HOSTILE: dict[str, Callable[[Path], bytes]] = {
    "os.system": lambda d: program({"w": shell(d)}),
    "builtins.eval": lambda _: program({"w": call("builtins.eval", text("1/0"))}),
    "getattr": lambda _: program(
        {"w": call("builtins.getattr", text("a"), text("upper"))}
    ),
    "another function of torch": lambda _: program(
        {"w": call("torch.hub.load", text("x"))}
    ),
    "a whole module": lambda _: program({"w": b"ctorch.nn.modules.linear\nLinear\n"}),
    "a name with a dot": lambda _: b"\x80\x04\x8c\x05torch\x8c\x0b_utils.os\x93.",
    "an object of a class": lambda _: (
        b"\x80\x02ccollections\nOrderedDict\n)\x81."
    ),
    "a state for a function": lambda _: program(
        {"w": b"ctorch._utils\n_rebuild_tensor_v2\n}X\x01\x00\x00\x00aK\x01sb"}
    ),
    "a dictionary of something": lambda _: program(
        {"w": call("collections.OrderedDict", b"]")}
    ),
    "a persistent id that is none": lambda _: program({"w": text("x") + b"Q"}),
    "a place far off in the memo": lambda _: (
        b"\x80\x02}r" + struct.pack("<I", 0x7FFFFFFF) + b"."
    ),
    "an unknown instruction": lambda _: b"\x80\x02\x82\x01.",
    "no end": lambda _: program({"w": tensor("0", STORED)})[:-1],
    "no tensor": lambda _: program({"w": whole(1)}),
    "no dictionary": lambda _: b"\x80\x02]." ,
    "nothing at all": lambda _: b"",
    "a shape of lists": lambda _: program(
        {"w": call("torch._utils._rebuild_tensor_v2", storage("0", "F32", 4),
                   whole(0), b"]", numbers((1,)), b"\x89", b"}")}
    ),
    "negative strides": lambda _: program(
        {"w": tensor("0", STORED, strides=(-2, 1))}
    ),
    "beyond its storage": lambda _: program({"w": tensor("0", STORED, offset=1)}),
    "strides beyond it": lambda _: program({"w": tensor("0", STORED, strides=(3, 1))}),
    "far too many elements": lambda _: program(
        {"w": tensor("0", ("F32", (1 << 30, 1 << 30), b""), strides=(0, 0), count=1)}
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_state_dict_is_refused_and_nothing_of_it_runs(
    what: str, tmp_path: Path
) -> None:
    pickled = HOSTILE[what](tmp_path)
    found = read(written(tmp_path / "a.bin", archive(pickled, {"0": bytes(16)})))
    assert isinstance(found, Unavailable), found
    assert found.reason
    assert not (tmp_path / "ran").exists()
    # The same in the older layout, in the place of each of its pickles.
    head = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001)]
    system = pickle.dumps({"little_endian": True}, 2)
    for at in range(4):
        parts = [*head, system, program({"w": tensor("0", STORED)})]
        parts[at] = pickled
        found = read(written(tmp_path / "b.bin", b"".join(parts)))
        assert isinstance(found, Unavailable), found
    assert not (tmp_path / "ran").exists()


def test_the_attack_is_one(tmp_path: Path) -> None:
    """What the reader refuses, Python's own carries out."""
    pickled = program({"w": shell(tmp_path)})
    script = "import pickle, sys; pickle.loads(sys.stdin.buffer.read())"
    subprocess.run([sys.executable, "-c", script], input=pickled, check=True)
    assert (tmp_path / "ran").exists()


def test_storages_have_to_lie_in_the_file_as_they_are(tmp_path: Path) -> None:
    pickled = program({"w": tensor("0", STORED)})
    for data in (
        archive(pickled, {}),
        archive(pickled, {"0": bytes(16)}, packed=True),
        archive(pickled, {"0": bytes(15)}),
        torch_file({"w": STORED})[:-30],
    ):
        assert isinstance(read(written(tmp_path / "a.bin", data)), Unavailable)


def test_random_damage_ends_in_words(tmp_path: Path) -> None:
    """Every byte of a small file changed: tensors within the file, or a reason."""
    for sample in (ZIPPED, LEGACY):
        good = zlib.decompress(base64.b64decode(sample))
        for at in range(0, len(good), 7):
            data = bytearray(good)
            data[at] ^= 0xFF
            found = read(written(tmp_path / "a.bin", bytes(data)))
            if isinstance(found, Unavailable):
                assert found.reason
                continue
            for made in found:
                assert made.origin.start + made.origin.size <= len(good)


def test_a_file_that_is_gone_or_changes_is_told(tmp_path: Path) -> None:
    path = written(tmp_path / "a.bin", torch_file({"w": STORED}))
    entry = next(iter(LocalDirectory(tmp_path).walk().entries))
    assert isinstance(entry, FileEntry)
    path.write_bytes(b"other")
    found = pickled_tensors(LocalDirectory(tmp_path).open(entry), entry)
    assert isinstance(found, Unavailable)
