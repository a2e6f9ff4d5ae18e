"""V: the vocabulary, which an import must leave as it is in the base."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from preflight.catalog.base_models import BaseModel
from preflight.findings import CannotTell, NotApplicable, Problem, Severity, Unavailable
from preflight.language import joined, say
from preflight.model.config_figures import text_section
from preflight.model.configs import JsonObject
from preflight.model.headers import Tensor
from preflight.model.reference import Reference
from preflight.model.tokenizer import (
    ENTRIES,
    TOKENIZER,
    TOKENIZER_FILES,
    Documents,
    Token,
    read_tokens,
    shown_token,
)
from preflight.model.vocabulary import Vocabulary
from preflight.rules._rule import Answer, rule

Vocabularies = Mapping[str, Vocabulary]

_ROWS = ("embed_tokens.weight", "lm_head.weight")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


@rule(
    "V01",
    fix=say(
        "Do not resize the embeddings (LLaMA-Factory: resize_vocab "
        "false); merge onto the base as it is."
    ),
)
def vocabulary_size_unchanged(
    config: JsonObject | Unavailable,
    tensors: tuple[Tensor, ...] | Unavailable,
    candidates: tuple[BaseModel, ...],
) -> Iterator[Answer]:
    """Embedding, output layer and config have the base's number of vocabulary rows.

    That number is larger than the tokenizer's, and stays so: the rest is padding.
    Causes: `resize_token_embeddings(len(tokenizer))`, which cuts Qwen's embeddings to
    the tokenizer's length (151665, 151669), or added tokens.
    Source: vocabulary, user guide "Model import"; config.json of the base models.
    """
    rows = [] if isinstance(tensors, Unavailable) else _vocabulary_rows(tensors)
    declared = None
    if not isinstance(config, Unavailable):
        declared = text_section(config).get("vocab_size")
    if not rows and declared is None:
        told = say("neither config.json nor a tensor tells the vocabulary's size")
        usual = isinstance(config, Unavailable) and not config.applicable
        yield NotApplicable(told) if usual else CannotTell(told)
        return
    sizes = sorted({base.vocab_size for base in candidates})
    if declared is not None:
        yield from _declared(declared, candidates, sizes)
    for tensor in rows:
        if sizes and tensor.shape[0] not in sizes:
            yield Problem(tensor.name, _size_told(tensor.shape[0], candidates, sizes))
        elif _is_int(declared) and tensor.shape[0] != declared:
            told = say(
                "has {rows:,} rows, config.json says {declared:,}",
                rows=tensor.shape[0],
                declared=declared,
            )
            yield Problem(tensor.name, told)
    if not sizes:
        yield CannotTell(say("the base model is not known; give --base-model"))


def _vocabulary_rows(tensors: tuple[Tensor, ...]) -> list[Tensor]:
    return [
        tensor
        for tensor in tensors
        if len(tensor.shape) == 2
        and f".{tensor.name}".endswith(tuple(f".{end}" for end in _ROWS))
    ]


def _declared(
    declared: object, candidates: tuple[BaseModel, ...], sizes: list[int]
) -> Iterator[Problem]:
    where = "config.json: vocab_size"
    if not isinstance(declared, int) or isinstance(declared, bool):
        yield Problem(
            where,
            say("is {value}, no whole number", value=shown_token(declared)),
        )
    elif sizes and declared not in sizes:
        yield Problem(where, _size_told(declared, candidates, sizes, rows=False))


def _size_told(
    found: int,
    candidates: tuple[BaseModel, ...],
    sizes: list[int],
    *,
    rows: bool = True,
) -> str:
    wanted = joined(say(" or "), [f"{size:,}" for size in sizes])
    who = candidates[0].code if len(candidates) == 1 else say("the base")
    told = say("is {found:,}, {who} has {wanted}", found=found, who=who, wanted=wanted)
    if rows:
        told = say(
            "has {found:,} rows, {who} has {wanted}",
            found=found,
            who=who,
            wanted=wanted,
        )
    lengths = {base.tokenizer_length for base in candidates}
    if found in lengths:
        told = say("{told}: cut to the tokenizer's length", told=told)
    elif any(length < found < length + 1000 for length in lengths) and found < sizes[0]:
        told = say(
            "{told}: cut to the length of a tokenizer with added tokens", told=told
        )
    return told


@rule(
    "V02",
    fix=say(
        "Train and save with the base's own tokenizer; use tokens that "
        "it has already (<|fim_pad|>, <|vision_pad|>) in place of new "
        "ones."
    ),
)
def no_token_added(
    documents: Documents,
    vocabularies: Vocabularies,
    candidates: tuple[BaseModel, ...],
    reference: Reference | Unavailable,
) -> Iterator[Answer]:
    """The tokenizer has the base's tokens with the base's ids, and no others.

    Causes: `add_tokens`, `add_special_tokens`, a new pad token (Unsloth), a chat
    format of one's own (ChatML tokens, tool tags), the tokenizer of another model.
    Source: vocabulary, user guide "Model import": no token may be added.
    """
    for name in TOKENIZER_FILES:
        document = documents.get(name)
        if isinstance(document, Unavailable):
            yield Problem(name, document.reason)
    tokens: list[Token] = []
    for found in read_tokens(documents):
        if isinstance(found, Problem):
            yield found
        else:
            tokens.append(found)
    if not tokens and not vocabularies:
        return
    if not candidates:
        yield CannotTell(say("the base model is not known; give --base-model"))
        return
    yield from _judged(tokens, vocabularies, candidates)
    yield from _grown(vocabularies, candidates)
    if isinstance(documents.get(TOKENIZER), Mapping):
        yield from _missing(tokens, candidates)
        yield from _compared(vocabularies, reference)
    if _reference_vocabulary(reference) is None:
        yield from _by_digest(vocabularies, candidates)


def _judged(
    tokens: list[Token],
    vocabularies: Vocabularies,
    candidates: tuple[BaseModel, ...],
) -> Iterator[Problem]:
    """One problem for each token that is none of the base's, wherever it stands."""
    # Bases of one kind share their tokens; of two kinds the longer list counts.
    base = max(candidates, key=lambda one: len(one.added_tokens))
    names = {number: text for text, number in base.added_tokens.items()}
    texts = {token.text for token in tokens}
    plain = {t for found in vocabularies.values() for t in found if t in texts}
    told: dict[tuple[str, str], list[str]] = {}
    for token in tokens:
        cause = _cause(token, base, names, plain)
        if cause:
            told.setdefault((token.text, cause), []).append(token.where)
    numbered = {text for text, cause in told if "(id" in cause}
    for (text, cause), places in told.items():
        if "(id" in cause or text not in numbered:
            yield Problem(places[0], _also(cause, places[1:]))


