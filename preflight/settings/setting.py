"""The settings as values: where each is from, how it may be shown, what is lacking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from preflight.catalog import regions
from preflight.errors import ConfigurationError
from preflight.language import joined, say
from preflight.settings.credentials import mask

# Each field of `Settings` and the variable that sets it.
VARIABLES = {
    "access_key_id": "OSS_ACCESS_KEY_ID",
    "access_key_secret": "OSS_ACCESS_KEY_SECRET",
    "session_token": "OSS_SESSION_TOKEN",
    "region": "OSS_REGION",
    "endpoint": "OSS_ENDPOINT",
    "api_key": "DASHSCOPE_API_KEY",
    "base_url": "DASHSCOPE_HTTP_BASE_URL",
}
_OPTIONAL = "session_token"
_FOLLOWING = ("endpoint", "base_url")
_NETWORK_HINT = say(
    "set it again, or unset it; NO_PROXY names hosts that need no proxy"
)


class Need(str, Enum):
    """What a command talks to."""

    OSS = "oss"
    STUDIO = "studio"


_FIELDS = {
    Need.OSS: (
        "access_key_id",
        "access_key_secret",
        "session_token",
        "region",
        "endpoint",
    ),
    Need.STUDIO: ("api_key", "base_url"),
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it came from; its repr and str never show a secret."""

    value: str = ""
    origin: str = say("not set")
    secret: bool = False

    @property
    def shown(self) -> str:
        """The value as it may be printed: a secret by its public prefix and length."""
        return mask(self.value) if self.secret else self.value

    def __repr__(self) -> str:
        return f"Setting({self.shown!r}, {self.origin!r})"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of what `-v` and `doctor` show; `problem` is "" when all is well."""

    name: str
    shown: str
    origin: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a run; a malformed one is empty and named in `problems`.

    `problems` maps a field's name to a sentence that holds no secret; `ways` a need to
    the way there, and `network_problems` to what keeps every request from leaving.
    """

    access_key_id: Setting
    access_key_secret: Setting
    session_token: Setting
    region: Setting
    endpoint: Setting
    api_key: Setting
    base_url: Setting
    problems: Mapping[str, str]
    ways: Mapping[Need, str] = field(default_factory=dict)
    network_problems: Mapping[Need, str] = field(default_factory=dict)

    @property
    def studio_region(self) -> str:
        """The region id behind the base URL, or "" where it is unknown."""
        return regions.region_of_base_url(self.base_url.value)

    def secrets(self) -> tuple[str, ...]:
        """The values that no message may contain."""
        # People swap id and secret, so both count.
        fields = ("access_key_id", "access_key_secret", "session_token", "api_key")
        kept = map(self._setting, fields)
        return tuple(setting.value for setting in kept if setting.value)

    def describe(self) -> list[SettingRow]:
        """A row for each setting, in the order in which they are documented."""
        return [
            SettingRow(name, found.shown, found.origin, self.problems.get(field, ""))
            for field, name in VARIABLES.items()
            for found in (self._setting(field),)
        ]

    def require(self, *needs: Need) -> None:
        """Check what a command needs.

        Raises `ConfigurationError` that names all missing and malformed settings.
        """
        fields = [field for need in needs for field in _FIELDS[need]]
        lacking = [field for field in fields if self._is_missing(field)]
        if not self.region.value and {"endpoint", "base_url"} & set(lacking):
            # Both follow from the region; so does what is wrong with them.
            fields = list(dict.fromkeys((*fields, "region")))
            lacking = [f for f in (*lacking, "region") if f not in _FOLLOWING]
            lacking = [f for f in dict.fromkeys(lacking) if f not in self.problems]
        wrong = [self.problems[field] for field in fields if field in self.problems]
        missing = [VARIABLES[field] for field in VARIABLES if field in lacking]
        if missing:
            wrong.append(say("not set: {missing}", missing=", ".join(missing)))
        hint = _hint(missing) if wrong else _NETWORK_HINT
        network = (self.network_problems.get(need, "") for need in needs)
        wrong += dict.fromkeys(filter(None, network))
        if wrong:
            raise ConfigurationError(joined("; ", wrong), hint=hint)

    def _setting(self, field: str) -> Setting:
        setting: Setting = getattr(self, field)
        return setting

    def _is_missing(self, field: str) -> bool:
        named = field == _OPTIONAL or field in self.problems
        return not named and not self._setting(field).value


def _hint(missing: list[str]) -> str:
    exports = " ".join(f"{name}=…" for name in missing)
    how = f"export {exports}" if missing else say("set it again")
    if any(name.startswith("OSS_ACCESS") for name in missing):
        how = say("{how}, or run `ossutil config` or `aliyun configure` once", how=how)
    return say("{how}; --sandbox needs none of them", how=how)
