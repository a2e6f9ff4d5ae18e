"""Permissions as documents: RAM policies of a key, and policies of a bucket.

OSS docs, "RAM Policy" and "Authorization syntax and elements": an explicit Deny wins,
then an explicit Allow, and what nothing allows is denied. Pure functions over values.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Any

OWNER_ID = "1234567890123456"  # of the account that everything here belongs to


class Effect(Enum):
    """What a statement does to the requests that it fits."""

    ALLOW = "Allow"
    DENY = "Deny"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One thing that a request would do, for policies to judge.

    `resource` as in `acs:oss:*:OWNER:bucket/key`; `conditions` by condition key, such
    as `oss:Prefix`; `principal` is the RAM user's id, empty for an anonymous request.
    """

    action: str
    resource: str
    principal: str = ""
    conditions: Mapping[str, str] = field(default_factory=dict)


@lru_cache(maxsize=1024)
def _pattern(text: str) -> re.Pattern[str]:
    """The wildcards of policies: `*` is anything, `?` one character."""
    pieces = ({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in text)
    return re.compile("".join(pieces), re.DOTALL)


def _fits(pattern: str, text: str) -> bool:
    return _pattern(pattern).fullmatch(text) is not None


def _fits_resource(pattern: str, resource: str) -> bool:
    """Part by part, so that `acs:oss:*:*:bucket` does not run over a colon."""
    if pattern == "*":
        return True
    ours, theirs = pattern.split(":", 4), resource.split(":", 4)
    return len(ours) == len(theirs) and all(map(_fits, ours, theirs))


def _is_in(network: str, address: str) -> bool:
    try:
        return ipaddress.ip_address(address) in ipaddress.ip_network(
            network, strict=False
        )
    except ValueError:
        return False


_OPERATORS: Mapping[str, tuple[Callable[[str, str], bool], bool]] = {
    # (does it fit, does one fitting value decide for or against)
    "StringEquals": (lambda wanted, found: wanted == found, True),
    "StringNotEquals": (lambda wanted, found: wanted == found, False),
    "StringLike": (_fits, True),
    "StringNotLike": (_fits, False),
    "IpAddress": (_is_in, True),
    "NotIpAddress": (_is_in, False),
    "Bool": (lambda wanted, found: wanted.lower() == found, True),
}
_KEYS = frozenset(
    {"oss:Prefix", "oss:Delimiter", "acs:SourceIp", "acs:SecureTransport"}
)


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a Condition block: all of them have to hold."""

    operator: str
    key: str
    values: tuple[str, ...]

    def holds(self, wanted: Wanted) -> bool:
        """Whether it holds; a key that the request does not have is empty text."""
        fits, positive = _OPERATORS[self.operator]
        found = wanted.conditions.get(self.key, "")
        return any(fits(value, found) for value in self.values) is positive


@dataclass(frozen=True, slots=True)
class Statement:
    """One rule; `principals` is None in a RAM policy."""

    effect: Effect
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    principals: tuple[str, ...] | None = None
    conditions: tuple[Condition, ...] = ()

    def fits(self, wanted: Wanted) -> bool:
        """Whether the request is one that the statement speaks of."""
        action = wanted.action.lower()
        return (
            any(_fits(pattern.lower(), action) for pattern in self.actions)
            and any(_fits_resource(one, wanted.resource) for one in self.resources)
            and self._names(wanted.principal)
            and all(condition.holds(wanted) for condition in self.conditions)
        )

    def _names(self, principal: str) -> bool:
        if self.principals is None or "*" in self.principals:
            return True
        return any(_fits(one, principal) for one in self.principals if principal)


@dataclass(frozen=True, slots=True)
class Policy:
    """Statements; `text` is the document that they came from, for GetBucketPolicy."""

    statements: tuple[Statement, ...] = ()
    text: str = ""

    @classmethod
    def from_json(cls, value: object) -> Policy:
        """The policy that a parsed document describes.

        Raises ValueError with a sentence for what is no policy, and for a condition
        that the sandbox does not know: it never ignores one in silence.
        """
        if not isinstance(value, Mapping) or value.get("Version") != "1":
            raise ValueError('a policy is a JSON object with "Version": "1"')
        listed = value.get("Statement")
        if not isinstance(listed, list) or not listed:
            raise ValueError("Statement has to be a list of statements")
        return cls(tuple(_statement(item) for item in listed), json.dumps(value))

    @property
    def is_of_a_bucket(self) -> bool:
        """Whether its statements name whom they are about, as RAM policies never do."""
        return any(item.principals is not None for item in self.statements)

    def effect(self, wanted: Wanted) -> Effect | None:
        """Deny before Allow; None where no statement fits."""
        found = {item.effect for item in self.statements if item.fits(wanted)}
        return next((one for one in (Effect.DENY, Effect.ALLOW) if one in found), None)


def _texts(item: Mapping[str, Any], name: str) -> tuple[str, ...]:
    value = item.get(name)
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, list) or not all(isinstance(v, str) for v in values):
        raise ValueError(f"{name} has to be a string or a list of strings")
    return tuple(values)


def _statement(item: object) -> Statement:
    if not isinstance(item, Mapping):
        raise ValueError("a statement is a JSON object")
    known = {"Effect", "Action", "Resource", "Principal", "Condition", "Sid"}
    if strange := sorted(set(item) - known):
        raise ValueError(f"{strange[0]} is not known in a statement")
    try:
        effect = Effect(item.get("Effect"))
    except ValueError:
        raise ValueError('Effect has to be "Allow" or "Deny"') from None
    principals = _texts(item, "Principal") or ("*",) if "Principal" in item else None
    return Statement(
        effect,
        _texts(item, "Action"),
        _texts(item, "Resource"),
        principals,
        tuple(_conditions(item.get("Condition", {}))),
    )


def _conditions(block: object) -> list[Condition]:
    if not isinstance(block, Mapping):
        raise ValueError("Condition has to be an object")
    found = []
    for operator, lines in block.items():
        if operator not in _OPERATORS or not isinstance(lines, Mapping):
            raise ValueError(f"the condition {operator} is not known here")
        for key in lines:
            if key not in _KEYS:
                raise ValueError(f"the condition key {key} is not known here")
            found.append(Condition(operator, key, _texts(lines, key)))
    return found


def allow(actions: Sequence[str], resource: str = "*") -> Policy:
    """A policy that allows these actions alone."""
    return Policy((Statement(Effect.ALLOW, tuple(actions), (resource,)),))


# What is asked of a key here (OSS docs, "Authorization syntax and elements").
ACTIONS = (
    "oss:AbortMultipartUpload",
    "oss:DeleteBucket",
    "oss:DeleteBucketTagging",
    "oss:DeleteObject",
    "oss:DeleteObjectTagging",
    "oss:GetBucketAcl",
    "oss:GetBucketEncryption",
    "oss:GetBucketInfo",
    "oss:GetBucketLifecycle",
    "oss:GetBucketLocation",
    "oss:GetBucketPolicy",
    "oss:GetBucketStat",
    "oss:GetBucketTagging",
    "oss:GetBucketVersioning",
    "oss:GetObject",
    "oss:GetObjectAcl",
    "oss:GetObjectTagging",
    "oss:ListBuckets",
    "oss:ListMultipartUploads",
    "oss:ListObjects",
    "oss:ListParts",
    "oss:PutBucket",
    "oss:PutBucketTagging",
    "oss:PutObject",
    "oss:PutObjectTagging",
)


def lacking(*actions: str) -> Policy:
    """A policy that allows everything but these actions, which nothing denies."""
    return allow([action for action in ACTIONS if action not in actions])


# The system policy AliyunOSSReadOnlyAccess (OSS docs, "RAM Policy").
READ_ONLY = allow(["oss:Get*", "oss:List*"])
