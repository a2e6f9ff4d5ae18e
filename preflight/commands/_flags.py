"""Flags that several commands have, and the types of their values."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING

from preflight.api import CheckFlags
from preflight.commands._values import seconds
from preflight.errors import UsageError
from preflight.findings import WeightType
from preflight.language import say
from preflight.pipeline.places import read_place
from preflight.progress import ProgressMode
from preflight.report import FORMATS

if TYPE_CHECKING:
    from preflight.repair.draft import Losses
_MANY = say(
    "directory of the weights, hf://org/repo[@revision] or ms://org/repo of a hub, or "
    "oss://bucket/prefix/ of what lies there already; of several a table"
)


def group(parser: argparse.ArgumentParser, title: str) -> argparse._ArgumentGroup:
    """The group of flags with this title; made when it is asked for first."""
    for found in parser._action_groups:  # noqa: SLF001 - argparse keeps no other list
        if found.title == title:
            return found
    return parser.add_argument_group(title)


def add_model(
    parser: argparse.ArgumentParser, *, many: bool = False, places: str = ""
) -> None:
    """The directories, by default with the words `places`, and how to judge them."""
    parser.add_argument(
        "model_dir",
        metavar="MODEL_DIR",
        type=read_place,
        nargs="+" if many or places else None,
        help=places or (_MANY if many else say("directory of the weights")),
    )
    model, rules = group(parser, "model"), group(parser, "rules")
    add_base_dir(parser)
    add_weight_type(parser)
    model.add_argument(
        "--base-from-hub",
        action="store_true",
        help=say("without a local copy of the base, fetch its headers and small files"),
    )
    if many:
        rules.add_argument(
            "--scan",
            action="store_true",
            default=None,
            help=say("look for NaN, Inf and zeros in a bucket, too; reads all of it"),
        )
    rules.add_argument(
        "--no-scan",
        action="store_false",
        dest="scan",
        default=None,
        help=say("do not look for NaN, Inf and zeros"),
    )
    add_severities(parser)


def add_severities(parser: argparse.ArgumentParser) -> None:
    """What counts as an error, and what does not."""
    rules = group(parser, "rules")
    rules.add_argument(
        "--strict", action="store_true", help=say("let warnings count as errors")
    )
    rules.add_argument(
        "--ignore",
        metavar="CODE=REASON",
        action="append",
        default=[],
        help=say("let this rule's failure pass; the reason stands in the report"),
    )


def add_base_dir(parser: argparse.ArgumentParser) -> None:
    """Which base, and where a copy of it lies."""
    model = group(parser, "model")
    model.add_argument(
        "--base-model",
        metavar="ID",
        help=say(
            "base model trained on, as `preflight bases` lists it, or its "
            "hub id (default: what the directory itself names)"
        ),
    )
    model.add_argument(
        "--base-dir",
        metavar="DIR",
        type=Path,
        help=say("a copy of the base to compare with"),
    )


def check_flags(arguments: argparse.Namespace) -> CheckFlags:
    """What `add_model` added, as the API takes it."""
    return {
        "base_model": arguments.base_model,
        "weight_type": arguments.weight_type,
        "base_dir": arguments.base_dir,
        "base_from_hub": arguments.base_from_hub,
        "scan": arguments.scan,
        "ignore": arguments.ignore,
        "strict": arguments.strict,
        "measure": any(place.form == "html" for place in report_places(arguments)),
    }


def add_weight_type(parser: argparse.ArgumentParser) -> None:
    """Adapter or full weights."""
    group(parser, "model").add_argument(
        "--weight-type",
        choices=[kind.value for kind in WeightType],
        help=say("kind of weights (default: told by the files)"),
    )


def add_report(parser: argparse.ArgumentParser) -> None:
    """Form and place of the report of a run."""
    output = group(parser, "output")
    output.add_argument(
        "--format",
        choices=tuple(FORMATS),
        action="append",
        dest="formats",
        help=say(
            "form of the report (default: text, or what the name of FILE ends in)"
        ),
    )
    output.add_argument(
        "--output",
        metavar="[FORMAT=]FILE",
        action="append",
        dest="outputs",
        help=say(
            "write the report there, not here; once for each form, such as "
            "junit=report.xml"
        ),
    )
    output.add_argument(
        "--progress",
        choices=[mode.value for mode in ProgressMode],
        default="auto",
        help=say(
            "how progress is told on standard error (default: a bar on a "
            "terminal, a line every 30 s elsewhere; json: one event a line)"
        ),
    )


@dataclass(frozen=True, slots=True)
class ReportPlace:
    """A form of the report and the file that it goes to; None is standard output."""

    form: str
    file: Path | None = None


_ENDINGS = {
    ".json": "json",
    ".md": "markdown",
    ".xml": "junit",
    ".html": "html",
    ".txt": "text",
}


def report_places(arguments: argparse.Namespace) -> tuple[ReportPlace, ...]:
    """Each form that was asked for, and where to.

    `--output FORMAT=FILE` names both. Of the others the first `--output` belongs to the
    first `--format`, and so on; a last form without a file goes to standard output.
    Without `--format` a file's ending tells its form, and the text stays on the screen.
    Raises `UsageError` for what fits together not.
    """
    forms, outputs = list(arguments.formats or ()), list(arguments.outputs or ())
    named = [place for place in map(_named, outputs) if place is not None]
    files = [Path(output) for output in outputs if _named(output) is None]
    if not forms:
        told = [_ENDINGS.get(file.suffix.lower(), "text") for file in files]
        places = [*named, *map(ReportPlace, told, files)]
        text_has_place = any(place.form == "text" for place in places)
        return (*places,) if text_has_place else (*places, ReportPlace("text"))
    if not len(forms) - 1 <= len(files) <= len(forms):
        raise UsageError(
            say(
                "{count} forms and {total} files of the report do not fit",
                count=len(forms),
                total=len(files),
            ),
            hint=say("give --output once for each --format; the last may do without"),
        )
    placed = zip_longest(forms, files)
    return (*named, *(ReportPlace(form, file) for form, file in placed))


def _named(output: str) -> ReportPlace | None:
    """`junit=report.xml` as a form and its file; a name that is none of these is None.

    `./junit=report.xml` is a file of that name.
    """
    form, equals, file = output.partition("=")
    return (
        ReportPlace(form, Path(file)) if form in FORMATS and equals and file else None
    )


def add_format(parser: argparse.ArgumentParser) -> None:
    """Form of a result."""
    group(parser, "output").add_argument(
        "--format",
        choices=("text", "json"),
        default="text",
        help=say("form of the result"),
    )


def add_wide(parser: argparse.ArgumentParser) -> None:
    """Whole cells in a table."""
    group(parser, "output").add_argument(
        "-o", choices=("wide",), dest="wide", help=say("wide: cut no cell of the table")
    )


def add_import(parser: argparse.ArgumentParser) -> None:
    """What an import is called, and whether and how long it is waited for."""
    group(parser, "import").add_argument(
        "--display-name", default="", metavar="NAME", help=say("name in the console")
    )
    group(parser, "import").add_argument(
        "--no-wait", action="store_true", help=say("submit the import and do not wait")
    )
    add_waiting(parser)
    group(parser, "import").add_argument(
        "--again",
        action="store_true",
        help=say("import anew although it was done before"),
    )


def add_waiting(parser: argparse.ArgumentParser) -> None:
    """How long to wait for a job."""
    group(parser, "import").add_argument(
        "--timeout",
        type=seconds,
        default=7200.0,
        metavar="S",
        help=say("seconds to wait for the job (default: 7200)"),
    )
    group(parser, "import").add_argument(
        "--poll-interval",
        type=seconds,
        metavar="S",
        help=say("seconds between two looks (default: 3, growing to 30)"),
    )


_AT_A_LOSS = {
    "reduce_rank": say("cut a rank above 64 to 64 (SVD)"),
    "drop_head": say("leave out what was trained of embedding and output layer"),
    "drop_bias": say("leave out trained biases"),
    "drop_saved_modules": say("leave out whole modules trained beside the LoRA"),
    "drop_vision": say("leave out what was trained of the vision tower"),
    "base_tokenizer": say("take the base's tokenizer in place of another one"),
    "round": say("round values that the needed format cannot hold"),
}


def add_losses(parser: argparse.ArgumentParser) -> None:
    """One flag for each repair that loses something."""
    for name, text in _AT_A_LOSS.items():
        flag = f"--{name.replace('_', '-')}"
        titled = group(parser, say("repairs at a loss, which is measured"))
        titled.add_argument(flag, action="store_true", help=text)


def losses_of(arguments: argparse.Namespace) -> Losses:
    """What `add_losses` added."""
    from preflight.repair.draft import Losses  # only where a repair was asked for

    return Losses(**{name: getattr(arguments, name) for name in _AT_A_LOSS})
