"""Whether two chat templates make the same text of the same chats.

Templates are programs of strangers: a process of its own renders them, in jinja2's
sandbox, with little time and memory. Without jinja2, which transformers brings where
templates are used, nothing can be told.
"""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SECONDS = 10.0
_MEMORY = 1 << 30  # bytes of address space of the process that renders
_ENOUGH = 3  # chats that both templates have to render

_USER = {"role": "user", "content": "What is 6 times 7?"}
_ANSWER = {"role": "assistant", "content": "It is 42."}
_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {"type": "object", "properties": {"a": {"type": "number"}}},
    },
}
_CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [{"type": "function", "function": {"name": "add", "arguments": {}}}],
}
_SYSTEM = {"role": "system", "content": "Be brief."}
_THOUGHT = {"role": "assistant", "content": "<think>\n6 * 7\n</think>\n\nIt is 42."}
_SEEN = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "?"}]}
_CHATS: tuple[dict[str, Any], ...] = (
    {"messages": [_USER], "add_generation_prompt": True},
    {"messages": [_SYSTEM, _USER], "add_generation_prompt": True},
    {"messages": [_SYSTEM, _USER, _ANSWER, _USER], "add_generation_prompt": True},
    {"messages": [_USER, _ANSWER], "add_generation_prompt": False},
    {"messages": [_USER, _THOUGHT, _USER], "add_generation_prompt": True},
    {"messages": [_USER, _THOUGHT], "add_generation_prompt": False},
    {
        "messages": [_USER],
        "add_generation_prompt": True,
        "enable_thinking": False,
    },
    {"messages": [_USER], "tools": [_TOOL], "add_generation_prompt": True},
    {
        "messages": [_USER, _CALL, {"role": "tool", "content": "42"}],
        "tools": [_TOOL],
        "add_generation_prompt": True,
    },
    {"messages": [_SEEN], "add_generation_prompt": True},
)


@functools.lru_cache(maxsize=16)  # a check, a plan and its outlook ask the same
def renders_alike(one: str, other: str, *, seconds: float = SECONDS) -> bool | None:
    """Whether both make the same of a few chats; None where that cannot be told.

    A template that takes longer than `seconds` is given up.
    """
    question = json.dumps([one, other])
    try:
        done = subprocess.run(
            [sys.executable, "-m", "preflight.model.rendering"],
            input=question,
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=seconds,
            check=True,
            env=_surroundings(),
            cwd="/",  # `-m` would load what lies in the current directory: the model's
        )
        first, second = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    pairs = [pair for pair in zip(first, second, strict=True) if None not in pair]
    if len(pairs) < _ENOUGH:
        return None
    return bool(first == second)


def _surroundings() -> dict[str, str]:
    """What the process that runs strangers' programs may know: no keys, no proxy."""
    kept = ("PATH", "LD_LIBRARY_PATH", "LANG", "LC_ALL", "PYTHONHOME", "VIRTUAL_ENV")
    place = str(Path(__file__).parents[2])
    found = {name: os.environ[name] for name in kept if name in os.environ}
    paths = [place, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    return {**found, "PYTHONPATH": os.pathsep.join(paths)}


def _rendered(text: str) -> list[str | None]:
    """What the template makes of each chat; None where it raises."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise ValueError(message)

    # As transformers compiles them (utils/chat_template_utils.py).
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = _as_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda _: "26 Jul 2024"

    def render(chat: dict[str, Any]) -> str | None:
        try:
            return template.render(**chat)
        except Exception:  # noqa: BLE001 - whatever a stranger's program raises
            return None

    try:
        template = environment.from_string(text)
    except Exception:  # noqa: BLE001 - as above
        return [None for _ in _CHATS]
    return [render(chat) for chat in _CHATS]


def _as_json(value: object, indent: int | None = None, **_: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _main() -> None:
    import resource

    seconds = int(SECONDS)
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    templates = json.load(sys.stdin)
    json.dump([_rendered(text) for text in templates], sys.stdout)


if __name__ == "__main__":
    _main()
