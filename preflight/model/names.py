"""A model's name taken apart: out of paths, caches, links and tags, into its words.

One name has many spellings (`Qwen2.5-7B-Instruct`, `qwen25_7b_instruct`, Kaggle's
`qwen2.5/transformers/7b-instruct/1`, ModelScope's `Qwen2___5-7B-Instruct`, Ollama's
`qwen2.5:7b-instruct`). All become the same words here; what the words mean together
is judged in `identity`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from preflight.catalog.words import NameWords, load_words

_LINK = re.compile(
    r"^(?:https?://[^/]+/|hf://|modelscope://"
    r"|(?:www\.)?(?:huggingface\.co|hf\.co|hf-mirror\.com|modelscope\.cn)/)(?:models/)?",
    re.I,
)
_LOCAL = re.compile(r"^(?:[a-z]:(?:/|$)|[/.~$%])", re.I)
_TAILS = frozenset({"tree", "blob", "resolve", "files", "summary"})  # of hub pages
_FILE = re.compile(r"\.(?:safetensors|bin|json|pth?|index)$", re.I)
_HASH = re.compile(r"^(?=.*\d)[0-9a-f]{7,64}$", re.I)
_NUMBER = re.compile(r"^\d+$")
_TAG = re.compile(r"^(?P<name>[^:]+):(?P<tag>[^:]+)$")
_HIGHEST = 4  # folders above the last one that are looked into

# Where words are glued together or a point is none.
_SEPARATED = tuple(
    (re.compile(pattern), separated)
    for pattern, separated in (
        (r"(?<=\d)___(?=\d)", "."),  # ModelScope's point
        (r"(?<=[a-z])(?<!code)(?<!col)(?=qwen)", "-"),  # myqwen3; CodeQwen is a line
        (r"(?<=[a-z]{2})(?=\d+(?:\.\d+)?b(?![a-z0-9]))", "-"),  # vl8b
        (r"(?<=qwen)(?=[a-z])", "-"),  # QwenLong
        (r"(qwen\d+(?:[._]\d+)?)(?=[a-z])(?!b(?![a-z]))", r"\1-"),  # qwen3vl, not 7b
        (r"(?<!\d)\.|\.(?!\d)", "-"),  # quantized.w8a8
    )
)
_VERSION = re.compile(r"[2-9]|\d{2}|\d\.\d")
_LINE = re.compile(r"(?P<line>[a-z]+?)(?P<version>\d+(?:\.\d+)?)?")
_SIZE = re.compile(r"(?P<number>\d+(?:\.\d+)?)b|\d{3}m")
_ACTIVE = re.compile(r"a\d+(?:\.\d+)?b")
_EDITION = re.compile(r"2[3-9](?:0[1-9]|1[0-2])")  # year and month
_FORMATS = (
    (re.compile(r"(?:ud)?i?q[1-8]\w*"), "GGUF"),
    (re.compile(r"w\d+a\d+(?:kv\d+)?"), r"\g<0>"),
    (re.compile(r"([1-8]bit)\w*"), r"\1"),
)


@dataclass(frozen=True, slots=True)
class ModelName:
    """The words of a name, sorted by what they tell.

    `org` may be empty; `leaf` is as it was given; `local` tells that it can only be a
    path, `tagged` that it is one of Ollama's. `line` is `qwen2.5`, `qwq` or empty,
    `size` is `7b`, `active` is `a3b` in a mixture of experts. `kinds` are such as `vl`
    and `coder`, `marks` such as `instruct` and `2507`. `quantised` names the format of
    a quantised copy in its usual spelling. `rest` are all other words.
    """

    org: str
    leaf: str
    local: bool
    tagged: bool
    line: str
    size: str
    active: str
    kinds: frozenset[str]
    marks: frozenset[str]
    quantised: str
    rest: tuple[str, ...]

    @property
    def shown(self) -> str:
        """The name as a hub writes it; of a local path the last part alone."""
        return f"{self.org}/{self.leaf}" if self.org and not self.local else self.leaf


def take_apart(given: str) -> ModelName:
    """What a person, a trainer or a cache wrote, as the words of one model's name."""
    text = given.strip().replace("\\", "/")
    link = bool(_LINK.match(text))
    text = _LINK.sub("", text)
    parts = [part for part in text.split("/") if part not in ("", ".", "..")]
    if link:
        parts = parts[:2] if len(parts) > 2 and parts[2] in _TAILS else parts
    cached = _cached(parts)
    local = not link and not cached and (bool(_LOCAL.match(text)) or len(parts) > 2)
    parts = cached or parts
    tagged = bool(parts) and not local and bool(_TAG.match(parts[-1]))
    place = _telling(parts)
    leaf = parts[place.at].split("@")[0] if parts else ""
    org = parts[place.at - 1] if place.at > 0 else ""
    return _sorted(place.words, org=org, leaf=leaf, local=local, tagged=tagged)


