"""Put the settings together: precedence, derivation of one from another, addresses."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from preflight.catalog import endpoints, regions
from preflight.catalog.endpoints import is_loopback
from preflight.findings import Unavailable
from preflight.hidden import hide
from preflight.language import glued, joined, say
from preflight.settings import addresses, sources
from preflight.settings.credentials import credential_problem
from preflight.settings.network import proxy_for, tls_problem
from preflight.settings.setting import VARIABLES, Need, Setting, Settings
from preflight.settings.sources import CREDENTIALS, Source

_FLAGS = {"region": "--region", "endpoint": "--endpoint", "base_url": "--base-url"}
_TIDY: Mapping[str, Callable[[str], str]] = {
    "region": addresses.tidy_region,
    "endpoint": addresses.tidy_endpoint,
    "base_url": addresses.tidy_base_url,
}
_PROBLEM: Mapping[str, Callable[[str, str], str]] = {
    "region": addresses.region_problem,
    "endpoint": addresses.endpoint_problem,
    "base_url": addresses.base_url_problem,
}


@dataclass(frozen=True, slots=True)
class _Given:
    """A place's setting and its rank: 0 for a flag, larger for less weighty ones."""

    setting: Setting = field(default_factory=Setting)
    rank: int = 3

    def __bool__(self) -> bool:
        return bool(self.setting.value)

    @property
    def value(self) -> str:
        return self.setting.value


@dataclass(slots=True)
class _Loader:
    """What is being put together; `problems` fills on the way."""

    environ: Mapping[str, str]
    flags: Mapping[str, str | None]
    ossutil: Source
    aliyun: Source
    problems: dict[str, str] = field(default_factory=dict)

    def credentials(self) -> dict[str, Setting]:
        """All from the first source with any: keys of two sources never match."""
        places = [*sources.environment_credentials(self.environ)]
        places += [self.ossutil, self.aliyun]
        pair = CREDENTIALS[:2]
        found = [p for p in places if any(name in p.settings for name in pair)]
        if not found:
            complaints = filter(None, (self.ossutil.complaint, self.aliyun.complaint))
            self._complain(complaints)
            return {name: Setting(secret=True) for name in CREDENTIALS}
        return {name: self.secret(name, found[0].get(name)) for name in CREDENTIALS}

    def _complain(self, complaints: Iterable[str]) -> None:
        if told := joined("; ", complaints):
            self.problems["access_key_id"] = say("no OSS access key: {told}", told=told)

    def api_key(self, source: Source) -> Setting:
        """The API key; a file that was named and has none is a problem."""
        if source.complaint:
            self.problems["api_key"] = say(
                "no API key: {complaint}", complaint=source.complaint
            )
        return self.secret("api_key", source.get("api_key"))

    def secret(self, name: str, setting: Setting) -> Setting:
        """A credential, emptied and named in the problems when it is malformed."""
        value = setting.value
        hide(value)
        problem = credential_problem(VARIABLES[name], value) if value else ""
        if problem:
            self.problems[name] = glued(problem, " [", setting.origin, "]")
        return Setting("" if problem else value, setting.origin, secret=True)

    def given(self, name: str) -> _Given:
        """What a flag, the environment or ossutil's file says, tidied and checked."""
        places = (
            Setting(self.flags[name] or "", say("flag {flags}", flags=_FLAGS[name])),
            sources.variable(self.environ, VARIABLES[name]),
            self.ossutil.get(name),
        )
        for rank, place in enumerate(places):
            if place.value:
                called = _FLAGS[name] if rank == 0 else VARIABLES[name]
                value = _TIDY[name](place.value)
                problem = _PROBLEM[name](called, value)
                if problem:
                    self.problems[name] = glued(problem, " [", place.origin, "]")
                return _Given(replace(place, value="" if problem else value), rank)
        return _Given()

    def place(self, base_url: _Given) -> tuple[Setting, Setting]:
        """(region, endpoint): the weightier one decides, the other follows it."""
        region, endpoint = self.given("region"), self.given("endpoint")
        named = endpoints.region_of_endpoint(endpoint.value)
        if region and named and named != region.value:
            if region.rank == endpoint.rank:
                self.problems["region"] = say(
                    "OSS_REGION is {value}, but OSS_ENDPOINT is of {named}",
                    value=region.value,
                    named=named,
                )
            elif region.rank < endpoint.rank:
                endpoint = _Given()
            else:
                region = _Given()
        settled = region.setting
        if not region and "region" not in self.problems:
            settled = _derived_region(named, base_url.value)
        if endpoint and not settled.value and "region" not in self.problems:
            kind = endpoints.read_endpoint(endpoint.value).kind.word
            self.problems["region"] = say(
                "{endpoint} names no region ({kind}): set {region} to that of the "
                "bucket",
                endpoint=VARIABLES["endpoint"],
                kind=kind,
                region=VARIABLES["region"],
            )
        return settled, self._endpoint(endpoint.setting, settled)

    def _endpoint(self, endpoint: Setting, region: Setting) -> Setting:
        if endpoint.value or "endpoint" in self.problems or not region.value:
            return endpoint
        origin = say("from the region, {origin}", origin=region.origin)
        return Setting(endpoints.public_endpoint(region.value), origin)

    def base_url(self, given: _Given, region: Setting) -> Setting:
        """The base URL given, else that of the region."""
        if given or "base_url" in self.problems or not region.value:
            return given.setting
        known = regions.find_region(region.value)
        if known is None:
            open_in = joined(say(" and "), [r.id for r in regions.import_regions()])
            self.problems["base_url"] = say(
                "no Model Studio is known in region {value}: set {base_url} (imports "
                "by API are open in {open_in})",
                value=region.value,
                base_url=VARIABLES["base_url"],
                open_in=open_in,
            )
            return Setting()
        return Setting(
            known.base_url, say("from the region, {origin}", origin=region.origin)
        )


