"""Which destinations tell directories apart."""

from __future__ import annotations

from pathlib import Path

import pytest

from preflight.destination import DestinationTemplate
from preflight.errors import UsageError
from preflight.model.location import Location
from preflight.pipeline.apart import require_apart


def told(url: str, *places: str) -> str:
    """The destination that is proposed instead; empty where this one will do."""
    template = DestinationTemplate.parse(url)
    try:
        require_apart(template, [Location(Path(place)) for place in places])
    except UsageError as error:
        return error.hint.rpartition(": ")[2]
    return ""


@pytest.mark.parametrize(
    ("url", "places", "better"),
    [
        ("oss://abc/{name}/", ("/r/a", "/r/b"), ""),
        ("oss://abc/{parent}/", ("/r/1/m", "/r/2/m"), ""),
        ("oss://abc/{digest}/", ("/r/a", "/s/a"), ""),
        ("oss://abc/x/", ("/r/a", "/r/b"), "oss://abc/x/{name}/"),
        ("oss://abc/x/", ("/r/1/m", "/r/2/m"), "oss://abc/x/{parent}/"),
        ("oss://abc/{name}-{date}/", ("/1/m", "/2/m"), "oss://abc/{parent}-{date}/"),
        ("oss://abc/{parent}/", ("/r/a", "/r/b"), "oss://abc/{parent}-{name}/"),
        ("oss://abc/{name}/", ("/x/r/a", "/y/r/a"), "oss://abc/{name}-{digest}/"),
        ("oss://abc/{name}/", ("/r/a b", "/r/a-b"), "oss://abc/{name}-{digest}/"),
    ],
)
def test_each_directory_gets_a_prefix_of_its_own(
    url: str, places: tuple[str, ...], better: str
) -> None:
    assert told(url, *places) == better
    if better:
        assert told(better, *places) == ""