def _also(cause: str, places: list[str]) -> str:
    others = sorted({place.partition(":")[0] for place in places})
    if not others:
        return cause
    return say("{cause}; so also {others}", cause=cause, others=", ".join(others))


def _cause(
    token: Token, base: BaseModel, names: Mapping[int, str], plain: set[str]
) -> str:
    shown, number = shown_token(token.text), token.number
    wanted = base.added_tokens.get(token.text)
    if wanted is not None:
        if number is None or number == wanted:
            return ""
        return say(
            "{shown} has the id {number:,}, in {code} it has {wanted:,}",
            shown=shown,
            number=number,
            code=base.code,
            wanted=wanted,
        )
    if number is None:
        return (
            ""
            if token.text in plain
            else say("{shown} is no token of {code}", shown=shown, code=base.code)
        )
    if number in names:
        return say(
            "the id {number:,} is {shown}, in {code} {wanted}",
            number=number,
            shown=shown,
            code=base.code,
            wanted=shown_token(names[number]),
        )
    if number < base.vocab_entries:
        # An entry of the plain vocabulary that was given flags: nothing is added.
        return ""
    return say(
        "{shown} (id {number:,}) is added: {code} has no such token",
        shown=shown,
        number=number,
        code=base.code,
    )


def _grown(
    vocabularies: Vocabularies, candidates: tuple[BaseModel, ...]
) -> Iterator[Problem]:
    limit = max(base.vocab_entries for base in candidates)
    for where, vocabulary in vocabularies.items():
        beyond = [t for t, number in vocabulary.items() if not 0 <= number < limit]
        if len(vocabulary) > limit:
            told = say(
                "has {count:,} entries, the base has {limit:,}",
                count=len(vocabulary),
                limit=limit,
            )
            yield Problem(where, told)
        elif beyond:
            told = say(
                "has {count:,} entries that the base has not, the first {first}",
                count=len(beyond),
                first=shown_token(beyond[0]),
            )
            yield Problem(where, told)


def _missing(
    tokens: list[Token], candidates: tuple[BaseModel, ...]
) -> Iterator[Problem]:
    """Tokens of the base that tokenizer.json lacks, as that of an older model does."""
    base = min(candidates, key=lambda one: len(one.added_tokens))
    named = {token.text for token in tokens if token.where.startswith(TOKENIZER)}
    lost = [text for text in base.added_tokens if text not in named]
    if lost and named:
        told = say(
            "lacks {count:,} tokens of {code}, the first {first}",
            count=len(lost),
            code=base.code,
            first=shown_token(lost[0]),
        )
        yield Problem(f"{TOKENIZER}: added_tokens", told, Severity.WARNING)


def _compared(
    vocabularies: Vocabularies, reference: Reference | Unavailable
) -> Iterator[Problem]:
    """The plain vocabulary against that of the base, entry by entry."""
    found, own = vocabularies.get(ENTRIES), _reference_vocabulary(reference)
    if found is None or own is None or found == own:
        return
    mine, wanted = dict(found.items()), dict(own.items())
    origin = say("the base") if isinstance(reference, Unavailable) else reference.origin
    lost = [text for text in wanted if mine.get(text) != wanted[text]]
    new = [text for text in mine if text not in wanted]
    told = say(
        "is not the vocabulary of {origin}: {lost:,} entries are missing or have other "
        "ids, {new:,} are new",
        origin=origin,
        lost=len(lost),
        new=len(new),
    )
    yield Problem(ENTRIES, told)


def _reference_vocabulary(reference: Reference | Unavailable) -> Vocabulary | None:
    if isinstance(reference, Unavailable):
        return None
    return reference.tokenizer.vocabulary


def _by_digest(
    vocabularies: Vocabularies, candidates: tuple[BaseModel, ...]
) -> Iterator[Answer]:
    """The plain vocabulary against the digest that the catalog has of the base's."""
    for where, vocabulary in vocabularies.items():
        alike = [b for b in candidates if b.vocab_entries == len(vocabulary)]
        if not alike:
            most = max(base.vocab_entries for base in candidates)
            told = say(
                "{where} has {count:,} of the base's {most:,} entries; give --base-dir "
                "to compare them",
                where=where,
                count=len(vocabulary),
                most=most,
            )
            yield CannotTell(told)
        elif not {b.vocab_sha256 for b in alike} & set(vocabulary.digests):
            told = say(
                "is not the vocabulary of {code}: as many entries, with other texts or "
                "ids",
                code=alike[0].code,
            )
            yield Problem(where, told)
        break  # tokenizer.json counts before vocab.json
