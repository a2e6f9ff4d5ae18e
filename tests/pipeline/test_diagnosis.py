"""What is said of a failed job after another look at the bucket."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.crc import crc64
from preflight.destination import Destination
from preflight.findings import WeightType
from preflight.oss.access import OssAccess
from preflight.oss.inspector import BucketInspector
from preflight.pipeline.diagnosis import Evidence, diagnose
from preflight.sandbox import Sandbox
from preflight.studio.jobs import ImportJob
from preflight.text import json_text
from preflight.upload.transfer import UploadedObject
from tests.depth import examples

PREFIX = "m/a/"
CONFIG = json.dumps({"peft_type": "LORA", "r": 16}).encode()
LORA = {"adapter_model.safetensors": b"weights", "adapter_config.json": CONFIG}
FULL = {
    "config.json": b"{}",
    "tokenizer_config.json": b"{}",
    "model.safetensors.index.json": b'{"weight_map": {"w": "model-1.safetensors"}}',
    "model-1.safetensors": b"weights",
}
FIELDS = st.sampled_from(("r", "rank_pattern", "modules_to_save", "weight_map"))
FAILED = ImportJob("j-1", status="FAILED", error_code="AvailableModelFileNotFound")


@pytest.fixture
def inspector(sandbox: Sandbox, access: OssAccess) -> Iterator[BucketInspector]:
    with BucketInspector(access, sandbox.bucket) as made:
        yield made


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Sandbox, BucketInspector]]:
    """One sandbox for many rounds."""
    with Sandbox() as box:
        access = OssAccess(
            box.access_key_id,
            box.access_key_secret,
            region=box.region,
            endpoint=box.oss_url,
        )
        with BucketInspector(access, box.bucket) as made:
            yield box, made


def put(box: Sandbox, name: str, data: bytes) -> None:
    box.oss.put(box.bucket, PREFIX + name, [data], size=len(data))


def evidence(box: Sandbox, files: dict[str, bytes], kind: WeightType) -> Evidence:
    sent = [UploadedObject(PREFIX + n, len(d), crc64(d)) for n, d in files.items()]
    return Evidence(Destination(box.bucket, PREFIX), kind, sent)


def told(
    box: Sandbox,
    inspector: BucketInspector,
    files: dict[str, bytes],
    kind: WeightType = WeightType.LORA,
    job: ImportJob = FAILED,
) -> str:
    lines = diagnose(job, evidence(box, files, kind), inspector)
    assert all(
        line.startswith(("likely cause: ", "looked again", "the files could"))
        for line in lines
    )
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("files", "kind"), [(LORA, WeightType.LORA), (FULL, WeightType.FULL)]
)
def test_sound_files_leave_what_cannot_be_seen(
    sandbox: Sandbox,
    inspector: BucketInspector,
    files: dict[str, bytes],
    kind: WeightType,
) -> None:
    for name, data in files.items():
        put(sandbox, name, data)
    text = told(sandbox, inspector, files, kind)
    assert text.startswith(f"looked again at oss://{sandbox.bucket}/{PREFIX}: ")
    assert "service-linked role" in text
    assert "likely cause" not in text


def lose_the_tag(box: Sandbox) -> None:
    box.oss.set_tags(box.bucket, {})


def replace_bytes(box: Sandbox) -> None:
    put(box, "adapter_model.safetensors", b"sthgiew")


def shorten(box: Sandbox) -> None:
    put(box, "adapter_model.safetensors", b"wei")


def remove(box: Sandbox) -> None:
    box.oss.delete(box.bucket, PREFIX + "adapter_model.safetensors")


def nest(box: Sandbox) -> None:
    put(box, "checkpoint-5/optimizer.pt", b"x")


def mixed_ranks(box: Sandbox) -> None:
    form = {"r": 16, "rank_pattern": {"q_proj": 32}}
    put(box, "adapter_config.json", json.dumps(form).encode())


def saved_modules(box: Sandbox) -> None:
    form = {"r": 16, "modules_to_save": ["embed_tokens"]}
    put(box, "adapter_config.json", json.dumps(form).encode())


def a_list(box: Sandbox) -> None:
    put(box, "adapter_config.json", b"[]")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lose_the_tag, "the tag bailian-datahub-access"),
        (replace_bytes, "adapter_model.safetensors is not what was sent: its CRC-64"),
        (shorten, "adapter_model.safetensors has 3 bytes, 7 were sent"),
        (remove, "adapter_model.safetensors was sent and is not there any more"),
        (nest, "1 objects lie in sub-directories"),
        (mixed_ranks, "every layer must have the same rank"),
        (saved_modules, "modules_to_save is ['embed_tokens']"),
        (a_list, "adapter_config.json is not a JSON object"),
    ],
)
def test_what_differs_is_the_likely_cause(
    sandbox: Sandbox,
    inspector: BucketInspector,
    spoil: Callable[[Sandbox], None],
    words: str,
) -> None:
    for name, data in LORA.items():
        put(sandbox, name, data)
    spoil(sandbox)
    text = told(sandbox, inspector, LORA)
    assert "likely cause: " in text
    assert words in text


def test_a_shard_that_is_missing(sandbox: Sandbox, inspector: BucketInspector) -> None:
    for name in ("config.json", "tokenizer_config.json"):
        put(sandbox, name, FULL[name])
    put(sandbox, "other.safetensors", b"x")
    put(sandbox, "model.safetensors.index.json", FULL["model.safetensors.index.json"])
    text = told(sandbox, inspector, {}, WeightType.FULL)
    assert "names 1 files that are not there: model-1.safetensors" in text


def test_files_written_after_the_job_began(
    sandbox: Sandbox, inspector: BucketInspector
) -> None:
    for name, data in LORA.items():
        put(sandbox, name, data)
    long_ago = datetime(2020, 1, 1, tzinfo=timezone.utc)
    job = ImportJob("j-1", status="FAILED", created=long_ago)
    text = told(sandbox, inspector, LORA, job=job)
    assert "adapter_config.json was written after the job began" in text


def test_two_clocks_that_differ_write_nothing_after_the_job(
    sandbox: Sandbox, inspector: BucketInspector
) -> None:
    for name, data in LORA.items():
        put(sandbox, name, data)
    made = datetime.now(timezone.utc) - timedelta(seconds=40)
    job = ImportJob("j-1", status="FAILED", created=made)
    files = evidence(sandbox, LORA, WeightType.LORA)
    behind = diagnose(job, files, inspector, studio_ahead=-45)
    assert behind == diagnose(FAILED, files, inspector)
    right = diagnose(job, files, inspector, studio_ahead=0)
    assert "was written after the job began" in "\n".join(right)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**4300, max_value=10**4301)
    | st.floats()
    | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | FIELDS, inner),
)
DEEP = st.integers(1, 3000).map(lambda depth: b"[" * depth + b"]" * depth)
FILES = ("adapter_config.json", "model.safetensors.index.json", "config.json")


def as_bytes(value: object) -> bytes:
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value).encode("utf-8", "surrogatepass")
    finally:
        sys.set_int_max_str_digits(4300)


@settings(deadline=None, max_examples=examples(20), derandomize=True)
@given(
    name=st.sampled_from(FILES),
    data=JSON.map(as_bytes)
    | st.dictionaries(FIELDS, JSON).map(as_bytes)
    | DEEP
    | st.binary(),
    kind=st.sampled_from(WeightType),
)
def test_any_bytes_in_place_of_a_config_end_in_sentences(
    shared: tuple[Sandbox, BucketInspector], name: str, data: bytes, kind: WeightType
) -> None:
    box, inspector = shared
    files = LORA if kind is WeightType.LORA else FULL
    for other, content in files.items():
        put(box, other, content)
    put(box, name, data)
    lines = diagnose(FAILED, evidence(box, {}, kind), inspector)
    assert lines
    for line in lines:
        json_text(line).encode("utf-8")


def test_nothing_there(sandbox: Sandbox, inspector: BucketInspector) -> None:
    assert "nothing lies under" in told(sandbox, inspector, {})


def test_a_bucket_that_cannot_be_asked(sandbox: Sandbox) -> None:
    access = OssAccess(
        sandbox.access_key_id, "wrong", region=sandbox.region, endpoint=sandbox.oss_url
    )
    with BucketInspector(access, sandbox.bucket) as inspector:
        text = told(sandbox, inspector, LORA)
    assert text.startswith("the files could not be looked at again: ")
    assert "SignatureDoesNotMatch" in text
