"""`config.json` of the base model, beside an adapter or as part of full weights."""

from __future__ import annotations

from collections.abc import Iterator

from preflight.sandbox.studio.importable import BaseModel
from preflight.sandbox.studio.store import Files


def check_base_config(files: Files, base: BaseModel) -> Iterator[str]:
    """Where `config.json` describes another model than the base or another vocabulary.

    A field that is absent is not held against it: writers leave out defaults.
    """
    config = files.read_object("config.json")
    inner = config.get("text_config")
    text = {**config, **inner} if isinstance(inner, dict) else config
    expected = {
        "vocab_size": base.vocab_size,
        "hidden_size": base.hidden,
        "intermediate_size": base.intermediate,
        "num_hidden_layers": base.layers,
        "num_attention_heads": base.heads,
        "num_key_value_heads": base.kv_heads,
    }
    if config.get("model_type", base.family.value) != base.family.value:
        yield f"config.json: model_type is {config['model_type']!r}, not {base.name}'s"
    for field, value in expected.items():
        if text.get(field, value) != value:
            yield f"config.json: {field} is {text[field]!r}, not {value}"
    if config.get("quantization_config"):
        yield "config.json: the weights are quantised"
