"""Taking a model's name out of a path, a cache, a link or a re-upload's name."""

from __future__ import annotations

import re
from dataclasses import dataclass

_LINK = re.compile(r"^(?:https?://[^/]+/|hf://|modelscope://)(?:models/)?", re.I)
_DRIVE = re.compile(r"^[a-z]:(?:/|$)", re.I)
_TAILS = frozenset({"tree", "blob", "resolve", "files", "summary"})  # of hub pages

# Longer endings first: the first that fits is cut off, until none does.
_ENDINGS = (
    (r"(?:unsloth-)?bnb-4bit", "bnb-4bit"),
    (r"(?:unsloth-)?bnb-8bit", "bnb-8bit"),
    (r"awq(?:-int4|-4bit)?", "AWQ"),
    (r"gptq-(?:int|w)?4(?:bit)?", "GPTQ-Int4"),
    (r"gptq-(?:int|w)?8(?:bit)?", "GPTQ-Int8"),
    (r"gptq", "GPTQ"),
    (r"fp8(?:-dynamic|-block)?", "FP8"),
    (r"(?:nv|mx)fp4", "FP4"),
    (r"gguf|(?:ud-)?i?q[2-8](?:-[0klmsx]+)*", "GGUF"),
    (r"exl[23]", "EXL"),
    (r"(?:mlx-)?([2-8])bit(?:-dwq|-mlx)?", r"\1bit"),
    (r"int([48])", r"int\1"),
    (r"(?:quantized-)?(w\d+a\d+)", r"\1"),
    (r"bf16|fp16|f16|mlx|hf", ""),  # the same weights in another wrapping
)
_ENDING = tuple((re.compile(f"-(?:{ending})$"), label) for ending, label in _ENDINGS)


@dataclass(frozen=True, slots=True)
class Name:
    """`org` may be empty; `leaf` is as it was given; `key` is for comparing.

    `local` tells that it can only be a path. `quantised` names the format that the
    ending says, in the usual spelling.
    """

    org: str
    leaf: str
    key: str
    quantised: str
    local: bool

    @property
    def shown(self) -> str:
        """The name as a hub writes it; of a local path the last part alone."""
        return f"{self.org}/{self.leaf}" if self.org and not self.local else self.leaf


def comparable(name: str) -> str:
    """Lower case, with one `-` for every separator (`Qwen2___5` and `Qwen2.5`)."""
    return re.sub(r"[-_. ]+", "-", name.lower()).strip("-")


def take_apart(given: str) -> Name:
    """What a person, a trainer or a cache wrote, as organisation and model name."""
    text = given.strip().replace("\\", "/")
    link = bool(_LINK.match(text))
    text = _LINK.sub("", text)
    local = not link and bool(text.startswith(("/", ".", "~")) or _DRIVE.match(text))
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if link:
        parts = _without_page(parts)
    org, leaf, cached = _org_and_leaf(parts)
    local = not cached and (local or len(parts) > 2)
    key, quantised = _without_ending(comparable(leaf))
    return Name(org, leaf, key, quantised, local)


def _without_page(parts: list[str]) -> list[str]:
    return parts[:2] if len(parts) > 2 and parts[2] in _TAILS else parts


def _org_and_leaf(parts: list[str]) -> tuple[str, str, bool]:
    """Also whether it is the path of a cache, which names both."""
    for index in range(len(parts) - 1, -1, -1):
        pieces = parts[index].split("--")
        below = parts[index + 1 :]
        if len(below) > 2 or below[:1] not in ([], ["snapshots"]):
            continue  # further down lies something that someone put there
        if pieces[0] == "models" and len(pieces) >= 3:
            pieces = pieces[1:]
        elif not below:
            continue
        org = pieces[0] if len(pieces) > 1 else "".join(parts[index - 1 : index])
        return org, "--".join(pieces[1:]) or pieces[0], True
    leaf = parts[-1].split("@")[0] if parts else ""
    return (parts[-2] if len(parts) > 1 else ""), leaf, False


def _without_ending(key: str) -> tuple[str, str]:
    quantised = ""
    while True:
        for ending, label in _ENDING:
            if found := ending.search(key):
                quantised = found.expand(label) or quantised
                key = key[: found.start()]
                break
        else:
            return key, quantised
