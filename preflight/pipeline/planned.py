"""What goes up, where to, and what it will be imported as: settled before any byte."""

from __future__ import annotations

import hashlib
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from preflight.catalog.base import BaseModel
from preflight.catalog.service import DISPLAY_NAME_LIMIT
from preflight.destination import Destination, DestinationTemplate
from preflight.errors import NotReady
from preflight.findings import Unavailable, WeightType
from preflight.language import say, without_ending
from preflight.model.base_config import base_config
from preflight.model.inspection import Inspection
from preflight.model.location import Location
from preflight.observer import Observer
from preflight.pipeline.checked import Checked
from preflight.pipeline.options import PushOptions
from preflight.studio.jobs import ImportRequest
from preflight.upload.local_file import local_crc
from preflight.upload.plan import Selection, UploadPlan, select_files

_NAMED = 4  # bases that a message lists
_DIGITS = 12  # of the digest; 48 bits tell the versions of one model apart


@dataclass(frozen=True, slots=True)
class Planned:
    """The upload and the import that follows it, not yet begun."""

    plan: UploadPlan
    request: ImportRequest


def planned(options: PushOptions, checked: Checked, observer: Observer) -> Planned:
    """Choose the files, settle the destination, and say what will be imported.

    The files' bytes are read only where the destination holds `{digest}`. Raises
    `NotReady` when base or kind of weights are not known, `UsageError` when a file
    cannot go up.
    """
    found = checked.found
    base, kind = base_and_kind(checked)
    made = _generated(options, found, observer)
    chosen = select_files(found.walk, kind, generated=made)
    destination = _settled(options, checked, chosen, observer)
    request = ImportRequest(
        model_name=base.code,
        display_name=options.display_name
        or default_name(found.location, options.destination),
        weight_type=kind,
        bucket=destination.bucket,
        prefix=destination.prefix,
    )
    # The request is made with the plan: after the upload nothing is left to decide.
    plan = Planned(chosen.under(destination), request)
    observer.reached(plan)
    return plan


def require_pushable(checked: Checked) -> None:
    """Raise what a push of this directory would raise before it touches a network.

    That is `NotReady` when base or kind of weights are not known, and `UsageError`
    when a file of the model cannot go up.
    """
    _, kind = base_and_kind(checked)
    select_files(checked.found.walk, kind)


def obstacle(checked: Checked) -> NotReady | None:
    """What a push would have to be told about this directory, if anything."""
    try:
        base_and_kind(checked)
    except NotReady as error:
        return error
    return None


def base_and_kind(checked: Checked) -> tuple[BaseModel, WeightType]:
    """Base and kind of weights; raises `NotReady` where they are not known."""
    found = checked.found
    if isinstance(found.weight_type, Unavailable):
        raise NotReady(
            found.weight_type.reason,
            hint=say("say which with --weight-type lora or full"),
        )
    if isinstance(found.base, Unavailable):
        raise NotReady(_without_base(found), hint=_with_base(found))
    return found.base, found.weight_type


# What is left of the reasons of `choose_base` without their advice.
_NO_BASE = (
    say("the base model is not known"),
    say("the base model is not known for sure ({where} says {name})"),
)


def _without_base(found: Inspection) -> str:
    """Why there is no base, and which ones the weights' shapes allow."""
    told = say("the base model is not named")
    if found.claim.identity is not None or not isinstance(found.requested, Unavailable):
        told = found.base.reason if isinstance(found.base, Unavailable) else ""
        told = without_ending(told, "; give --base-model")
    fitting = [base.code for base in found.candidates]
    if len(fitting) == 1:
        return say(
            "{told}; the shapes fit {fitting} only", told=told, fitting=fitting[0]
        )
    if 1 < len(fitting) <= _NAMED:
        return say(
            "{told}; the shapes fit {fitting}", told=told, fitting=", ".join(fitting)
        )
    return told


def _with_base(found: Inspection) -> str:
    """The command that names the base."""
    where = shlex.quote(found.location.shown)
    verb, to = "push", " oss://BUCKET/PREFIX/"
    if found.location.url:
        verb, to = "import", ""
    return naming_the_base(f"preflight {verb} {where}{to}", found.candidates)


