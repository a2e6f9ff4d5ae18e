"""Where a model goes: `oss://bucket/prefix/`, checked once and then trusted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from preflight.errors import UsageError
from preflight.language import say

# OSS docs, "Bucket naming conventions" and "Object naming conventions", read 2026-11:
# https://www.alibabacloud.com/help/en/oss/user-guide/bucket-naming-conventions
# https://www.alibabacloud.com/help/en/oss/user-guide/object-naming-conventions
MAX_KEY_BYTES = 1023
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")

PLACEHOLDERS: Mapping[str, str] = {
    "name": say("the model directory's name"),
    "parent": say("the name of the directory above it, as of runs/3/adapter"),
    "base": say("the base model"),
    "digest": say("a short SHA-256 of all files; reads the weights before the upload"),
    "date": say("today's date (UTC) as 20261123"),
}

_SHAPE = say("write {url}", url="oss://bucket/prefix/")
_BRACES = re.compile(r"\{([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Destination:
    """A bucket and a prefix that ends in a slash.

    `slash_added` tells that the user's own text lacked that slash.
    """

    bucket: str
    prefix: str
    slash_added: bool = field(default=False, compare=False)

    @property
    def url(self) -> str:
        """`oss://bucket/prefix/`."""
        return f"oss://{self.bucket}/{self.prefix}"

    def key(self, name: str) -> str:
        """The object key of a file name directly under the prefix."""
        return self.prefix + name


def _check_bucket(bucket: str, url: str) -> None:
    if not bucket:
        raise UsageError(say("no bucket in {url!r}", url=url), hint=_SHAPE)
    if not _BUCKET.fullmatch(bucket):
        raise UsageError(
            say("{bucket!r} is not a bucket name", bucket=bucket),
            hint=say("3 to 63 of a-z, 0-9 and -, with no hyphen at either end"),
        )


def _is_encodable(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:  # bytes of a command line or file name, no UTF-8
        return False
    return True


def key_problem(key: str) -> str:
    """What keeps a text from being an object key or its beginning, or nothing."""
    if key.startswith("/"):
        return say("starts with a slash")
    if "//" in key:
        return say("has an empty part (//)")
    if "\\" in key:
        return say("has a backslash")
    if any(unicodedata.category(char) == "Cc" for char in key):
        return say("has a control character")
    if {".", ".."} & set(key.split("/")):
        return say("has a part that is . or ..")
    if not _is_encodable(key):
        return say("is not valid UTF-8")
    length = len(key.encode("utf-8"))
    if length > MAX_KEY_BYTES:
        return say(
            "has {length} bytes, at most {most} are allowed",
            length=length,
            most=MAX_KEY_BYTES,
        )
    return ""


def parse_destination(url: str) -> Destination:
    """`oss://bucket/some/prefix` as a destination whose prefix ends in a slash.

    Nothing is decoded: a percent sign stays one. Raises `UsageError`.
    """
    scheme, separator, rest = url.partition("://")
    if scheme != "oss" or not separator:
        raise UsageError(say("not a destination: {url!r}", url=url), hint=_SHAPE)
    bucket, _, prefix = rest.partition("/")
    _check_bucket(bucket, url)
    if not prefix:
        raise UsageError(
            say(
                "{url!r} is the bucket's root; an import needs a sub-directory", url=url
            ),
            hint=say("write {url}", url=f"oss://{bucket}/prefix/"),
        )
    slash_added = not prefix.endswith("/")
    prefix += "/" if slash_added else ""
    if problem := key_problem(prefix):
        raise UsageError(
            say("the prefix {problem}: {url!r}", problem=problem, url=url), hint=_SHAPE
        )
    return Destination(bucket, prefix, slash_added)


@dataclass(frozen=True, slots=True)
class DestinationTemplate:
    """A destination as a person writes it, perhaps with `{name}` and the like in it.

    Make it with `parse`, which checks all that can be checked before the values are
    known. `bucket` holds no placeholder.
    """

    url: str
    bucket: str
    placeholders: frozenset[str]
    slash_added: bool

    @classmethod
    def parse(cls, url: str) -> DestinationTemplate:
        """Raises `UsageError` for a malformed URL and for an unknown placeholder."""
        used = frozenset(_BRACES.findall(url))
        unknown = sorted(used - set(PLACEHOLDERS))
        if unknown:
            names = ", ".join(f"{{{name}}}" for name in PLACEHOLDERS)
            raise UsageError(
                say(
                    "{{{unknown}}} in {url!r} is not known", unknown=unknown[0], url=url
                ),
                hint=say("known are {names}", names=names),
            )
        # Braces are allowed in a prefix, and not in a bucket's name.
        found = parse_destination(url)
        return cls(url, found.bucket, used, found.slash_added)

    @property
    def names(self) -> tuple[str, ...]:
        """The placeholders that name a directory, `name` and `parent`, in order."""
        found = dict.fromkeys(_BRACES.findall(self.url))
        return tuple(name for name in found if name in ("name", "parent"))

    def partly(self, values: Mapping[str, Callable[[], str]]) -> DestinationTemplate:
        """The template with the placeholders filled in that have a value here."""
        filled = {name: values[name]() for name in self.placeholders if name in values}
        return DestinationTemplate.parse(
            _BRACES.sub(lambda found: filled.get(found[1], found[0]), self.url)
        )

    def settle(self, values: Mapping[str, Callable[[], str]]) -> Destination:
        """The destination with its placeholders filled in.

        Only the values that are used are asked for; they are taken literally. Raises
        `UsageError` for one that has no value, and for a result that is none.
        """
        for name in sorted(self.placeholders - set(values)):
            raise UsageError(
                say(
                    "{{{name}}} in {url!r} has no value for this model",
                    name=name,
                    url=self.url,
                )
            )
        filled = {name: values[name]() for name in self.placeholders}
        return parse_destination(_BRACES.sub(lambda found: filled[found[1]], self.url))