def _cached(parts: Sequence[str]) -> list[str]:
    """Organisation, name and what lies below, of a path into a hub's cache."""
    for index, part in enumerate(parts):
        pieces = part.split("--")
        below = list(parts[index + 1 :])
        if pieces[0] == "models" and len(pieces) > 2:
            return [pieces[1], "--".join(pieces[2:]), *below]
        if len(pieces) > 1 and below[:1] == ["snapshots"]:
            return [pieces[0], "--".join(pieces[1:]), *below]
    return []


@dataclass(frozen=True, slots=True)
class _Place:
    """Which part of a path tells the model, and the words from there on."""

    at: int
    words: tuple[str, ...]


def _telling(parts: Sequence[str]) -> _Place:
    """The last part that names a model; what lies below it belongs to the name."""
    known = load_words()
    if not parts:
        return _Place(0, ())
    last = _lowest(parts, known)
    below: tuple[str, ...] = ()
    for at in range(last, max(-1, last - _HIGHEST), -1):
        if at < last and _transparent(parts, at, known):
            continue
        own = _words(parts[at])
        words = (*own, *below)
        line = _line(words, known)[0]
        sized = any(map(_SIZE.fullmatch, words))
        # A folder named `qwen` is an organisation; `qwen3` is a line.
        if line and (at == last or (line not in known.lines and sized)):
            return _Place(at, words)
        if at == last and _family(own, known):
            break
        split = at < last and sized and not any(map(_SIZE.fullmatch, own))
        if split and _family(own, known):
            return _Place(at, words)
        below = words
    return _Place(len(parts) - 1, _words(parts[last]))


def _lowest(parts: Sequence[str], known: NameWords) -> int:
    """The last part that is more than a version, a hash or a file in a model."""
    for at in range(len(parts) - 1, 0, -1):
        if not _transparent(parts, at, known):
            return at
    return 0


def _transparent(parts: Sequence[str], at: int, known: NameWords) -> bool:
    plain = parts[at].lower()
    return bool(
        plain in known.transparent
        or parts[max(0, at - 1)] == "snapshots"
        or _NUMBER.match(plain)
        or _HASH.match(plain)
        or _FILE.search(plain)
    )


def _family(words: Sequence[str], known: NameWords) -> bool:
    return any(word in known.families for word in words)


def _words(part: str) -> tuple[str, ...]:
    """Lower-case words; a point stays between digits alone."""
    text, _, revision = part.lower().partition("@")
    if any(_format(word, load_words()) for word in re.split(r"[-_.]", revision)):
        text += f"-{revision}"  # LM Studio's `qwen3-8b@q4_k_m`
    text = text.replace(":", "-")
    for pattern, separated in _SEPARATED:
        text = pattern.sub(separated, text)
    return tuple(word for word in re.split(r"[^\w.]+|_+", text) if word)


