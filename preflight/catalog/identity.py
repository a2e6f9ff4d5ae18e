"""Which base model a name means, as exactly as a name can tell.

A name matches only as a whole: after the path, the organisation, the revision and the
ending of a quantised copy are taken off, the rest must be a model's name letter by
letter (case and `. _ -` aside). What merely contains such a name is another model.

* `IMPORTABLE`: it is the name of a base. The organisation is not asked: re-uploads and
  local copies keep the name, and the tensors' shapes are compared elsewhere.
* `RELATIVE`: it is the name of a model that is known and cannot be imported onto.
* `UNKNOWN`: it names another model: of another maker, or of a hub's `org/name`.
* `CANNOT_TELL`: it names no model (`./model`, `checkpoint-100`, nothing), or what
  seems a fine-tune of one (`my-qwen3-8b-finetune`): its weights may or may not be the
  base's own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from preflight.catalog._names import Name, comparable, take_apart
from preflight.catalog.bases import BaseModel, find_base, load_bases
from preflight.catalog.relatives import Relative, load_relatives


class Match(str, Enum):
    """How well a name tells the base model."""

    IMPORTABLE = "importable"
    RELATIVE = "relative"
    UNKNOWN = "unknown"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a name means.

    `base` is the base itself when `IMPORTABLE`, the nearest one (or `None`) when
    `RELATIVE`, else `None`. `canonical` is the name as a hub writes it. `quantised`
    is the format of a quantised copy (`bnb-4bit`, `AWQ`, `4bit`) or empty.
    `same_shapes` tells of a relative whose tensors have the nearest base's shapes.
    `foreign` tells of an `UNKNOWN` name that can only be another model's: that of
    another line, or of a Qwen in a size or kind that no base has.
    """

    given: str
    match: Match
    base: BaseModel | None
    canonical: str
    quantised: str = ""
    note: str = ""
    same_shapes: bool = False
    foreign: bool = False


# Makers and lines of models none of which is a Qwen; compared with a name's first word.
_OTHERS = frozenset({
    "baichuan", "bert", "bge", "bloom", "chatglm", "codellama", "deepseek", "ernie",
    "falcon", "gemma", "glm", "gpt", "granite", "hunyuan", "internlm", "internvl",
    "jamba", "kimi", "llama", "llava", "mamba", "minicpm", "minimax", "ministral",
    "mistral", "mixtral", "mpt", "nemotron", "olmo", "opt", "orca", "phi",
    "pixtral", "roberta", "smollm", "stablelm", "starcoder", "tinyllama", "vicuna",
    "whisper", "yi", "zephyr",
})  # fmt: skip
# First parts of relative paths; hub organisations have no such names.
_FOLDERS = frozenset({
    "adapter", "adapters", "base", "base_model", "cache", "checkpoint",
    "checkpoints", "ckpt", "ckpts", "data", "experiments", "hub", "llm", "lora",
    "merged", "model", "models", "out", "output", "outputs", "pretrained",
    "results", "runs", "saves", "tmp", "train", "weights", "work", "workspace",
})  # fmt: skip
_LONGEST = 4096  # characters of a name that are looked at, from its end
_QWEN = re.compile(
    r"qwen\d*(?:-\d)?(?:-(?:vl|coder|math|omni|audio|next|moe))*(?:-\d+)?-\d+b"
    r"(?:-a\d+(?:-\d+)?b)?(?:-(?:base|chat|instruct|thinking|it|1m|\d{4}))*"
)


def identify(name: str | None) -> Identity:
    """Which model `name` means: an API code, a hub id, a path, a cache or a link."""
    given = name or ""
    taken = take_apart(given[-_LONGEST:])
    if base := _bases_by_key().get(taken.key):
        return _importable(given, taken, base)
    if relative := _relatives_by_key().get(taken.key):
        return _relative(given, taken, relative)
    match, note = _judge(taken)
    foreign = match is Match.UNKNOWN and _is_anothers(taken.key)
    return Identity(
        given, match, None, taken.shown, taken.quantised, note, foreign=foreign
    )


def nearest(text: str) -> BaseModel | None:
    """The base that someone may have meant by `text`, for a "did you mean"."""
    taken = take_apart(text[-_LONGEST:])
    if found := _bases_by_key().get(taken.key):
        return found
    if relative := _relatives_by_key().get(taken.key):
        return find_base(relative.nearest)
    if inside := _contained(taken.key):
        return find_base(inside.nearest)
    return _closest(taken.key[:100])


