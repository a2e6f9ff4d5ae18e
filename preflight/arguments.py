"""The command line's grammar: every command, flag and help text."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from preflight import __version__
from preflight.destination import PLACEHOLDERS
from preflight.findings import WeightType
from preflight.transfer_arguments import add_transfer_flags

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


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"not a number of seconds: {text}")
    return value


def _model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "model_dir", metavar="MODEL_DIR", type=Path, help="directory of the weights"
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        help="base model trained on, as `preflight bases` lists it, or its hub id "
        "(default: what the directory itself names)",
    )
    parser.add_argument(
        "--weight-type",
        choices=[kind.value for kind in WeightType],
        help="kind of weights (default: told by the files)",
    )
    parser.add_argument(
        "--base-dir",
        metavar="DIR",
        type=Path,
        help="a copy of the base to compare with",
    )
    parser.add_argument(
        "--base-from-hub",
        action="store_true",
        help="without a local copy of the base, fetch its headers and small files",
    )
    parser.add_argument(
        "--no-scan", action="store_true", help="do not look for NaN, Inf and zeros"
    )
    parser.add_argument(
        "--strict", action="store_true", help="let warnings count as errors"
    )
    parser.add_argument(
        "--ignore",
        metavar="CODE=REASON",
        action="append",
        default=[],
        help="let this rule's failure pass; the reason stands in the report",
    )


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the report"
    )
    parser.add_argument(
        "--output", metavar="FILE", type=Path, help="write the report there, not here"
    )


def _waiting(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--timeout",
        type=_seconds,
        default=7200.0,
        metavar="S",
        help="seconds to wait for the job (default: 7200)",
    )
    parser.add_argument(
        "--poll-interval",
        type=_seconds,
        metavar="S",
        help="seconds between two looks (default: 3, growing to 30)",
    )


def _push(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    known = "; ".join(f"{{{name}}}: {text}" for name, text in PLACEHOLDERS.items())
    parser.add_argument(
        "destination",
        metavar="oss://bucket/prefix/",
        nargs="?",
        help=f"where to upload to; may be left out with --sandbox. It may hold {known}",
    )
    add_transfer_flags(parser)
    parser.add_argument(
        "--no-base-config",
        action="store_true",
        help="do not add the base's config.json beside an adapter",
    )
    parser.add_argument(
        "--display-name", default="", metavar="NAME", help="name in the console"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="submit the import and do not wait"
    )
    _waiting(parser)
    parser.add_argument(
        "--again", action="store_true", help="import anew although it was done before"
    )
    parser.add_argument(
        "--replace",
        action="store_true",
        help="change files under a prefix that a model was imported from; that model "
        "becomes invalid",
    )
    parser.add_argument(
        "--tag-bucket",
        action="store_true",
        help="set the bucket's tag that an import needs; its other tags stay",
    )
    parser.add_argument(
        "-n", "--dry-run", action="store_true", help="check and plan, touch no network"
    )
    parser.add_argument(
        "--sandbox",
        action="store_true",
        help="use a fake OSS and Model Studio on this machine; needs no account",
    )
    _report(parser)


def _check(parser: argparse.ArgumentParser) -> None:
    _model(parser)
    parser.add_argument(
        "--select",
        metavar="CODES",
        action="append",
        default=[],
        help="run only these rules or families, such as C,K02",
    )
    _report(parser)


def _explain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("code", metavar="CODE", nargs="?", help="a rule, such as C02")


def _wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job_id", metavar="JOB_ID", help="the import job's id")
    _waiting(parser)
    _report(parser)


def _import(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help="where the files lie"
    )
    parser.add_argument(
        "--base-model",
        metavar="ID",
        required=True,
        help="base model trained on, as `preflight bases` lists it",
    )
    parser.add_argument(
        "--weight-type",
        choices=[kind.value for kind in WeightType],
        help="kind of weights (default: told by the files)",
    )
    parser.add_argument(
        "--display-name", default="", metavar="NAME", help="name in the console"
    )
    parser.add_argument(
        "--no-wait", action="store_true", help="submit the import and do not wait"
    )
    parser.add_argument(
        "--again", action="store_true", help="import anew although it was done before"
    )
    _waiting(parser)
    _report(parser)


def _format(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="form of the result"
    )


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"not a number of jobs: {text}")
    return value


def _jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "job_id", metavar="JOB_ID", nargs="?", help="show this job (default: all)"
    )
    parser.add_argument(
        "--status",
        type=str.lower,
        choices=("pending", "running", "succeeded", "successed", "failed"),
        help="only jobs in this state",
    )
    parser.add_argument(
        "--model-name",
        metavar="NAME",
        help="only the job of this model, by the name that the platform gave it",
    )
    parser.add_argument(
        "--limit", type=_count, metavar="N", help="the newest N jobs (default: all)"
    )
    _format(parser)


def _delete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("job_id", metavar="JOB_ID", help="the import job's id")
    parser.add_argument(
        "--yes", action="store_true", help="delete; without it, only say what would be"
    )


def _status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "directory",
        metavar="DIR",
        nargs="?",
        type=Path,
        help="a model directory (default: runs of all directories)",
    )
    _format(parser)


def _clean(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "destination", metavar="oss://bucket/prefix/", help="where to look"
    )
    parser.add_argument(
        "--yes", action="store_true", help="abort them; without it, only list them"
    )
    _format(parser)


def _doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "destination",
        metavar="oss://bucket/prefix/",
        nargs="?",
        help="also check this bucket, and that the prefix may be written to",
    )
    parser.add_argument(
        "--fix", action="store_true", help="set the bucket's tag if it lacks it"
    )
    _format(parser)


def _port(text: str) -> int:
    value = int(text)
    if not 0 < value < 65535:
        raise argparse.ArgumentTypeError(f"not a port: {text}")
    return value


def _sandbox(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--port",
        type=_port,
        help="port of OSS; Model Studio gets the next one (default: free ones)",
    )
    parser.add_argument(
        "--state", metavar="DIR", type=Path, help="keep buckets, keys and jobs there"
    )
    parser.add_argument(
        "--seed-bucket",
        metavar="NAME",
        default="preflight-sandbox",
        help="name of the bucket that exists from the start",
    )
    parser.add_argument(
        "--faults", metavar="FILE", type=Path, help="a JSON plan of what goes wrong"
    )
    parser.add_argument(
        "--digests",
        action="store_true",
        help="keep checksums instead of the bytes of large objects",
    )
    parser.add_argument(
        "--job-seconds",
        type=_seconds,
        default=0.0,
        metavar="S",
        help="how long an import job takes (default: 0)",
    )


def _nothing(_: argparse.ArgumentParser) -> None:
    return


COMMANDS: tuple[tuple[str, str, Add], ...] = (
    ("check", "check a model directory against the import's rules; no network", _check),
    ("push", "check, upload, submit the import job, wait and report", _push),
    ("wait", "wait for an import job that was submitted before", _wait),
    ("import", "import what already lies in a bucket", _import),
    ("jobs", "list the import jobs, or show one", _jobs),
    ("delete", "delete the platform's record of a finished import job", _delete),
    ("status", "tell how the last runs on this machine ended", _status),
    ("clean", "list uploads that were never finished, and abort them", _clean),
    ("doctor", "check settings, keys, network, clock and bucket", _doctor),
    ("sandbox", "run the fake OSS and Model Studio on this machine", _sandbox),
    ("explain", "show a rule's manual page, or list all rules", _explain),
    ("bases", "list the base models that can be imported onto", _nothing),
)


def _common() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
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
    if rest and getattr(found, "destination", "") is None and rest[0][:1] != "-":
        found.destination = rest.pop(0)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    return found


def build_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(
        prog="preflight",
        description="Check, upload and import fine-tuned models into Model Studio.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument(
        "--version", action="version", version=f"%(prog)s {__version__}"
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    common = _common()
    for name, text, add in COMMANDS:
        made = commands.add_parser(
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
