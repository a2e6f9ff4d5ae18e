"""What people read, in their language: GNU gettext, at the place where text leaves.

A message is marked where it is written, and it *is* the English sentence, a `str`:

    Problem("r", say("rank {rank} is not one of {allowed}", rank=4, allowed="8, 16"))
    say_n("{count} tensor is zero", "{count} tensors are zero", count=3)

It remembers its template and values, so that a sink for people (`localized`) can write
it in another language, while documents for programs and the API get the English text.
Values are inserted after the translation and are never looked up nor formatted again; a
value that is itself a message is translated with it. Without values a template is taken
as it is, braces included. `glued` puts pieces together that are no sentence.
"""

from __future__ import annotations

import contextlib
import gettext
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

ENGLISH, CHINESE = "en", "zh_CN"
LANGUAGES = (ENGLISH, CHINESE)
VARIABLE = "PREFLIGHT_LANG"
_LOCALE = Path(__file__).parent / "locale"
_LOCALES = ("LC_ALL", "LC_MESSAGES", "LANG")  # the first that is set counts
# Who reads Traditional characters reads the Simplified ones rather than English, but
# takes any other language first that `LANGUAGE` names.
_TRADITIONAL = ("zh_tw", "zh_hk", "zh_mo", "zh_hant")


class Catalogue(Protocol):
    """The translations into one language, as `gettext` has them."""

    def gettext(self, message: str, /) -> str:
        """The translation; the message itself where there is none."""

    def ngettext(self, one: str, many: str, number: int, /) -> str:
        """The plural form that goes with a number."""


class _Source(Protocol):
    """What a message was made from."""

    def told(self, catalogue: Catalogue) -> str: ...


@dataclass(frozen=True, slots=True)
class _Sentence:
    template: str
    values: Mapping[str, object]
    plural: str = ""
    number: int = 0

    def told(self, catalogue: Catalogue) -> str:
        if self.plural:
            found = catalogue.ngettext(self.template, self.plural, self.number)
        else:  # gettext keeps what describes the catalogue under the empty text
            found = catalogue.gettext(self.template) if self.template else ""
        if not self.values or (self.plural and "{" not in found):
            return found
        values = {name: _told(each, catalogue) for name, each in self.values.items()}
        return found.format(**values)


@dataclass(frozen=True, slots=True)
class _Percent:
    template: Message
    values: object

    def told(self, catalogue: Catalogue) -> str:
        template = str(_told(self.template, catalogue))
        if isinstance(self.values, Mapping):
            return template % {k: _told(v, catalogue) for k, v in self.values.items()}
        values = self.values if isinstance(self.values, tuple) else (self.values,)
        return template % tuple(_told(each, catalogue) for each in values)


@dataclass(frozen=True, slots=True)
class _Glued:
    pieces: tuple[str, ...]

    def told(self, catalogue: Catalogue) -> str:
        return "".join(str(_told(piece, catalogue)) for piece in self.pieces)


@dataclass(frozen=True, slots=True)
class _Shortened:
    text: Message
    limit: int

    def told(self, catalogue: Catalogue) -> str:
        return middle_out(str(_told(self.text, catalogue)), self.limit)


@dataclass(frozen=True, slots=True)
class _Altered:
    text: Message
    change: Callable[[str], str]

    def told(self, catalogue: Catalogue) -> str:
        return self.change(str(_told(self.text, catalogue)))


class Message(str):
    """An English text that can be told in another language as well."""

    __slots__ = ("source",)
    source: _Source

    @classmethod
    def of(cls, source: _Source) -> Message:
        """The message of a source, in English."""
        made = cls(source.told(_UNTRANSLATED))
        made.source = source
        return made

    def told(self, catalogue: Catalogue) -> str:
        """It in the language of a catalogue."""
        return self.source.told(catalogue)

    def __mod__(self, values: object) -> Message:
        """With values in their places, as argparse does it."""
        return Message.of(_Percent(self, values))

    def __str__(self) -> str:
        """Itself, so that an exception's `str()` is a message as well."""
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return Message.of, (self.source,)


_UNTRANSLATED: Catalogue = gettext.NullTranslations()


def say(template: str, /, **values: object) -> str:
    """A message for people; `{name}` in it stands for the value of that name."""
    return Message.of(_Sentence(template, _kept(values)))


def say_n(one: str, many: str, /, *, count: int, **values: object) -> str:
    """A message about `count` things: English has two forms, others one or more."""
    return Message.of(_Sentence(one, _kept({"count": count, **values}), many, count))


def known(text: str) -> str:
    """The same for a text that stands elsewhere: in data, a docstring, in argparse."""
    return text if isinstance(text, Message) else say(text)


def known_n(one: str, many: str, count: int) -> str:
    """Both forms of such a text."""
    return say_n(one, many, count=count)


