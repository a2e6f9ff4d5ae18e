"""Secrets that this process has seen, so that no text of anybody shows one."""

from __future__ import annotations

import re

_SHORT = 8  # characters; a shorter secret is part of ordinary words, too
_NONE = 4  # characters; what is shorter still is no secret, and stands everywhere
_hidden: set[str] = set()


def hide(*secrets: str) -> None:
    """Remember secrets for `masked`; texts of up to three characters are none."""
    _hidden.update(secret for secret in secrets if len(secret) >= _NONE)


def masked(text: str) -> str:
    """`text` with `***` in place of every secret that was hidden.

    A secret of fewer than eight characters is masked where it stands alone, since
    masking it inside of words would garble the text.
    """
    for secret in sorted(_hidden, key=len, reverse=True):
        if secret not in text:
            continue
        if len(secret) >= _SHORT:
            text = text.replace(secret, "***")
        else:
            text = re.sub(rf"(?<!\w){re.escape(secret)}(?!\w)", "***", text)
    return text
