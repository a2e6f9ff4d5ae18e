"""V, continued: files that only a newer release of transformers reads rightly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from preflight.findings import Problem, Severity, Unavailable
from preflight.language import say
from preflight.model.configs import JsonObject
from preflight.rules._rule import FULL, rule

_TOKENIZER, _CONFIG = "tokenizer_config.json", "config.json"
_OWN, _JOINT = "preprocessor_config.json", "processor_config.json"
_COPY_TOKENIZER = say(
    "Copy tokenizer_config.json from the base model's repository: "
    "the tokenizer is unchanged, and older releases read that one."
)
Documents = Mapping[str, JsonObject | Unavailable]


@rule(
    "V06",
    applies=FULL,
    severity=Severity.WARNING,
    fix=say("Save again with transformers 4.57, or mend this file by hand."),
)
def older_library_reads_it(documents: Documents) -> Iterator[Problem]:
    """What transformers 5 saves, transformers 4 refuses or, worse, reads wrongly.

    Which release serves an imported model is not documented. An adapter brings
    neither of these files into use; full weights do. `rope_parameters` alone is the
    dangerous one: transformers 4.57 takes its default of 10,000 in place of the base's
    rope_theta, loads without a word and answers nonsense to long texts.
    Causes: full training or a merge with transformers 5.
    Source: https://github.com/huggingface/transformers/blob/main/MIGRATION_GUIDE_V5.md,
    https://github.com/hiyouga/LlamaFactory/issues/10310 and
    https://github.com/ml-explore/mlx-lm/issues/661; rope_theta measured with 4.57.6.
    """
    config = _read(documents, _CONFIG)
    version = _writer(config)
    yield from _tokenizer(_read(documents, _TOKENIZER), version)
    yield from _rope(config, version)
    yield from _processor(documents, version)


def _read(documents: Documents, name: str) -> JsonObject:
    found = documents.get(name)
    return found if isinstance(found, Mapping) else {}


def _writer(config: JsonObject) -> str:
    version = config.get("transformers_version")
    return version if isinstance(version, str) else ""


def _by(told: str, version: str) -> str:
    if not version:
        return told
    return say("{told} (written by transformers {version})", told=told, version=version)


def _tokenizer(found: JsonObject, version: str) -> Iterator[Problem]:
    if found.get("tokenizer_class") == "TokenizersBackend":
        told = say("is TokenizersBackend, a class that transformers 4 does not have")
        fix = say(
            '{copy_it} Or write "tokenizer_class": "Qwen2Tokenizer" into it.',
            copy_it=_COPY_TOKENIZER,
        )
        yield Problem(f"{_TOKENIZER}: tokenizer_class", _by(told, version), fix=fix)
    if isinstance(found.get("extra_special_tokens"), list):
        told = say("is a list, for which transformers 4 stops")
        where = f"{_TOKENIZER}: extra_special_tokens"
        yield Problem(where, _by(told, version), fix=_COPY_TOKENIZER)


def _rope(config: JsonObject, version: str) -> Iterator[Problem]:
    text = config.get("text_config")
    parts = {_CONFIG: config}
    if isinstance(text, Mapping):
        parts[f"{_CONFIG}: text_config"] = text
    for where, part in parts.items():
        rope = part.get("rope_parameters")
        if not isinstance(rope, Mapping) or "rope_theta" in part:
            continue
        theta = rope.get("rope_theta")
        if theta is None:
            continue
        separator = "." if ":" in where else ": "
        told = say(
            "holds the only rope_theta ({theta}), which transformers 4 overlooks",
            theta=theta,
        )
        fix = say(
            'Add "rope_theta": {theta} beside rope_parameters: both releases then read '
            "the same.",
            theta=theta,
        )
        place = f"{where}{separator}rope_parameters"
        yield Problem(place, _by(told, version), fix=fix)


def _processor(documents: Documents, version: str) -> Iterator[Problem]:
    joint = _read(documents, _JOINT).get("image_processor")
    if isinstance(joint, Mapping) and _OWN not in documents:
        told = say(
            "holds the image processor; transformers 4 looks for {own}", own=_OWN
        )
        fix = say("Copy {own} from the base model's repository beside it.", own=_OWN)
        yield Problem(f"{_JOINT}: image_processor", _by(told, version), fix=fix)
