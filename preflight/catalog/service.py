"""What Model Studio's import asks of a model, as data.

Source of all of it: the user guide pages "Model import" and "My models" and the API
page "Create an import job" of Alibaba Cloud Model Studio, read between late 2025 and
October 2026: https://www.alibabacloud.com/help/en/model-studio/model-import
"""

from __future__ import annotations

LORA_RANKS = (8, 16, 32, 64)

# An early reading of the guide misspelt them as adapt_model.*; these are PEFT's names.
LORA_REQUIRED = ("adapter_model.safetensors", "adapter_config.json")

FULL_REQUIRED = ("config.json", "tokenizer_config.json")

DISPLAY_NAME_LIMIT = 50  # characters

# User guide "Model import": not Archive, Cold Archive or Deep Cold Archive.
_ARCHIVE_CLASSES = frozenset({"Archive", "ColdArchive", "DeepColdArchive"})


def is_importable_class(storage_class: str) -> bool:
    """Whether objects of this storage class can be read without a restore."""
    return storage_class not in _ARCHIVE_CLASSES
