"""The command line's grammar, put together from what each command adds to it."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn, cast

from preflight import __version__
from preflight.commands import COMMANDS, EXAMPLES, load_command
from preflight.help import HelpFormatter
from preflight.language import LANGUAGES, altered, glued, joined, known_language, say
from preflight.text import nearest, shortened

_PROG = "preflight"
EXIT_CODES = (
    (0, say("done")),
    (1, say("a rule failed; nothing was uploaded")),
    (2, say("usage or configuration")),
    (3, say("preflight itself failed; a log tells why")),
    (4, say("authentication or permission")),
    (5, say("the transfer or its verification failed")),
    (6, say("the import was refused or failed")),
    (8, say("the job was still running at --timeout")),
    (130, say("interrupted (Ctrl-C)")),
    (143, say("terminated (SIGTERM, SIGHUP)")),
)

ENVIRONMENT = (
    ("OSS_ACCESS_KEY_ID", say("access key of the account or RAM user")),
    ("OSS_ACCESS_KEY_SECRET", say("its secret")),
    ("OSS_SESSION_TOKEN", say("session token, with temporary (STS) keys")),
    ("OSS_REGION", say("region of the bucket, such as ap-southeast-1")),
    ("OSS_ENDPOINT", say("endpoint, when it does not follow from the region")),
    ("DASHSCOPE_API_KEY", say("API key of Model Studio")),
    ("DASHSCOPE_API_KEY_FILE_PATH", say("a file that holds the API key")),
    ("ALIBABA_CLOUD_ECS_METADATA", say("name of the ECS role to take OSS keys from")),
    (
        "PREFLIGHT_CREDENTIALS",
        say("chain: OSS keys from the vendor's credentials package"),
    ),
    ("PREFLIGHT_LANG", say("language of what people read: en or zh_CN")),
    (
        "DASHSCOPE_HTTP_BASE_URL",
        say("API address, when it does not follow from the region"),
    ),
)

_EPILOG = joined(
    "\n",
    [
        say("exit codes:"),
        *(glued(f"  {code:<4} ", text) for code, text in EXIT_CODES),
    ],
)


def _examples(name: str) -> str:
    """What `--help` of a command ends with."""
    shown = [glued("  preflight ", words) for words in EXAMPLES.get(name, ())]
    more = say("exit codes and all commands: preflight help")
    if not shown:
        return more
    return joined("\n", [say("examples:"), *shown, "", more])


class BadArguments(Exception):
    """The command line is malformed; `prog` is the command it was meant for."""

    def __init__(self, message: str, prog: str) -> None:
        super().__init__(message)
        self.message, self.prog = message, prog


class Parser(argparse.ArgumentParser):
    """Raises what is wrong as a sentence; its own flags are added when it is used.

    So that the module of a command is loaded only when the command is asked for.
    """

    def __init__(self, *, command: str = "", **options: Any) -> None:  # noqa: ANN401
        super().__init__(**options)
        self.commands: dict[str, Parser] = {}
        self._command = command

    def fill(self) -> Parser:
        """Add what the command itself knows of its arguments, once."""
        name, self._command = self._command, ""
        if name:
            load_command(name).add_arguments(self)
            # What every command has comes last, after what is its own.
            self._action_groups.sort(key=lambda found: found.title == "output")
        return self

    def parse_known_args(self, *words: Any, **more: Any) -> Any:  # noqa: ANN401
        """As that of argparse, which calls it of a command that was named."""
        self.fill()
        return super().parse_known_args(*words, **more)

    def error(self, message: str) -> NoReturn:
        """Raise `BadArguments`."""
        raise BadArguments(shortened(message, 1000), self.prog)

    def meant(self, word: str) -> str:
        """The flag that was likely meant by a word that is none here, or nothing."""
        flags = [flag for flag in self._option_string_actions if flag[:2] == "--"]
        return nearest(word.partition("=")[0], flags, 0.75)

    def _check_value(self, action: argparse.Action, value: Any) -> None:  # noqa: ANN401
        """As that of argparse, with the value that was likely meant."""
        try:
            super()._check_value(action, value)
        except argparse.ArgumentError:
            meant = nearest(str(value), map(str, action.choices or ()))
            if not meant:
                raise
            # All that there are would only hide the one.
            told = glued(say("invalid choice: {value!r}", value=value), meant)
            raise argparse.ArgumentError(action, told) from None


def _common() -> Parser:
    common = Parser(add_help=False)
    output = common.add_argument_group("output")
    output.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help=say("all that was looked at; -vv for traces"),
    )
    output.add_argument(
        "-q", "--quiet", action="store_true", help=say("the verdict and errors alone")
    )
    output.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help=say("colour in the report (default: auto; NO_COLOR is honoured)"),
    )
    _add_language(output)
    return common


def _add_language(group: argparse._ActionsContainer) -> None:
    # `without_language` took one that is known from the words before they come here.
    group.add_argument(
        "--lang",
        metavar="LANG",
        type=_language,
        default=argparse.SUPPRESS,
        help=say(
            "language of what people read, en or zh_CN, and then also of documents "
            "(default: PREFLIGHT_LANG, else that of the locale)"
        ),
    )


def _language(word: str) -> str:
    if not known_language(word):
        raise argparse.ArgumentTypeError(
            say(
                "{word!r} is none of {languages}",
                word=word,
                languages=", ".join(LANGUAGES),
            )
        )
    return word


def without_language(words: Sequence[str]) -> tuple[list[str], str]:
    """The words without `--lang`, and the language that it asks for, if it is known.

    It is needed before argparse speaks, and counts wherever it stands.
    """
    rest, asked = list(words), ""
    at = 0
    while at < len(rest) and rest[at] != "--":
        flag, equals, value = rest[at].partition("=")
        used = 1
        if flag == "--lang" and not equals and at + 1 < len(rest):
            value, used = rest[at + 1], 2
        if flag == "--lang" and known_language(value):
            asked = known_language(value)
            del rest[at : at + used]
        else:
            at += 1
    return rest, asked


def parse(words: Sequence[str]) -> argparse.Namespace:
    """The command line as values; raises `BadArguments` when it is malformed.

    argparse gives an optional positional away when flags stand before it, so that
    `push MODEL_DIR --base-model ID oss://bucket/prefix/` needs this second look.
    """
    known = _without_help(list(words))
    first = known[0] if known and known[0][:1] != "-" else ""
    if first and first not in COMMANDS:
        raise BadArguments(_no_command(first), _PROG)
    parser = build_parser([first] if first else COMMANDS)
    found, rest = parser.parse_known_args(known)
    if found.command is None:
        parser.print_help(sys.stderr)
        parser.exit(2)
    if rest and getattr(found, "destination", "") is None and rest[0][:1] != "-":
        found.destination = rest.pop(0)
    while rest and hasattr(found, "more") and rest[0][:1] != "-":
        found.more = (*found.more, rest.pop(0))
    if rest:
        command = parser.commands[found.command]
        told = say("unrecognized arguments: {words}", words=" ".join(rest))
        command.error(glued(told, command.meant(rest[0])))
    return cast("argparse.Namespace", found)


def _without_help(words: list[str]) -> list[str]:
    """`help` and `help CMD`, which people type, as `--help` and `CMD --help`."""
    if words[:1] != ["help"]:
        return words
    return [*words[1:2], "--help"]


def _no_command(word: str) -> str:
    meant = nearest(word, COMMANDS) or f": {', '.join(COMMANDS)}"
    return glued(say("there is no command {word!r}", word=word), meant)


def whole_parser() -> Parser:
    """The parser with every command's own flags, for completion and manuals."""
    parser = build_parser()
    for command in parser.commands.values():
        command.fill()
    return parser


def _as_sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}" + ("." if text.isascii() else "。")


def build_parser(names: Iterable[str] = COMMANDS) -> Parser:
    """The parser of the command line; each command's own is filled when used.

    `names`: the commands that it knows; to make one costs more than to read a line.
    """
    parser = Parser(
        prog=_PROG,
        description=say(
            "Check, upload and import fine-tuned models into Model Studio."
        ),
        epilog=_EPILOG,
        formatter_class=HelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}"
    )
    _add_language(parser)
    commands = parser.add_subparsers(
        dest="command", metavar="COMMAND", prog=parser.prog
    )
    common = _common()
    for name in names:
        text = COMMANDS[name]
        parser.commands[name] = commands.add_parser(
            name,
            command=name,
            help=text,
            description=altered(text, _as_sentence),
            parents=[common],
            epilog=_examples(name),
            formatter_class=HelpFormatter,
            allow_abbrev=False,
        )
    return parser