def _derived_region(of_endpoint: str, base_url: str) -> Setting:
    """Never a default: it would send the keys to a region that nobody named."""
    if of_endpoint:
        return Setting(of_endpoint, say("from the endpoint"))
    # The bucket lies in the region of the service.
    if of_service := regions.region_of_base_url(base_url):
        return Setting(of_service, say("from the base URL"))
    return Setting()


def load_settings(
    environ: Mapping[str, str],
    *,
    home: Path | Unavailable,
    region: str | None = None,
    endpoint: str | None = None,
    base_url: str | None = None,
) -> Settings:
    """All settings, each with its origin; the keyword arguments are the flags.

    Raises nothing: what is missing or malformed is told by `Settings.require`.
    """
    loader = _Loader(
        environ,
        {"region": region, "endpoint": endpoint, "base_url": base_url},
        sources.ossutil_file(environ, home),
        sources.aliyun_file(home),
    )
    given_url = loader.given("base_url")
    settled_region, settled_endpoint = loader.place(given_url)
    keys = loader.credentials()
    settings = Settings(
        access_key_id=keys["access_key_id"],
        access_key_secret=keys["access_key_secret"],
        session_token=keys["session_token"],
        region=settled_region,
        endpoint=settled_endpoint,
        api_key=loader.api_key(sources.api_key(environ, home)),
        base_url=loader.base_url(given_url, settled_region),
        problems=loader.problems,
    )
    return _with_network(settings, environ)


def _with_network(settings: Settings, environ: Mapping[str, str]) -> Settings:
    """The settings with the way to each service, and what is wrong with it."""
    ways: dict[Need, str] = {}
    problems: dict[Need, str] = {}
    targets = {Need.OSS: settings.endpoint.value, Need.STUDIO: settings.base_url.value}
    for need, url in targets.items():
        if not url or is_loopback(url):
            continue
        proxy = proxy_for(url, environ)
        told = [tls_problem(environ)]
        if proxy is not None:
            hide(*proxy.secrets)
            told.append(proxy.problem)
            if not proxy.problem:
                ways[need] = say(
                    "{variable} is {shown}", variable=proxy.variable, shown=proxy.shown
                )
        if problem := joined("; ", filter(None, told)):
            problems[need] = problem
    return replace(settings, ways=ways, network_problems=problems)
