"""The create call's body and the list call's query, held to what the API takes."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from preflight.findings import WeightType
from preflight.sandbox.studio.errors import invalid_parameter, unknown_to_sandbox
from preflight.sandbox.studio.jobs import Source, Status

MAX_DISPLAY_NAME = 50  # characters; API page "Create an import job"
MAX_PAGE_SIZE = 100  # API page "List import jobs"


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """A valid create call; `display_name` may be empty."""

    model_name: str
    display_name: str
    source: Source
    weight_type: WeightType


@dataclass(frozen=True, slots=True)
class ListRequest:
    """A valid list call; pages count from 1."""

    page_no: int = 1
    page_size: int = 10
    status: Status | None = None
    model_name: str = ""


def refuse_unknown(given: Collection[str], known: Collection[str], where: str) -> None:
    """Answer 501 for names that no page has, instead of guessing what they mean."""
    if unknown := sorted(set(given) - set(known)):
        raise unknown_to_sandbox(f"unknown in the {where}: {', '.join(unknown)}")


def _text(values: Mapping[str, Any], field: str) -> str:
    value = values.get(field)
    if not isinstance(value, str) or not value:
        raise invalid_parameter(f"{field} is required and has to be a string.")
    return value


def parse_body(raw: bytes) -> dict[str, Any]:
    """The JSON object of a request, or InvalidParameter."""
    try:
        value = json.loads(raw)
    except ValueError as exc:
        raise invalid_parameter("The request body is not valid JSON.") from exc
    if not isinstance(value, dict):
        raise invalid_parameter("The request body is not a JSON object.")
    return value


def _source(info: object) -> Source:
    if not isinstance(info, dict):
        raise invalid_parameter("storage_info is required and has to be an object.")
    refuse_unknown(info, ("bucket_name", "object_key"), "storage_info")
    bucket, prefix = _text(info, "bucket_name"), _text(info, "object_key")
    if not prefix.endswith("/"):
        raise invalid_parameter("storage_info.object_key has to end with '/'.")
    if not prefix.strip("/"):
        raise invalid_parameter("Files in the root of a bucket cannot be imported.")
    return Source(bucket, prefix)


def parse_create(raw: bytes) -> CreateRequest:
    """The create call; raises `StudioError` InvalidParameter, naming the field."""
    body = parse_body(raw)
    known = ("model_name", "display_name", "source", "weight_type", "storage_info")
    refuse_unknown(body, known, "request body")
    model_name = _text(body, "model_name")
    shown = body.get("display_name", "")
    if not isinstance(shown, str) or len(shown) > MAX_DISPLAY_NAME:
        raise invalid_parameter(f"display_name exceeds {MAX_DISPLAY_NAME} characters.")
    if _text(body, "source") != "oss":
        raise invalid_parameter("source has to be 'oss'.")
    kinds = {kind.value: kind for kind in WeightType}
    if _text(body, "weight_type") not in kinds:
        raise invalid_parameter("weight_type has to be 'lora' or 'full'.")
    source = _source(body.get("storage_info"))
    return CreateRequest(model_name, shown, source, kinds[body["weight_type"]])


def parse_number(query: Mapping[str, str], field: str, default: int, most: int) -> int:
    """A parameter that is a number from 1 to `most`, or InvalidParameter."""
    text = query.get(field, str(default))
    if not text.isdecimal() or not 1 <= int(text) <= most:
        raise invalid_parameter(f"{field} has to be a number from 1 to {most}.")
    return int(text)


def parse_list(query: Mapping[str, str]) -> ListRequest:
    """The list call; raises `StudioError` InvalidParameter, naming the parameter."""
    refuse_unknown(query, ("page_no", "page_size", "status", "model_name"), "query")
    statuses = {status.value: status for status in Status}
    wanted = query.get("status", "")
    if wanted and wanted not in statuses:
        raise invalid_parameter(f"status has to be one of {', '.join(statuses)}.")
    return ListRequest(
        parse_number(query, "page_no", 1, 1_000_000),
        parse_number(query, "page_size", 10, MAX_PAGE_SIZE),
        statuses.get(wanted),
        query.get("model_name", ""),
    )
