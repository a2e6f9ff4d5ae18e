"""Which base model a name means, as exactly as a name can tell.

`names` takes a name apart into words; here they are held against the words of the
models that are known.

* `IMPORTABLE`: they are those of a base, nothing more and nothing less.
* `RELATIVE`: they are those of a model that is known and cannot be imported onto.
* `FINE_TUNE`: they are those of a base, or of a model with its shapes, and others
  that tell of changed weights (`qwen3-8b-sft`, `Qwen2.5-7B-medical`).
* `UNKNOWN`: they name another model: another maker's, another line or size of
  Qwen's, or something on a hub that no one here has heard of.
* `CANNOT_TELL`: they name no model (`./model`, nothing) or too little (`Qwen3-VL-8B`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from functools import lru_cache

from preflight.catalog.base_models import BaseModel, find_base, load_bases
from preflight.catalog.relatives import Relative, load_relatives
from preflight.catalog.words import load_words
from preflight.language import joined, say
from preflight.model.names import ModelName, take_apart

# `-2L`, `-4layers`: people cut a model to a few layers to try a training.
_CUT = re.compile(r"\d{1,2}-?(?:l|layers?)|layers?")


class Match(str, Enum):
    """How well a name tells the base model."""

    IMPORTABLE = "importable"
    RELATIVE = "relative"
    FINE_TUNE = "fine-tune"
    UNKNOWN = "unknown"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class Identity:
    """What a name means.

    `base` is the base itself when `IMPORTABLE`; when `RELATIVE` or `FINE_TUNE` the
    nearest one, if any is near; else `None`. `canonical` is the name as a hub writes
    it. `quantised` is the format of a quantised copy (`bnb-4bit`, `AWQ`) or empty.
    `same_shapes` tells of a relative whose tensors have the nearest base's shapes.
    `foreign` tells of an `UNKNOWN` name that can only be another model's. `doubt`
    says in words why an `IMPORTABLE` name is not quite the base's own, and `why` the
    reason that a `RELATIVE` cannot be imported onto.
    """

    given: str
    match: Match
    base: BaseModel | None
    canonical: str
    quantised: str = ""
    note: str = ""
    same_shapes: bool = False
    foreign: bool = False
    doubt: str = ""
    why: str = ""


_LONGEST = 4096  # characters of a name that are looked at, from its end
_TUNED = frozenset({"instruct", "chat", "it"})  # of a model that has but one stage


@dataclass(frozen=True, slots=True)
class _Known:
    """A base or a relative with its name taken apart."""

    hub_id: str
    name: ModelName
    base: BaseModel | None
    relative: Relative | None

    @property
    def same_shapes(self) -> bool:
        return self.relative is None or self.relative.same_shapes

    @property
    def nearest(self) -> BaseModel | None:
        near = self.relative.nearest if self.relative else ""
        return self.base or (find_base(near) if near else None)


def identify(name: str | None) -> Identity:
    """Which model `name` means: an API code, a hub id, a path, a cache or a link."""
    given = name or ""
    taken = take_apart(given[-_LONGEST:])
    found = _identified(taken)
    return replace(found, given=given, quantised=taken.quantised)


def _identified(taken: ModelName) -> Identity:
    if taken.tagged and not taken.marks:
        # Ollama's `qwen2.5:7b` is the instruction-tuned model.
        tuned = replace(taken, marks=frozenset({"instruct"}))
        known = (k.name for k in _known() if k.base)
        taken = tuned if _words(tuned) in map(_words, known) else taken
    if found := next((k for k in _known() if _words(k.name) == _words(taken)), None):
        return _importable(taken, found.base) if found.base else _relative(found)
    family = tuple(k for k in _known() if _is_of(taken, k.name))
    if not taken.line:
        return _of_no_line(taken)
    if not (taken.size or taken.active or _is_another_kind(taken)):
        return _incomplete(taken)
    if taken.rest and all(map(_CUT.fullmatch, taken.rest)):
        note = say(
            "{shown} seems a copy cut to a few layers, as for a trial",
            shown=taken.shown,
        )
        return _of(Match.CANNOT_TELL, taken, note)
    return _tuned(taken, family) if taken.rest else _untuned(taken, family)


def _words(name: ModelName) -> tuple[object, ...]:
    marks = name.marks | {"rest", *name.rest} if name.rest else name.marks
    return name.line, name.size, name.active, name.kinds, marks


def _is_of(taken: ModelName, known: ModelName) -> bool:
    """Whether it is of the same line, kind and size, whatever its stage."""
    mine = (taken.line, taken.size, taken.active, taken.kinds)
    return mine == (known.line, known.size, known.active, known.kinds)


def _is_another_kind(taken: ModelName) -> bool:
    """Whether no base is of that kind; only the first Qwens were called Chat."""
    if not taken.line.startswith("qwen"):
        return True
    ours = [known.name for known in _known() if known.base]
    first = taken.line in load_words().lines and "chat" in taken.marks
    kinds = {name.kinds for name in ours if first or name.line == taken.line}
    return bool(taken.kinds) and (first or taken.kinds not in kinds)


def _of(match: Match, taken: ModelName, note: str) -> Identity:
    return Identity("", match, None, taken.shown, note=note)


def _importable(taken: ModelName, base: BaseModel) -> Identity:
    copied = taken.org and taken.org.lower() != base.hub_id.split("/")[0].lower()
    note = ""
    if copied:
        note = say("taken by its name for a copy of {name}", name=base.hub_id)
    if taken.quantised:
        kind, name = taken.quantised, base.hub_id
        note = say("a {kind} copy of {name}", kind=kind, name=name)
        if takes_an(kind):
            note = say("an {kind} copy of {name}", kind=kind, name=name)
    return Identity("", Match.IMPORTABLE, base, base.hub_id, note=note)


def _relative(found: _Known) -> Identity:
    why = found.relative.why if found.relative else ""
    if base := found.nearest:
        why = say("{told}; the nearest that can is {code}", told=why, code=base.code)
    note = say("{name} cannot be imported onto: {why}", name=found.hub_id, why=why)
    return Identity(
        "",
        Match.RELATIVE,
        found.nearest,
        found.hub_id,
        note=note,
        same_shapes=found.same_shapes,
        why=why,
    )


def _incomplete(taken: ModelName) -> Identity:
    """A line without a size, which many models have."""
    hub = _hub_like(taken) and taken.rest
    if hub:
        return _of(Match.UNKNOWN, taken, _not_known(taken))
    return _short(taken) or _of(Match.CANNOT_TELL, taken, _no_model(taken))


def _short(taken: ModelName) -> Identity | None:
    """What may be short for the name of a base."""
    bases = [known for known in _known() if known.base]
    longer = sorted(k.hub_id for k in bases if _is_short_for(taken, k.name))
    if not longer or taken.rest:
        return None
    note = say(
        "{name} may be short for {names}",
        name=taken.shown,
        names=joined(say(" or "), dict.fromkeys(longer)),
    )
    return _of(Match.CANNOT_TELL, taken, note)


def _is_short_for(taken: ModelName, known: ModelName) -> bool:
    same = taken.line == known.line and taken.size in ("", known.size)
    less = taken.kinds <= known.kinds and taken.marks <= known.marks
    whole = not taken.size or taken.kinds == known.kinds
    return same and less and whole


def _untuned(taken: ModelName, family: Sequence[_Known]) -> Identity:
    """A name of nothing but line, kind, size and stage that is no known model's."""
    for known in family:
        if known.base and not known.name.marks and taken.marks <= _TUNED:
            found = _importable(taken, known.base)
            told = say(
                "there is no such model; taken for {hub_id}", hub_id=known.hub_id
            )
            return replace(found, doubt=told)
    plain = [k for k in family if k.relative and k.name.marks == taken.marks - {"base"}]
    if plain and "base" in taken.marks:
        return _relative(plain[0])
    bare = taken.line in load_words().lines and not (taken.marks or taken.kinds)
    if bare and taken.org.lower() != taken.line:
        # `qwen-14b` is what people call the 14B of any generation.
        return _of(Match.CANNOT_TELL, taken, _no_model(taken))
    return _short(taken) or _foreign(taken)


