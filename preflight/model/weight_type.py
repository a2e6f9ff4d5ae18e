"""Which files at the top of a model hold its weights, told by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import islice

from preflight.catalog.uploadable import Role, is_full_weights, role_of
from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.files import FileEntry

ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"

_ADAPTER_LIKE = re.compile(r"^adapt(er)?[_-]?(model|config)", re.IGNORECASE)
_FULL_LIKE = re.compile(
    r"^(pytorch_)?model.*\.(safetensors|bin)$|^model\.safetensors\."
)
_MOST_SPARE = 16  # files whose headers are read though they stay behind


def decide_weight_type(names: Mapping[str, FileEntry]) -> WeightType | Unavailable:
    """LoRA or full weights, judged by the names at the top of the directory."""
    adapter = ADAPTER_WEIGHTS in names or ADAPTER_CONFIG in names
    full = any(map(is_full_weights, names)) or INDEX in names
    if adapter and full:
        return Unavailable(
            say(
                "an adapter and full weights lie side by side; say which with "
                "--weight-type lora or --weight-type full"
            )
        )
    if not adapter and not full:
        adapter = any(_ADAPTER_LIKE.match(name) for name in names)
        full = not adapter and any(_FULL_LIKE.match(name) for name in names)
    if adapter:
        return WeightType.LORA
    if full or "config.json" in names:
        return WeightType.FULL
    return Unavailable(
        say("neither adapter nor full weights lie directly in the directory")
    )


def weight_files(
    names: Mapping[str, FileEntry], weight_type: WeightType | Unavailable
) -> tuple[FileEntry, ...]:
    """The safetensors files that would be uploaded, in name order."""
    if weight_type is WeightType.LORA:
        return tuple(e for n, e in names.items() if n == ADAPTER_WEIGHTS)
    if weight_type is WeightType.FULL:
        return tuple(
            e for n, e in names.items() if role_of(n, weight_type) is Role.WEIGHTS
        )
    return ()


def spare_files(
    names: Mapping[str, FileEntry], weight_type: WeightType | Unavailable
) -> tuple[FileEntry, ...]:
    """The other safetensors at the top, which no import takes, in name order.

    Weights of the other kind of import are none of them: `D02` tells of those.
    """
    if isinstance(weight_type, Unavailable):
        return ()
    spare = (
        entry
        for name, entry in sorted(names.items())
        if name.endswith(".safetensors") and entry.is_file and entry.size
        if not any(role_of(name, kind) for kind in WeightType)
    )
    return tuple(islice(spare, _MOST_SPARE))
