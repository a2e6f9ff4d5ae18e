"""What an adapter's product B·A is multiplied with."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any


def scale_of(config: Any, module: str, rank: int) -> float:  # noqa: ANN401 - from JSON
    """alpha / r, or alpha / sqrt(r) with rsLoRA; 1 where the config does not say."""
    if not isinstance(config, Mapping):
        return 1.0
    alpha: object = config.get("lora_alpha")
    patterns = config.get("alpha_pattern")
    for key, value in patterns.items() if isinstance(patterns, Mapping) else ():
        if _ends_with(module, str(key)):
            alpha = value
            break
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or rank < 1:
        return 1.0
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank


def _ends_with(module: str, key: str) -> bool:
    """As PEFT matches: the key is the module's path or the end of it."""
    try:
        return re.fullmatch(rf"(.*\.)?({key})", module[:2000]) is not None
    except re.error:
        return False