def _tuned(taken: ModelName, family: Sequence[_Known]) -> Identity:
    """A name with words that no maker's own name has."""
    if taken.line == "qwen":  # of any generation
        if taken.kinds or taken.active or not _is_a_base_s_size(taken):
            return _foreign(taken)
        return _of(
            Match.FINE_TUNE,
            taken,
            say("seems a fine-tune of a Qwen {size}", size=taken.size),
        )
    alike = sorted((k for k in family if k.same_shapes), key=_likeness(taken))
    if not alike:
        return _foreign(taken)
    found = _of(
        Match.FINE_TUNE,
        taken,
        say("seems a fine-tune of {hub_id}", hub_id=alike[0].hub_id),
    )
    return replace(found, base=alike[0].nearest, same_shapes=True)


def _likeness(taken: ModelName) -> Callable[[_Known], tuple[bool, bool, bool]]:
    """Names of fine-tunes often leave out the -Instruct of a base's name."""

    def unlike(known: _Known) -> tuple[bool, bool, bool]:
        marks = known.name.marks
        own = bool(known.base) and marks - _TUNED == taken.marks - _TUNED
        return not own, marks != taken.marks, not known.base

    return unlike


def _foreign(taken: ModelName) -> Identity:
    return replace(_of(Match.UNKNOWN, taken, _not_known(taken)), foreign=True)