def _importable(given: str, taken: Name, base: BaseModel) -> Identity:
    copied = taken.org and taken.org.lower() != base.hub_id.split("/")[0].lower()
    note = f"taken by its name for a copy of {base.hub_id}" if copied else ""
    if taken.quantised:
        note = f"a quantised copy ({taken.quantised}) of {base.hub_id}"
    return Identity(given, Match.IMPORTABLE, base, base.hub_id, taken.quantised, note)


def _relative(given: str, taken: Name, relative: Relative) -> Identity:
    base = find_base(relative.nearest)
    note = f"{relative.hub_id} cannot be imported onto: {relative.why}"
    if base:
        note += f"; the nearest that can is {base.code}"
    return Identity(
        given,
        Match.RELATIVE,
        base,
        relative.hub_id,
        taken.quantised,
        note,
        relative.same_shapes,
    )


def _judge(taken: Name) -> tuple[Match, str]:
    """The answer for a name that is no known model's, and why."""
    if not taken.key:
        return Match.CANNOT_TELL, "no name of a base model is given"
    words = taken.key.split("-")
    if long := _shortened(words):
        return Match.CANNOT_TELL, f"{taken.shown} may be short for {' or '.join(long)}"
    if _QWEN.fullmatch(taken.key):
        return Match.UNKNOWN, f"{taken.shown} is not among the models known"
    if inside := _contained(taken.key):
        seems = f"{taken.shown} seems a fine-tune of {inside.hub_id}"
        return Match.CANNOT_TELL, f"{seems}: its weights may not be the base's own"
    if _is_anothers(taken.key):
        return Match.UNKNOWN, f"{taken.shown} is no model that can be imported onto"
    if taken.local or not taken.org or taken.org.lower() in _FOLDERS:
        return Match.CANNOT_TELL, f"{taken.shown} is a path that names no model"
    return Match.UNKNOWN, f"{taken.shown} is not among the models known"


def _is_anothers(key: str) -> bool:
    """Whether the name is of another maker's line, or of a Qwen that is no base."""
    words = key.split("-")
    other = len(words) > 1 and words[0].rstrip("0123456789") in _OTHERS
    return other or _QWEN.fullmatch(key) is not None


def _shortened(words: Sequence[str]) -> list[str]:
    """The hub ids of the bases whose names go on where `words` end."""
    bases = _bases_by_key()
    longer = {b.hub_id for k, b in bases.items() if words == k.split("-")[: len(words)]}
    return sorted(longer)


def _contained(key: str) -> Relative | None:
    """The model whose name stands in `key` word by word; a base is its own nearest."""
    known = {
        k: Relative(b.hub_id, b.code, same_shapes=True, why="")
        for k, b in _bases_by_key().items()
    }
    known |= _relatives_by_key()
    # A fine-tune's name often leaves out the -Instruct: look for the rest, too.
    for cut in ("", "-instruct"):
        names = [(name.removesuffix(cut), model) for name, model in known.items()]
        inside = [pair for pair in names if f"-{pair[0]}-" in f"-{key}-"]
        if inside:
            return max(inside, key=lambda pair: len(pair[0]))[1]
    return None


def _closest(key: str) -> BaseModel | None:
    from difflib import SequenceMatcher  # slow to import, needed for refusals alone

    def likeness(name: str) -> float:
        # Without the usual ending "qwen3-vl8b" is as like as it looks.
        short = name.removesuffix("-instruct")
        same = 0.2 if _size(name) and _size(name) == _size(key) else 0.0
        return same + max(SequenceMatcher(None, key, n).ratio() for n in (name, short))

    scored = [(likeness(k), base) for k, base in _bases_by_key().items()]
    best, base = max(scored, key=lambda pair: pair[0], default=(0.0, None))
    return base if best >= (0.7 if "qw" in key else 1.0) else None


def _size(key: str) -> str:
    found = re.search(r"(\d+)-?b\b", key)
    return found[1] if found else ""


def _bases_by_key() -> dict[str, BaseModel]:
    keys: dict[str, BaseModel] = {}
    for base in load_bases().values():
        keys[comparable(base.code)] = base
        keys[comparable(base.hub_id.rpartition("/")[2])] = base
    return keys


def _relatives_by_key() -> dict[str, Relative]:
    relatives = load_relatives().items()
    return {comparable(hub_id.split("/")[1]): each for hub_id, each in relatives}