def _kept(values: Mapping[str, object]) -> Mapping[str, object]:
    """The values, an exception as its words: it would keep its frames alive."""
    return {
        name: str(each) if isinstance(each, BaseException) else each
        for name, each in values.items()
    }


def glued(*pieces: str) -> str:
    """Pieces one after the other; those that are messages are translated."""
    return Message.of(_Glued(pieces))


def joined(separator: str, pieces: Iterable[str]) -> str:
    """As `separator.join(pieces)`; both may be or hold messages."""
    woven = [each for piece in pieces for each in (separator, piece)]
    return glued(*woven[1:])


def without_ending(text: str, ending: str) -> str:
    """A message without what a clause added to its English text, if it did."""
    source = text.source if isinstance(text, Message) else None
    if not text.endswith(ending) or not isinstance(source, _Sentence):
        return text.removesuffix(ending)
    template = source.template.removesuffix(ending)
    return Message.of(_Sentence(template, source.values))


def altered(text: str, change: Callable[[str], str]) -> str:
    """`change(text)`; of a message the same is done to its translation."""
    plain = str.__str__(text)
    changed = change(plain)
    if not isinstance(text, Message):
        return changed
    return text if changed == plain else Message.of(_Altered(text, change))


def middle_out(text: str, limit: int) -> str:
    """At most `limit` characters: the middle is left out.

    Both ends of a tensor's name or a path tell something.
    """
    if len(text) <= limit:
        return text
    if isinstance(text, Message):
        return Message.of(_Shortened(text, limit))
    half = max(0, limit - 3) // 2
    return f"{text[:half]}...{text[len(text) - half :]}"


def _told(value: object, catalogue: Catalogue) -> object:
    if not isinstance(value, Message):
        return value
    if catalogue is _UNTRANSLATED:
        return str.__str__(value)
    return value.told(catalogue)


# Which language


@dataclass(frozen=True, slots=True)
class Choice:
    """The language of a run; `asked`: by `--lang`, so that documents have it, too."""

    language: str = ENGLISH
    asked: bool = False
    catalogue: Catalogue = field(default=_UNTRANSLATED, repr=False)


_current = Choice()


@cache
def catalogue_of(language: str) -> Catalogue:
    """The translations into one of `LANGUAGES`."""
    if language == ENGLISH:
        return _UNTRANSLATED
    return gettext.translation("preflight", _LOCALE, [language], fallback=True)


def known_language(word: str) -> str:
    """One of `LANGUAGES` for a name such as `zh`, `zh-Hans` or `zh_CN.UTF-8`; or ''."""
    name = word.partition(".")[0].partition("@")[0].strip().replace("-", "_").lower()
    if name in ("c", "posix", "en") or name.startswith("en_"):
        return ENGLISH
    return CHINESE if name == "zh" or name.startswith("zh_") else ""


def _is_traditional(word: str) -> bool:
    return word.strip().replace("-", "_").lower().startswith(_TRADITIONAL)


def chosen_language(environ: Mapping[str, str]) -> str:
    """The language that the environment asks for, by gettext's own rules.

    `PREFLIGHT_LANG` goes before all. `LANGUAGE` is a list, and counts only where the
    locale is not that of C: what runs without a locale is read by programs.
    """
    words = environ.get(VARIABLE, "")
    if not known_language(words.partition(":")[0]):
        locale = next((environ[n] for n in _LOCALES if environ.get(n)), "C")
        if known_language(locale) == ENGLISH and locale[:2].lower() != "en":
            return ENGLISH
        words = environ.get("LANGUAGE") or locale
    listed = [word for word in words.split(":") if known_language(word)]
    near = [word for word in listed if not _is_traditional(word)]
    return known_language((near or listed or [ENGLISH])[0])


def can_write(stream: object, language: str) -> bool:
    """Whether a stream has letters for the language."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    try:
        _SAMPLES[language].encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


_SAMPLES = MappingProxyType({ENGLISH: "", CHINESE: "检查,上传。"})


@contextlib.contextmanager
def speaking(language: str, *, asked: bool = False) -> Iterator[None]:
    """The language of this process, for the time of a command line."""
    global _current  # noqa: PLW0603 - a process has one terminal, in one language
    before = _current
    _current = Choice(language, asked, catalogue_of(language))
    try:
        yield
    finally:
        _current = before


def current_language() -> str:
    """The language that people are spoken to."""
    return _current.language


def localized(text: str) -> str:
    """`text` for people: a message in their language, all else as it is."""
    return str(_told(text, _current.catalogue))


def for_programs(value: object) -> object:
    """A document's values: in English, unless `--lang` was given."""
    if isinstance(value, Mapping):
        return {key: for_programs(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [for_programs(each) for each in value]
    return _told(value, _current.catalogue if _current.asked else _UNTRANSLATED)
