"""What an adapter's product B·A is multiplied with."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from preflight.model.patterns import pattern_value


def scale_of(config: Any, module: str, rank: int) -> float:  # noqa: ANN401 - from JSON
    """alpha / r, or alpha / sqrt(r) with rsLoRA; 1 where the config does not say."""
    if not isinstance(config, Mapping):
        return 1.0
    alpha: object = config.get("lora_alpha")
    given = pattern_value(config.get("alpha_pattern"), module)
    alpha = alpha if given is None else given
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or rank < 1:
        return 1.0
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