def _of_no_line(taken: ModelName) -> Identity:
    words = load_words()
    if not taken.leaf:
        return _of(Match.CANNOT_TELL, taken, say("no name of a base model is given"))
    telling = taken.size or _hub_like(taken)
    if _is_others(taken, several=len(taken.rest) > 1 or bool(telling)):
        note = say("{shown} is no model that can be imported onto", shown=taken.shown)
        return replace(_of(Match.UNKNOWN, taken, note), foreign=True)
    if telling and any(word in words.tunes for word in taken.rest):
        return _of(Match.FINE_TUNE, taken, say("is a fine-tune of some model"))
    if _hub_like(taken):
        return _of(Match.UNKNOWN, taken, _not_known(taken))
    return _of(Match.CANNOT_TELL, taken, _no_model(taken))


def _is_others(taken: ModelName, *, several: bool) -> bool:
    """Whether it is of another maker's line, of a kind or of a size that no base has.

    A single word without a version may be the name of a folder (`/opt`, `llama`).
    """
    words = load_words()
    if taken.org.lower() in words.makers:
        return True
    if _hub_like(taken) and taken.size and not _is_a_base_s_size(taken):
        return True
    lines = {word for word in taken.rest if several or word[-1:].isdigit()}
    lines |= {word.rstrip("0123456789.") for word in lines if several}
    front = set(taken.rest[:1]) if several else set()
    others = words.families | words.kinds_in_front
    return bool(lines & others or front & words.families_in_front)


def _is_a_base_s_size(taken: ModelName) -> bool:
    return any(taken.size == known.name.size for known in _known() if known.base)


def _hub_like(taken: ModelName) -> bool:
    """Whether it is of the form `organisation/name`."""
    folder = taken.org.lower() in load_words().folders
    return bool(taken.org) and not taken.local and not folder


def _not_known(taken: ModelName) -> str:
    return say("{shown} is not among the models known", shown=taken.shown)


def _no_model(taken: ModelName) -> str:
    return say("{shown} names no model", shown=taken.shown)


def takes_an(label: str) -> bool:
    """Whether it is `an AWQ`, not `a 4bit`: as the label is read aloud."""
    spelt = label[:2].isupper()
    return label[:1] in ("AEFHILMNORSX8" if spelt else "AEIOaeio8")


def nearest(text: str) -> BaseModel | None:
    """The base that someone may have meant by `text`, for a "did you mean".

    None rather than a wrong one: the line and the kind must be the same.
    """
    taken = take_apart(text[-_LONGEST:])
    found = _identified(taken)
    if found.base:
        return found.base
    if not taken.line:
        return _misspelt(text) if not taken.local else None
    if not taken.size:
        return _misspelt(text)
    near = [k for k in _known() if k.base and _is_like(taken, k.name)]
    near.sort(key=lambda k: abs(_billions(k.name) - _billions(taken)))
    return near[0].base if near else None


def _is_like(taken: ModelName, known: ModelName) -> bool:
    return taken.line == known.line and taken.kinds == known.kinds and not taken.active


def _billions(name: ModelName) -> float:
    return float(name.size.removesuffix("b")) if name.size.endswith("b") else 0.0


def _misspelt(text: str) -> BaseModel | None:
    from difflib import get_close_matches  # slow to import, needed for refusals alone

    plain = text.strip().lower().rpartition("/")[2][:100]
    codes = {code: base for code, base in load_bases().items() if _digits(code, plain)}
    codes |= {code.removesuffix("-instruct"): base for code, base in codes.items()}
    close = get_close_matches(plain, codes, n=1, cutoff=0.75)
    return codes[close[0]] if close else None


def _digits(one: str, other: str) -> bool:
    """Whether both have the same digits; a letter is misspelt sooner than a size."""
    return [c for c in one if c.isdigit()] == [c for c in other if c.isdigit()]


def _known() -> tuple[_Known, ...]:
    return _taken_apart(tuple(load_bases().values()))


@lru_cache(maxsize=8)
def _taken_apart(bases: tuple[BaseModel, ...]) -> tuple[_Known, ...]:
    return tuple(_all(bases))


def _all(bases: Sequence[BaseModel]) -> Iterator[_Known]:
    """Bases first: what a user made importable is a relative no more."""
    for base in bases:
        for name in (base.hub_id, base.code):
            yield _Known(base.hub_id, take_apart(name), base, None)
    for hub_id, relative in load_relatives().items():
        yield _Known(hub_id, take_apart(hub_id), None, relative)
