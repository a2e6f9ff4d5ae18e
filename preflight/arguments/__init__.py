"""The command line's grammar: every command, flag and help text."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from typing import Any, NoReturn

from preflight import __version__
from preflight.arguments.local import add_explain, add_nothing, add_sandbox
from preflight.arguments.model import add_check, add_push
from preflight.arguments.services import (
    add_clean,
    add_delete,
    add_doctor,
    add_import,
    add_jobs,
    add_status,
    add_wait,
)
from preflight.text import printable

Namespace = argparse.Namespace
Add = Callable[[argparse.ArgumentParser], None]

EXIT_CODES = (
    (0, "done"),
    (1, "a rule failed; nothing was uploaded"),
    (2, "usage or configuration"),
    (3, "a fault in preflight itself"),
    (4, "authentication or permission"),
    (5, "the transfer or its verification failed"),
    (6, "the import was refused or failed"),
    (8, "the job was still running at --timeout"),
    (130, "interrupted (Ctrl-C)"),
    (143, "terminated (SIGTERM)"),
)

ENVIRONMENT = (
    ("OSS_ACCESS_KEY_ID", "access key of the account or RAM user"),
    ("OSS_ACCESS_KEY_SECRET", "its secret"),
    ("OSS_SESSION_TOKEN", "session token, with temporary (STS) keys"),
    ("OSS_REGION", "region of the bucket, such as ap-southeast-1"),
    ("OSS_ENDPOINT", "endpoint, when it does not follow from the region"),
    ("DASHSCOPE_API_KEY", "API key of Model Studio"),
    ("DASHSCOPE_API_KEY_FILE_PATH", "a file that holds the API key"),
    ("ALIBABA_CLOUD_ECS_METADATA", "name of the ECS role to take OSS keys from"),
    ("PREFLIGHT_CREDENTIALS", "chain: OSS keys from the vendor's credentials package"),
    ("DASHSCOPE_HTTP_BASE_URL", "API address, when it does not follow from the region"),
)

_EPILOG = "exit codes:\n" + "\n".join(
    f"  {code:<4} {text}" for code, text in EXIT_CODES
)

COMMANDS: tuple[tuple[str, str, Add], ...] = (
    (
        "check",
        "check a model directory against the import's rules; no network",
        add_check,
    ),
    ("push", "check, upload, submit the import job, wait and report", add_push),
    ("wait", "wait for an import job that was submitted before", add_wait),
    ("import", "import what already lies in a bucket", add_import),
    ("jobs", "list the import jobs, or show one", add_jobs),
    ("delete", "delete the platform's record of a finished import job", add_delete),
    ("status", "tell how the last runs on this machine ended", add_status),
    ("clean", "list uploads that were never finished, and abort them", add_clean),
    ("doctor", "check settings, keys, network, clock and bucket", add_doctor),
    ("sandbox", "run the fake OSS and Model Studio on this machine", add_sandbox),
    ("explain", "show a rule's manual page, or list all rules", add_explain),
    ("bases", "list the base models that can be imported onto", add_nothing),
)


class Parser(argparse.ArgumentParser):
    """Tells what is wrong in a sentence, not below a screenful of usage."""

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - argparse's own
        super().__init__(**options)
        self.commands: dict[str, Parser] = {}

    def error(self, message: str) -> NoReturn:
        """Exit with 2."""
        shown = printable(message, 1000)
        self.exit(2, f"preflight: {shown}\n  try  {self.prog} --help\n")

    def stranger(self, word: str) -> str:
        """What to say of a word that is no flag here, with the one likely meant."""
        flags = [flag for flag in self._option_string_actions if flag[:2] == "--"]
        near = get_close_matches(word.partition("=")[0], flags, n=1, cutoff=0.75)
        return f"; did you mean {near[0]}?" if near else ""


def _common() -> Parser:
    common = Parser(add_help=False)
    common.add_argument(
        "-v", "--verbose", action="count", default=0, help="tell more; -vv for faults"
    )
    common.add_argument(
        "-q", "--quiet", action="store_true", help="only the report and errors"
    )
    common.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colour in the report (default: auto; NO_COLOR is honoured)",
    )
    return common


def parse(argv: Sequence[str] | None) -> Namespace:
    """The command line as values; exits with 2 and a sentence when it is malformed.

    argparse gives an optional positional away when flags stand before it, so that
    `push MODEL_DIR --base-model ID oss://bucket/prefix/` needs this second look.
    """
    parser = build_parser()
    found, rest = parser.parse_known_args(argv)
    if found.command is None:
        parser.print_help(sys.stderr)
        parser.exit(2)
    if rest and getattr(found, "destination", "") is None and rest[0][:1] != "-":
        found.destination = rest.pop(0)
    if rest:
        command = parser.commands[found.command]
        meant = command.stranger(rest[0])
        command.error(f"unrecognized arguments: {' '.join(rest)}{meant}")
    return found


def build_parser() -> Parser:
    """The parser of the whole command line."""
    parser = Parser(
        prog="preflight",
        description="Check, upload and import fine-tuned models into Model Studio.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    common = _common()
    for name, text, add in COMMANDS:
        made = parser.commands[name] = commands.add_parser(
            name,
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            parents=[common],
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        add(made)
    return parser
