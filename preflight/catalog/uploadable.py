"""Which files of a model directory an import can use; nothing else goes up.

Sources: Model Studio's user guide "Model import" (the required files, and that they
lie directly under the prefix), read 2026-11,
https://www.alibabacloud.com/help/en/model-studio/model-import; the file names that
transformers 4.x and peft 0.1x write with `save_pretrained`
(`transformers.utils`, `peft.utils.constants`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase, translate
from functools import lru_cache

from preflight.findings import WeightType
from preflight.language import say


class Role(str, Enum):
    """What a file is for; it decides the order in which files go up."""

    WEIGHTS = "weights"
    SUPPORT = "support"
    KEY_CONFIG = "key config"  # goes last: with it a directory looks complete


@dataclass(frozen=True, slots=True)
class Uploadable:
    """A pattern of file names (case-sensitive, no directory) and their role.

    Beside the signs of a glob, `#` stands for a number.
    """

    pattern: str
    role: Role = Role.SUPPORT

    def matches(self, name: str) -> bool:
        """Whether a file of this name is meant."""
        return bool(_compiled(self.pattern).match(name))


@lru_cache(maxsize=64)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(translate(pattern).replace(r"\#", r"[0-9]+"))


_COMMON = (
    Uploadable("config.json", Role.KEY_CONFIG),
    Uploadable("generation_config.json"),
    Uploadable("tokenizer.json"),
    Uploadable("tokenizer_config.json"),
    Uploadable("tokenizer.model"),
    Uploadable("special_tokens_map.json"),
    Uploadable("added_tokens.json"),
    Uploadable("vocab.json"),
    Uploadable("merges.txt"),
    Uploadable("chat_template.jinja"),
    Uploadable("chat_template.json"),
    Uploadable("preprocessor_config.json"),
    Uploadable("video_preprocessor_config.json"),
    Uploadable("processor_config.json"),
    Uploadable("README.md"),
    Uploadable("LICENSE"),
    Uploadable("LICENSE*.txt"),
    Uploadable("LICENSE*.md"),
    Uploadable("NOTICE"),
    Uploadable("NOTICE*.txt"),
    Uploadable("NOTICE*.md"),
)

UPLOADABLE: Mapping[WeightType, tuple[Uploadable, ...]] = {
    WeightType.LORA: (
        Uploadable("adapter_model.safetensors", Role.WEIGHTS),
        Uploadable("adapter_config.json", Role.KEY_CONFIG),
        *_COMMON,
    ),
    WeightType.FULL: (
        Uploadable("model.safetensors", Role.WEIGHTS),
        Uploadable("model-#-of-#.safetensors", Role.WEIGHTS),
        # How Qwen itself names the shards of its newest models.
        Uploadable("model.safetensors-#-of-#.safetensors", Role.WEIGHTS),
        Uploadable("model.safetensors.index.json"),
        *_COMMON,
    ),
}


@lru_cache(maxsize=4096)  # many rules ask about the same few names
def role_of(name: str, weight_type: WeightType) -> Role | None:
    """The role of a file, or None when it is not on the list.

    `name` is relative to the model directory; one with a slash is never on the list.
    """
    if "/" in name:
        return None
    for entry in UPLOADABLE[weight_type]:
        if entry.matches(name):
            return entry.role
    return None


def is_full_weights(name: str) -> bool:
    """Whether a file at the top holds full weights, by its name alone."""
    return role_of(name, WeightType.FULL) is Role.WEIGHTS


@dataclass(frozen=True, slots=True)
class _Junk:
    """Why a file stays behind: the words, and patterns of lower-cased base names."""

    reason: str
    patterns: str  # separated by spaces

    def matches(self, base: str) -> bool:
        return any(fnmatchcase(base, pattern) for pattern in self.patterns.split())


_SECRET = _Junk(
    say("may hold a secret"),
    ".env* *.env *.pem *.key *.p12 *.pfx id_rsa* id_ed25519* .netrc .npmrc .pypirc "
    "*credential* *secret* *password* *access_key* *accesskey* .ossutilconfig token "
    "token.txt",
)
_HIDDEN = _Junk(say("hidden file"), ".*")
_CHECKPOINT = _Junk(
    say("in a checkpoint's directory"), "checkpoint checkpoint-* global_step*"
)
_BY_NAME = (
    _Junk(
        say("optimizer or trainer state"),
        "optimizer* scheduler* rng_state* scaler* trainer_state.json training_args* "
        "latest zero_to_fp32.py *optim_states*",
    ),
    _Junk(
        say("pickle or another format than safetensors"),
        "*.bin *.pt *.pth *.ckpt *.pkl *.pickle *.joblib *.gguf *.h5 *.msgpack *.onnx "
        "*.npz *.npy",
    ),
    _Junk(say("log"), "*.log *.out *.err events.out.tfevents.* *.tfevents"),
    _Junk(say("program"), "*.py *.sh *.ipynb *.so *.pyc"),
)
_OTHER_WEIGHTS = _Junk(
    say("belongs to another kind of import"),
    "*.safetensors adapter_config.json *.safetensors.index.json",
)


def why_excluded(name: str) -> str:
    """Words for the report: what kind of file this is, that it does not go up.

    `name` is relative to the model directory, with `/` as separator.
    """
    *folders, base = name.lower().split("/")
    if _SECRET.matches(base):
        return _SECRET.reason
    if any(_HIDDEN.matches(part) for part in (*folders, base)):
        return _HIDDEN.reason
    if any(_CHECKPOINT.matches(folder) for folder in folders):
        return _CHECKPOINT.reason
    for junk in _BY_NAME:
        if junk.matches(base):
            return junk.reason
    if folders:
        return say("in a sub-directory")
    return _OTHER_WEIGHTS.reason if _OTHER_WEIGHTS.matches(base) else say("not needed")
