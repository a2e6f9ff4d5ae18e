"""V, continued: the ids with which a text begins, ends and is filled up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from preflight.catalog.bases import BaseModel
from preflight.findings import CannotTell, NotApplicable, Problem, Severity, Unavailable
from preflight.model.config_figures import text_section
from preflight.model.configs import JsonObject
from preflight.rules._rule import Answer, rule
from preflight.text import shortened

_TOKENIZER_CONFIG = "tokenizer_config.json"


def _ids(value: object) -> list[int] | None:
    """The ids in a field: one number or a list of them; `None` for anything else."""
    listed = value if isinstance(value, list) else [value]
    good = [n for n in listed if isinstance(n, int) and not isinstance(n, bool)]
    return good if len(good) == len(listed) else None


@rule(
    "V05",
    severity=Severity.WARNING,
    fix="Take these fields from the base's config.json and generation_config.json.",
)
def special_tokens_unchanged(
    config: JsonObject | Unavailable,
    generation_config: JsonObject | Unavailable,
    tokenizer_config: JsonObject | Unavailable,
    compared: BaseModel,
) -> Iterator[Answer]:
    """With another end-of-text token answers do not stop, or stop at once.

    Which of its own two tokens ends a text, and which fills one up, trainers set
    anew and none of it does harm; what is told here is another token, or none of the
    base's chat format.
    Causes: trained from the pretrained model, which ends with <|endoftext|>; a
    trainer that sets a pad token of its own.
    Source: config.json and generation_config.json of the base models.
    """
    documents = {"config.json": config, "generation_config.json": generation_config}
    for name, document in documents.items():
        if not isinstance(document, Unavailable):
            yield from _of_ids(name, text_section(document), compared)
    if not isinstance(tokenizer_config, Unavailable):
        yield from _of_names(tokenizer_config, compared)
    if all(
        isinstance(one, Unavailable) for one in (*documents.values(), tokenizer_config)
    ):
        told = "there is no config that names these tokens"
        usual = isinstance(config, Unavailable) and not config.applicable
        yield NotApplicable(told) if usual else CannotTell(told)


def _of_ids(name: str, section: JsonObject, base: BaseModel) -> Iterator[Problem]:
    usual = {*base.generation_eos, base.eos_token_id}
    names = {number: text for text, number in base.added_tokens.items()}
    for field in ("eos_token_id", "pad_token_id", "bos_token_id"):
        value = section.get(field)
        if value is None:
            continue
        ids = _ids(value)
        where = f"{name}: {field}"
        if ids is None:
            yield Problem(where, f"is {shortened(repr(value), 60)}, which is no id")
            continue
        allowed = usual | {base.pad_token_id, base.bos_token_id}
        strange = [number for number in ids if number not in allowed]
        wanted = _called([base.eos_token_id], names)
        if strange:
            told = f"is {_called(strange, names)}"
            own = _called(sorted(allowed), names)
            yield Problem(where, f"{told}; {base.code} uses {own}")
        elif field == "eos_token_id" and base.eos_token_id not in ids:
            told = f"is {_called(ids, names)} without {wanted}"
            yield Problem(where, f"{told}, with which answers end")


def _called(ids: Iterable[int], names: Mapping[int, str]) -> str:
    return ", ".join(
        f"{number} ({names[number]})" if number in names else str(number)
        for number in list(ids)[:6]
    )


def _of_names(document: JsonObject, base: BaseModel) -> Iterator[Problem]:
    """The same by text; a token that the base does not have is told by V02."""
    numbers = base.added_tokens
    for field in ("eos_token", "pad_token"):
        value = document.get(field)
        text = value.get("content") if isinstance(value, Mapping) else value
        if not isinstance(text, str) or text not in numbers:
            continue
        where = f"{_TOKENIZER_CONFIG}: {field}"
        wanted = _called([base.eos_token_id], {n: t for t, n in numbers.items()})
        if field == "eos_token" and numbers[text] != base.eos_token_id:
            yield Problem(where, f"is {text}; answers of {base.code} end with {wanted}")
        elif numbers[text] not in {*base.generation_eos, base.pad_token_id}:
            yield Problem(where, f"is {text}, another word of {base.code}'s own")
