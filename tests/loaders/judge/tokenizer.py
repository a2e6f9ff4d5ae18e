"""What transformers makes of a tokenizer and its chat template."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import transformers

from tests.loaders.judge.questions import (
    DEAD,
    LOADS,
    Answer,
    Question,
    base_config,
    guarded,
    stable,
)

_FILES = ("tokenizer.json", "tokenizer_config.json", "vocab.json")
_USER = {"role": "user", "content": "Who are you?"}
_SYSTEM = {"role": "system", "content": "Be brief."}
_ANSWER = {"role": "assistant", "content": "A model."}
CHATS = ([_USER], [_SYSTEM, _USER], [_USER, _ANSWER, _USER])


def answers(question: Question) -> dict[str, Answer]:
    """The answers of `tokenizer` and `template`, where the directory has them.

    An adapter needs neither; a full model is asked in any case.
    """
    there = any(Path(question.directory, name).exists() for name in _FILES)
    if not there and question.kind == "lora":
        return {}
    kept: list[Any] = []

    def load() -> Answer:
        kept.append(transformers.AutoTokenizer.from_pretrained(question.directory))
        return _compared(kept[0], question)

    found = {"tokenizer": guarded(load, question)}
    if kept and kept[0].chat_template is not None:
        found["template"] = guarded(lambda: _template(kept[0], question), question)
    return found


@lru_cache(maxsize=64)
def _base(directory: str) -> Any:  # noqa: ANN401
    return transformers.AutoTokenizer.from_pretrained(directory)


def _compared(tokenizer: Any, question: Question) -> Answer:  # noqa: ANN401
    vocabulary, base = tokenizer.get_vocab(), _base(question.base).get_vocab()
    config = base_config(question.base)
    rows = config.get("text_config", config)["vocab_size"]
    beyond = [text for text, number in vocabulary.items() if number >= rows]
    if beyond:
        return DEAD, stable(f"{min(beyond)} has no row of the {rows}", question)
    lost = dict(base.items() - vocabulary.items())
    if lost:
        words = f"{len(lost)} of the base's tokens lost or moved, such as {min(lost)}"
        return DEAD, stable(words, question)
    added = dict(vocabulary.items() - base.items())
    return LOADS, stable(f"adds {min(added)}", question) if added else ""


def _template(tokenizer: Any, question: Question) -> Answer:  # noqa: ANN401
    """Render some chats; the base's tokenizer renders them for comparison."""
    texts = [_rendered(tokenizer, chat) for chat in CHATS]
    if not all(text.strip() for text in texts):
        return DEAD, "a chat becomes an empty text"
    base = _base(question.base)
    if base.chat_template is None or texts == [_rendered(base, c) for c in CHATS]:
        return LOADS, ""
    return LOADS, "other texts than the base"


def _rendered(tokenizer: Any, chat: list[dict[str, str]]) -> str:  # noqa: ANN401
    text: str = tokenizer.apply_chat_template(
        chat, tokenize=False, add_generation_prompt=True
    )
    return text