def _line(words: Sequence[str], known: NameWords) -> tuple[str, range]:
    """The line, and which words tell it; one with a version, if there is any."""
    found = ("", range(0))
    for at, word in enumerate(words):
        match = _LINE.fullmatch(word)
        if match is None or match["line"] not in known.lines:
            continue
        version, used = _version(match["version"] or "", words[at + 1 :], known)
        if version:
            return match["line"] + version, range(at, at + 1 + used)
        found = found if found[0] else (match["line"], range(at, at + 1))
    return found


def _version(
    attached: str, following: Sequence[str], known: NameWords
) -> tuple[str, int]:
    """The version behind a line's name, and how many of the next words it takes."""
    used = 0
    if not attached and following and _VERSION.fullmatch(following[0]):
        attached, used = following[0], 1
    pointed = f"{attached[:1]}.{attached[1:]}"
    if len(attached) == 2:  # `qwen25`; the 14 of `qwen-14-b` is no version
        return (pointed, used) if pointed in known.pointed_versions else ("", 0)
    rest = following[used:]
    if len(attached) == 1 and rest:  # `qwen2-5-7b`, whereas `qwen3-8` ends in a size
        pointed = f"{attached}.{rest[0]}"
        goes_on = rest[0] == "5" or len(rest) > 1
        if goes_on and pointed in known.pointed_versions:
            return pointed, used + 1
    return attached, used


def _size(words: Sequence[str], line: range, known: NameWords) -> tuple[str, range]:
    """The size, and which words tell it; looked for behind the line at first."""
    for at in (*range(line.stop, len(words)), *range(line.start)):
        match = _SIZE.fullmatch(words[at])
        if match is None:
            continue
        number = match["number"]
        if number is None:  # in millions
            return words[at], range(at, at + 1)
        if len(number) == 2 and number[0] == "0":
            number = f"0.{number[1]}"
        before = words[at - 1] if at and at - 1 not in line else ""
        if f"{before}.{number}" in known.pointed_sizes:
            return f"{before}.{number}b", range(at - 1, at + 1)
        return f"{number}b", range(at, at + 1)
    return "", range(0)


def _sorted(
    words: Sequence[str], *, org: str, leaf: str, local: bool, tagged: bool
) -> ModelName:
    """Each word to where it belongs; behind a format only a tuner's words count."""
    known = load_words()
    line, of_line = _line(words, known)
    size, of_size = _size(words, of_line, known)
    middle = range(of_line.stop, of_size.stop or len(words))
    kinds: set[str] = set()
    marks: set[str] = set()
    active, rest, formats = "", [], []
    for at, word in enumerate(words):
        if at in of_line or at in of_size:
            continue
        if line and word in _kinds_at(at, middle, known):
            kinds.add(word)
        elif line and _ACTIVE.fullmatch(word):
            active = word
        elif word in known.stages | known.editions or _EDITION.fullmatch(word):
            marks.add(word)
        elif told := _format(word, known):
            formats.append(told)
        elif word in known.tuned or not (formats or word.isdigit()):
            rest.append(word)
    told_nothing = known.wrappings | known.lines
    return ModelName(
        org,
        leaf,
        local,
        tagged,
        line,
        size,
        active,
        frozenset(kinds),
        frozenset(marks),
        _label(formats),
        tuple(word for word in rest if word not in told_nothing),
    )


def _kinds_at(at: int, middle: range, known: NameWords) -> Collection[str]:
    """The words for kinds that count there: in front, between line and size, behind."""
    if at < middle.start:
        return known.kinds_in_front
    return known.kinds if at in middle else known.kinds_behind


def _format(word: str, known: NameWords) -> str:
    if told := known.formats().get(word):
        return told
    for pattern, label in _FORMATS:
        if match := pattern.fullmatch(word):
            return match.expand(label)
    return ""


def _label(formats: Sequence[str]) -> str:
    """At most two formats in the order of the name, the vague one last of all."""
    distinct = list(dict.fromkeys(formats))
    told = [each for each in distinct if each != "quantised"] or distinct
    return "-".join(told[:2])
