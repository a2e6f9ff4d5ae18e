"""What this machine can tell without asking anyone: versions and settings."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from preflight import __version__
from preflight.catalog.endpoints import (
    EndpointKind,
    internal_endpoint,
    read_endpoint,
)
from preflight.catalog.explanations import Service, explain
from preflight.catalog.regions import find_region, import_regions
from preflight.doctor.results import Finding, fail, note, ok, warn
from preflight.errors import ConfigurationError
from preflight.language import glued, joined, say
from preflight.settings import Need, Settings

_PACKAGES = ("oss2", "requests", "fastcrc", "numpy", "safetensors", "huggingface_hub")
_FAST_CRC = (0, 4, 1)  # older ones are 40 times slower and hold the interpreter lock
_PRODUCT = Path("/sys/class/dmi/id/product_name")


def versions() -> Iterator[Finding]:
    """preflight, Python and the packages that an upload runs on."""
    found, lacking = {}, []
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # noqa: PERF203
            lacking.append(name)
    shown = ", ".join(f"{name} {version}" for name, version in found.items())
    system = f"{platform.system()} {platform.machine()}"
    python = ".".join(map(str, sys.version_info[:3]))
    yield ok(f"preflight {__version__}, Python {python}, {system}, {shown}")
    if lacking:
        yield fail(
            say("not installed: {lacking}", lacking=", ".join(lacking)),
            say("install preflight anew"),
        )
    crc = found.get("fastcrc", "")
    numbers = tuple(int(part) for part in crc.split(".")[:3] if part.isdecimal())
    if crc and numbers < _FAST_CRC:
        yield warn(
            say("fastcrc {version} is slow", version=crc),
            "pip install 'fastcrc>=0.4.1'",
        )


def settings_in_order(
    settings: Settings, environ: Mapping[str, str]
) -> Iterator[Finding]:
    """Each setting with its origin; what is lacking, malformed or at odds."""
    for need in Need:
        try:
            settings.require(need)
        except ConfigurationError as error:  # noqa: PERF203
            yield fail(error.message, error.hint)
    yield from _spelling(environ)
    yield from _key_formats(settings)
    yield from _regions(settings)
    for row in settings.describe():
        if row.shown:
            yield ok(glued(f"{row.name} {row.shown} [", row.origin, "]"))


def _spelling(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("OSS_ENDPOINT", "DASHSCOPE_HTTP_BASE_URL"):
        value = environ.get(name, "").strip()
        if value and "://" not in value:
            yield warn(
                say("{name} has no scheme, https:// is assumed", name=name),
                say("other tools take it for plain http: write it with https://"),
            )


def _key_formats(settings: Settings) -> Iterator[Finding]:
    key_id, token = settings.access_key_id.value, settings.session_token.value
    if key_id.startswith("STS.") and not token:
        yield fail(
            say(
                "OSS_ACCESS_KEY_ID is a temporary key (STS.), but there is no "
                "session token"
            ),
            say("set OSS_SESSION_TOKEN to the token that came with it"),
        )
    elif key_id and not key_id.startswith(("LTAI", "STS.")):
        yield warn(
            say(
                "OSS_ACCESS_KEY_ID does not begin with LTAI or STS., as the vendor's do"
            ),
            say("check that id and secret are not mixed up"),
        )
    secret = settings.access_key_secret.value
    if secret.startswith("LTAI") and not key_id.startswith(("LTAI", "STS.")):
        yield fail(
            say("OSS_ACCESS_KEY_SECRET begins with LTAI, as access key ids do"),
            say("id and secret are swapped: set each to the other's value"),
        )
    plan = explain(Service.STUDIO, said="Coding Plan")
    if settings.api_key.value.startswith("sk-sp-") and plan:
        yield fail(glued("DASHSCOPE_API_KEY: ", plan.cause), plan.remedy)
    if settings.api_key.value and not settings.api_key.value.startswith("sk-"):
        yield warn(
            say("DASHSCOPE_API_KEY does not begin with sk-, as the vendor's do"),
            say("make a key in the Model Studio console of the region"),
        )


def _regions(settings: Settings) -> Iterator[Finding]:
    oss, studio = settings.region.value, settings.studio_region
    if oss and studio and oss != studio:
        yield fail(
            say(
                "OSS is used in {oss}, Model Studio in {studio}: an import "
                "reads buckets of its own region",
                oss=oss,
                studio=studio,
            ),
            say(
                "set OSS_REGION to {studio}, or DASHSCOPE_HTTP_BASE_URL to "
                "that of {oss}",
                studio=studio,
                oss=oss,
            ),
        )
    known = find_region(studio) if studio else None
    if known is not None and not known.import_api:
        open_in = joined(say(" and "), [each.id for each in import_regions()])
        yield warn(
            say(
                "imports by API are open in {open_in}; in {studio} only the "
                "console imports",
                open_in=open_in,
                studio=studio,
            )
        )
    kind = read_endpoint(settings.endpoint.value).kind
    if oss and kind is EndpointKind.PUBLIC and _is_ecs():
        yield note(
            say(
                "this is an ECS machine: if it lies in {oss}, the endpoint "
                "{internal_endpoint} is quicker and free of charge",
                oss=oss,
                internal_endpoint=internal_endpoint(oss),
            )
        )


def _is_ecs() -> bool:
    """Whether the firmware says so: a file, so no metadata service is asked."""
    try:
        return "Alibaba Cloud ECS" in _PRODUCT.read_text("utf-8", "replace")
    except OSError:
        return False
