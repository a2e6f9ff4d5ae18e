"""The help of the command line, and what argparse says of it, in anybody's language."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from preflight.language import known, known_n, localized, say, say_n
from preflight.text import columns, wrapped

# What argparse says to people, in the words of its releases of Python 3.10 to 3.14.
ARGPARSE = (
    # The titles of our own groups of flags.
    say("import"),
    say("model"),
    say("output"),
    say("rules"),
    say("transfer"),
    say("usage: "),
    say("positional arguments"),
    say("options"),
    say("show this help message and exit"),
    say("show program's version number and exit"),
    say("argument %(argument_name)s: %(message)s"),
    say("ambiguous option: %(option)s could match %(matches)s"),
    say("invalid choice: %(value)r (choose from %(choices)s)"),
    say(
        "invalid choice: %(value)r, maybe you meant %(closest)r? "
        "(choose from %(choices)s)"
    ),
    say("invalid %(type)s value: %(value)r"),
    say("the following arguments are required: %s"),
    say("one of the arguments %s is required"),
    say("not allowed with argument %s"),
    say("ignored explicit argument %r"),
    say("expected one argument"),
    say("expected at most one argument"),
    say("expected at least one argument"),
    say_n("expected %s argument", "expected %s arguments", count=1),
)


@contextlib.contextmanager
def argparse_marked() -> Iterator[None]:
    """What argparse says are messages as ours: it looks up its words by these names."""
    names: dict[str, Any] = {"_": known, "ngettext": known_n}
    before = {
        name: getattr(argparse, name) for name in names if hasattr(argparse, name)
    }
    for name in before:
        setattr(argparse, name, names[name])
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(argparse, name, value)


def _filled(words: Sequence[str], width: int) -> list[str]:
    """The words in lines of `width` columns, each but the last to be continued."""
    lines: list[str] = []
    for word in words:
        if lines and columns(f"{lines[-1]} {word} \\") <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return [f"{line} \\" for line in lines[:-1]] + lines[-1:]


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Texts in the language of people, in columns that fit wide letters, too."""

    def add_usage(self, usage, actions, groups, prefix=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        """With the word for it."""
        prefix = localized(say("usage: ")) if prefix is None else prefix
        super().add_usage(usage, actions, groups, prefix)

    def start_section(self, heading: str | None) -> None:
        """With its title."""
        super().start_section(heading if heading is None else localized(known(heading)))

    def add_text(self, text: str | None) -> None:
        """A description or an epilog."""
        if text is not None:
            text = localized(known(text))
            if "\n" not in text:  # what has lines is laid out already
                text = "\n".join(wrapped(text, self._width))
            lines = (each for line in text.split("\n") for each in self._fitting(line))
            text = "\n".join(lines)
        super().add_text(text)

    def _fitting(self, line: str) -> Iterator[str]:
        """An example as lines that a shell reads as one, its remark above it."""
        whole = self._width + 2  # argparse leaves two columns free
        if columns(line) <= whole or not line.startswith("  preflight "):
            yield line
            return
        command, mark, remark = line.partition("  #")
        if mark:
            yield f"  #{remark}"
        first, *others = _filled(command.split(), whole - 4)
        yield f"  {first}"
        yield from (f"    {other}" for other in others)

    def _is_long(self, action: argparse.Action) -> bool:
        """Whether the values that there are would not fit beside a flag."""
        if action.choices is None or action.metavar is not None:
            return False
        return len(",".join(map(str, action.choices))) > self._width - 36

    def _metavar_formatter(
        self, action: argparse.Action, default_metavar: str
    ) -> Callable[[int], tuple[str, ...]]:
        if self._is_long(action):
            return lambda size: (default_metavar,) * size
        return super()._metavar_formatter(action, default_metavar)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.help is None:
            return None
        told = localized(known(action.help))
        if self._is_long(action):
            told += f" ({', '.join(map(str, action.choices or ()))})"
        return told

    def _split_lines(self, text: str, width: int) -> list[str]:
        return wrapped(" ".join(text.split()), width)
