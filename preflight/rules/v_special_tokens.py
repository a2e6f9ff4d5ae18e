"""V, continued: the ids with which a text begins, ends and is filled up."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from preflight.catalog.base_models import BaseModel
from preflight.findings import CannotTell, NotApplicable, Problem, Severity, Unavailable
from preflight.language import say
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
    fix=say(
        "Take these fields from the base's config.json and generation_config.json."
    ),
)
def special_tokens_unchanged(
    config: JsonObject | Unavailable,
    generation_config: JsonObject | Unavailable,
    tokenizer_config: JsonObject | Unavailable,
    compared: BaseModel,
) -> Iterator[Answer]:
    """With another end-of-text token answers do not stop, or stop at once.

    Trainers often swap the base's two end-of-text tokens, and fill texts up with
    another token that the base has: both are harmless. What is reported is an end that
    is none of the base's chat format, and a token that the base does not have.
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
        told = say("there is no config that names these tokens")
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
            yield Problem(
                where,
                say("is {value}, which is no id", value=shortened(repr(value), 60)),
            )
            continue
        allowed = usual | {base.pad_token_id, base.bos_token_id}
        if field == "pad_token_id":
            # Padding is masked: any token with a row of its own serves, and of those
            # that no text holds <|vision_pad|> and <|fim_pad|> are the usual ones.
            allowed |= set(base.added_tokens.values())
        strange = [number for number in ids if number not in allowed]
        wanted = _called([base.eos_token_id], names)
        if strange:
            told = say("is {value}", value=_called(strange, names))
            own = _called(sorted(usual | {base.pad_token_id}), names)
            yield Problem(
                where,
                say("{told}; {code} uses {own}", told=told, code=base.code, own=own),
            )
        elif field == "eos_token_id" and base.eos_token_id not in ids:
            told = say(
                "is {value} without {wanted}, with which answers end",
                value=_called(ids, names),
                wanted=wanted,
            )
            yield Problem(where, told)


def _called(ids: Iterable[int], names: Mapping[int, str]) -> str:
    return ", ".join(
        f"{number} ({names[number]})" if number in names else str(number)
        for number in list(ids)[:6]
    )


def _of_names(document: JsonObject, base: BaseModel) -> Iterator[Problem]:
    """The same by text; a token that the base does not have is told by V02."""
    numbers = base.added_tokens
    value = document.get("eos_token")
    text = value.get("content") if isinstance(value, Mapping) else value
    if not isinstance(text, str) or numbers.get(text, base.eos_token_id) == (
        base.eos_token_id
    ):
        return
    wanted = _called([base.eos_token_id], {n: t for t, n in numbers.items()})
    told = say(
        "is {text}; answers of {code} end with {wanted}",
        text=text,
        code=base.code,
        wanted=wanted,
    )
    yield Problem(f"{_TOKENIZER_CONFIG}: eos_token", told)
