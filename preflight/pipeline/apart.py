"""Several directories and one destination: each must get a prefix of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from preflight.destination import DestinationTemplate
from preflight.errors import UsageError
from preflight.language import say
from preflight.model.location import Location
from preflight.pipeline.planned import directory_names

_OTHERS = ("{parent}", "{parent}-{name}", "{name}-{digest}")


def require_apart(template: DestinationTemplate, places: Sequence[Location]) -> None:
    """Raise `UsageError` where two of the places would go to one prefix.

    Nothing is read for it. With `{digest}` only equal files meet in one prefix.
    """
    if "digest" in template.placeholders:
        return
    seen: dict[str, Location] = {}
    for place in places:
        url = _filled(template.url, place)
        if url in seen:
            raise UsageError(
                say(
                    "{first} and {second} would both go to {url}",
                    first=seen[url].shown,
                    second=place.shown,
                    url=url,
                ),
                hint=say(
                    "tell them apart in the destination: {url}",
                    url=_apart(template, places),
                ),
            )
        seen[url] = place


def _filled(url: str, place: Location) -> str:
    for name, value in directory_names(place).items():
        url = url.replace(f"{{{name}}}", value())
    return url


def _apart(template: DestinationTemplate, places: Sequence[Location]) -> str:
    """A destination like this one that tells all of them apart."""
    return next(filter(_tells_apart(places), _candidates(template)))


def _candidates(template: DestinationTemplate) -> Sequence[str]:
    url = template.url
    used = "{name}" if "{name}" in url else "{parent}" if "{parent}" in url else ""
    if not used:
        return [f"{url.rstrip('/')}/{other}/" for other in ("{name}", *_OTHERS)]
    return [url.replace(used, other, 1) for other in _OTHERS]


def _tells_apart(places: Sequence[Location]) -> Callable[[str], bool]:
    def tells(url: str) -> bool:
        urls = {_filled(url, place) for place in places}
        # At the root of a disk there is no folder above that could be named.
        known = all("{parent}" not in _filled(url, place) for place in places)
        return "{digest}" in url or (known and len(urls) == len(places))

    return tells