def naming_the_base(command: str, candidates: Sequence[BaseModel]) -> str:
    """A command, with the base as well; `ID` unless the shapes fit one alone."""
    if len(candidates) == 1:
        return f"{command} --base-model {candidates[0].code}"
    command = f"{command} --base-model ID"
    return say("{command}  (`preflight bases` lists them)", command=command)


def _generated(
    options: PushOptions, found: Inspection, observer: Observer
) -> dict[str, bytes]:
    """The base's config.json, which no trainer writes beside an adapter."""
    made = base_config(found)
    if isinstance(made, Unavailable) or not options.base_config:
        return {}
    told: str = made.name
    if not isinstance(found.base, Unavailable):
        told = say("{name} of {base}", name=told, base=found.base.hub_id)
    if not made.from_catalog:
        told = say("{told}, from {origin}", told=told, origin=made.origin)
    observer.note(say("added {told} (--no-base-config leaves it out)", told=told))
    return {made.name: made.content}


def _settled(
    options: PushOptions, checked: Checked, chosen: Selection, observer: Observer
) -> Destination:
    found, template = checked.found, options.destination
    # Functions: `{digest}` may read gigabytes, and only a template that holds it asks.
    values: dict[str, Callable[[], str]] = {
        **directory_names(found.location),
        "date": lambda: datetime.now(timezone.utc).strftime("%Y%m%d"),
        "digest": lambda: _digest_told(chosen, checked.sums, observer),
    }
    if not isinstance(found.base, Unavailable):
        values["base"] = partial(str, found.base.code)
    destination = template.settle(values)
    if template.placeholders:
        observer.say(say("destination: {url}", url=destination.url))
    return destination


def _digest_told(chosen: Selection, sums: Mapping[str, int], observer: Observer) -> str:
    """The digest; whatever no earlier stage has read is read now, and it is shown."""
    unread = sum(item.size for item in chosen.items if item.name not in sums)
    with observer.stage("digest"), observer.progress() as progress:
        progress.start(unread, say("reading for {digest}"))
        return digest(chosen, sums, on_bytes=progress.advance)


def digest(
    chosen: Selection,
    sums: Mapping[str, int],
    *,
    on_bytes: Callable[[int], None] | None = None,
) -> str:
    """A short SHA-256 over names, sizes and CRC-64s; `sums` are those known.

    `on_bytes` hears how many bytes of the others were read.
    """
    text = hashlib.sha256()
    # In the order of names, as every file system lists in an order of its own.
    for item in sorted(chosen.items, key=lambda item: item.name):
        known = item.name in sums
        crc = sums[item.name] if known else local_crc(item, on_bytes=on_bytes)
        # No name holds a NUL, so that name and size cannot run into one another.
        text.update(f"{item.name}\0{item.size}\0{crc:016x}\n".encode())
    return text.hexdigest()[:_DIGITS]


def default_name(location: Location, template: DestinationTemplate) -> str:
    """What a model is called in the console, unless it was given a name.

    Its directory's name, or what the destination calls it where that is another.
    """
    names = template.names if "parent" in template.names else ("name",)
    values = directory_names(location)
    known = [values[name]() for name in names if name in values]
    return "-".join(known or [tidy_name(location)])[:DISPLAY_NAME_LIMIT]


def directory_names(location: Location) -> dict[str, Callable[[], str]]:
    """What `{name}` and `{parent}` of a destination stand for, where they have a value.

    They depend on the directory alone, so that it goes to the same place whether it is
    pushed by itself or with others.
    """
    names: dict[str, Callable[[], str]] = {"name": partial(tidy_name, location)}
    if location.parent:
        names["parent"] = partial(_tidy, location.parent)
    return names


def tidy_name(location: Location) -> str:
    """A model directory's name as a part of a key."""
    return _tidy(location.name)


def _tidy(name: str) -> str:
    # What is left out would have to be quoted in a shell or a URL.
    return re.sub(r"[^\w.-]+", "-", name).strip(".-") or "model"
