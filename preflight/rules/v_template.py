"""V, continued: the chat template, which must be the base's own."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from preflight.catalog.base_models import BaseModel, load_bases
from preflight.catalog.templates import earlier_templates
from preflight.findings import CannotTell, Problem, Severity, Unavailable
from preflight.language import joined, say
from preflight.model.configs import JsonObject
from preflight.model.files import Walk
from preflight.model.reference import Reference
from preflight.model.rendering import renders_alike
from preflight.model.templates import DEFAULT, Template, digests, normalised
from preflight.rules._rule import FULL, Answer, rule
from preflight.text import shortened

Templates = tuple[Template, ...]

_ADDITIONAL = "additional_chat_templates/"
_DIFF_LINES = 12
_LINE = 100  # characters of a line of a template that are shown
_LONGEST = 200_000  # characters for which a diff is made


@rule(
    "V03",
    fix=say(
        "Put the base's own chat template in its place, or remove the "
        "file or field; format the training data so that it fits."
    ),
)
def chat_template_is_the_default(
    templates: Templates,
    walk: Walk,
    candidates: tuple[BaseModel, ...],
    reference: Reference | Unavailable,
) -> Iterator[Answer]:
    """The import wants the base's default chat template; without one it takes that.

    Line ends are not judged. A copy of the base from before its template was changed
    has an earlier one, which is the base's as well. Where a copy of the base and jinja2
    are at hand, a template that makes the same text of a few chats (with tools,
    thoughts, several turns) counts as the base's, too. A second template under another
    name is left behind.
    Causes: a trainer's own template (Unsloth, LLaMA-Factory, TRL's generation marks
    for assistant-only loss), the template of another model, an edited system prompt.
    Source: chat template, user guide "Model import".
    """
    defaults = [t for t in templates if t.name == DEFAULT]
    for template in defaults:
        if isinstance(template.text, Unavailable):
            yield Problem(template.where, _unreadable(template.text.reason))
        else:
            yield from _judged(template.where, template.text, candidates, reference)
    for template in templates:
        if template.name != DEFAULT:
            told = say(
                "has a second template named {name}", name=shortened(template.name, 60)
            )
            yield Problem(template.where, told, Severity.WARNING)
    for entry in walk.entries:
        if entry.is_file and entry.name.startswith(_ADDITIONAL):
            told = say("a second template, which is not uploaded")
            yield Problem(entry.name, told, Severity.WARNING)


def _unreadable(reason: str) -> str:
    return say("the template cannot be read: {reason}", reason=reason)


def _judged(
    where: str,
    text: str,
    candidates: tuple[BaseModel, ...],
    reference: Reference | Unavailable,
) -> Iterator[Answer]:
    found = set(digests(text))
    fitting = [base for base in candidates if found & _known(base)]
    own = _default_of(reference)
    if len(fitting) == len(candidates) > 0 or _equal(text, own):
        return
    if fitting or (own is None and not candidates):
        yield CannotTell(say("the base model is not known; give --base-model"))
        return
    if own is not None and renders_alike(own, text):
        return
    codes = [base.code for base in candidates[:3]]
    who = joined(say(" or "), codes) if codes else say("the base")
    told = _unlike(say("is not the default template of {who}", who=who), text, found)
    details = () if own is None else _difference(own, text)
    yield Problem(where, told, details=details)


def _known(base: BaseModel) -> set[str]:
    """The digests of its default template, today's and those of earlier revisions."""
    earlier = (one.sha256 for one in earlier_templates(base.code))
    return {*base.template_sha256, *earlier}


def _default_of(reference: Reference | Unavailable) -> str | None:
    if isinstance(reference, Unavailable):
        return None
    for template in reference.templates:
        if template.name == DEFAULT and isinstance(template.text, str):
            return template.text
    return None


def _equal(text: str, own: str | None) -> bool:
    return own is not None and normalised(text) == normalised(own)


def _unlike(told: str, text: str, found: set[str]) -> str:
    """With what it is instead, where that can be told."""
    if not text.strip():
        return say("{told} but empty", told=told)
    for base in load_bases().values():
        if found & _known(base):
            return say("{told} but that of {code}", told=told, code=base.code)
    if "{% generation" in text or "{%- generation" in text:
        return say(
            "{told} (it has the generation marks of assistant-only loss)", told=told
        )
    return told


def _difference(own: str, text: str) -> tuple[str, ...]:
    """A unified diff from the base's template to this one."""
    if len(own) + len(text) > _LONGEST:
        return (
            say(
                "{count:,} characters, the base's has {total:,}",
                count=len(text),
                total=len(own),
            ),
        )
    lines = difflib.unified_diff(
        normalised(own).split("\n"), normalised(text).split("\n"), n=0, lineterm=""
    )
    shown = [shortened(line, _LINE) for line in list(lines)[2:]]
    kept = shown[:_DIFF_LINES]
    if len(shown) > len(kept):
        kept[-1] = say("... {count:,} more lines", count=len(shown) - len(kept) + 1)
    return tuple(kept)


@rule(
    "V07",
    severity=Severity.WARNING,
    applies=FULL,
    fix=say(
        "Copy chat_template.jinja from the base, or the field "
        "chat_template of its tokenizer_config.json."
    ),
)
def full_weights_have_a_chat_template(
    templates: Templates, tokenizer_config: JsonObject | Unavailable
) -> Iterator[Problem]:
    """Full weights without a chat template have none of the base's to fall back on.

    The files are to be the same as those of the open-source model, which has one.
    Whether an import without it is refused or takes the base's own is not documented:
    a refusal that became known would make this an error.
    Causes: transformers 5 or a newer 4 wrote a chat_template.jinja, which was not
    copied along; a merge that saved the tokenizer of the pretrained model.
    Source: "the files are to be the same as those of the open-source model", user
    guide "My models".
    """
    if any(template.name == DEFAULT for template in templates):
        return
    if isinstance(tokenizer_config, Unavailable):
        return  # D08 and D18 tell of that
    told = say("there is no chat template, neither here nor in chat_template.jinja")
    yield Problem("tokenizer_config.json: chat_template", told)


@rule("V04", fix=say("Keep one of them; chat_template.jinja is what new loaders read."))
def one_chat_template(templates: Templates) -> Iterator[Problem]:
    """Of two different templates in one directory, loaders do not take the same one.

    Causes: a directory that was saved by transformers 4 and again by transformers 5,
    which moved the template to a file of its own.
    Source: transformers, tokenization_utils_base.py: the file counts before the field.
    """
    found = [
        (template.where, template.text)
        for template in templates
        if template.name == DEFAULT and isinstance(template.text, str)
    ]
    for where, text in found[1:]:
        first, first_text = found[0]
        if normalised(text) != normalised(first_text):
            yield Problem(
                where, say("differs from the template in {first}", first=first)
            )
