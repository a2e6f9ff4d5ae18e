"""What can be wrong with a key as people paste it, and how one may be shown."""

from __future__ import annotations

from preflight.language import say


def mask(secret: str) -> str:
    """A secret as it may be shown: `LTAI…(24 chars)`; "" stays ""."""
    if not secret:
        return ""
    public = next((p for p in ("LTAI", "STS.", "sk-") if secret.startswith(p)), "")
    return f"{public}…({len(secret)} chars)"


def credential_problem(name: str, value: str) -> str:
    """What is wrong with a pasted key, in words that do not show it."""
    size = say("({count} characters)", count=len(value))
    if value[:1] in "\"'" or value[-1:] in "\"'":
        return say(
            "{name} has quotation marks around it {size}: set it without them",
            name=name,
            size=size,
        )
    if "\n" in value or "\r" in value:
        return say(
            "{name} has a newline in it {size}: set it without", name=name, size=size
        )
    if any(character.isspace() for character in value):
        return say(
            "{name} has a space or tab in it {size}: set it without",
            name=name,
            size=size,
        )
    if value[0] in "<${":
        return say(
            "{name} holds a placeholder instead of a key {size}: set the real one",
            name=name,
            size=size,
        )
    if not (value.isascii() and value.isprintable()):
        return say(
            "{name} has characters that no key has {size}: copy it anew",
            name=name,
            size=size,
        )
    return ""
