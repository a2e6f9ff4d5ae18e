"""Whatever the files hold, the job ends in a verdict."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from preflight.sandbox.oss.records import Attributes, Bucket, Content, StoredObject
from preflight.sandbox.studio.jobs import Source, WeightType
from preflight.sandbox.studio.policy import Policy
from preflight.sandbox.studio.validation import validate
from tests.depth import examples
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import REGION
from tests.sandbox.studio.models import Files, tiny, to_json

FIELDS = [
    "r",
    "peft_type",
    "added_tokens_decoder",
    "added_tokens",
    "additional_special_tokens",
    "extra_special_tokens",
    "chat_template",
    "text_config",
    "vocab_size",
    "model",
    "vocab",
    "weight_map",
    "metadata",
    "__metadata__",
    "dtype",
    "shape",
    "data_offsets",
    "content",
    "id",
    "default",
    "name",
    "template",
    "0",
]


class MemoryStore:
    """Objects in memory, for many quick rounds."""

    def __init__(self, files: Files) -> None:
        self._files = {models.PREFIX + name: text for name, text in files.items()}

    def bucket(self, name: str) -> Bucket:
        return Bucket(name, REGION, "Standard", "private", 0.0, dict(models.TAGS))

    def objects(self, _: str, prefix: str) -> list[StoredObject]:
        content = {k: Content(0, len(v), 0, "") for k, v in self._files.items()}
        return [
            StoredObject(key, content[key], "", 0.0, Attributes())
            for key in content
            if key.startswith(prefix)
        ]

    def read(self, _: str, key: str, start: int, length: int) -> bytes:
        return self._files[key][start : start + length]

    def on_change(self, _: Callable[[str, str], None]) -> None:
        """Nothing ever changes here."""


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(FIELDS) | st.text(max_size=3), inner, max_size=3
        )
    ),
    max_leaves=8,
)


@settings(max_examples=examples(60), deadline=None)
@given(
    name=st.sampled_from(
        [
            "adapter_config.json",
            "adapter_model.safetensors",
            "added_tokens.json",
            "chat_template.json",
            "config.json",
            "model.safetensors.index.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.json",
        ]
    ),
    value=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4) | JSON,
    weight_type=st.sampled_from(WeightType),
)
def test_no_json_whatever_breaks_the_job(
    name: str, value: object, weight_type: WeightType
) -> None:
    """It ends in a verdict, with a reason if it failed."""
    lora = weight_type is WeightType.LORA
    files = models.lora(tiny()) if lora else models.full(tiny())
    raw = to_json(value)
    if name.endswith(".safetensors"):
        raw = len(raw).to_bytes(8, "little") + raw
    verdict = validate(
        MemoryStore(files | {name: raw}),
        Source(models.BUCKET, models.PREFIX),
        tiny(),
        weight_type=weight_type,
        region=REGION,
        policy=Policy(),
    )
    assert bool(verdict.error_code) == bool(verdict.reasons)
