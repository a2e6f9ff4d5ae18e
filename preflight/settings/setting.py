"""The settings as values: where each is from, how it may be shown, what is lacking."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

from preflight.catalog import regions
from preflight.errors import ConfigurationError

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


def mask(secret: str) -> str:
    """A secret as it may be shown: `LTAI…(24 chars)`; "" stays ""."""
    if not secret:
        return ""
    public = next((p for p in ("LTAI", "STS.", "sk-") if secret.startswith(p)), "")
    return f"{public}…({len(secret)} chars)"


def is_loopback(url: str) -> bool:
    """Whether a URL's host is this machine, so that plain http is no leak."""
    try:
        host = urlsplit(url).hostname or ""
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass(frozen=True, slots=True)
class Setting:
    """One value and where it came from; its repr and str never show a secret."""

    value: str = ""
    origin: str = "not set"
    secret: bool = False

    @property
    def shown(self) -> str:
        """The value as it may be printed: a secret by its public prefix and length."""
        return mask(self.value) if self.secret else self.value

    def __repr__(self) -> str:
        return f"Setting({self.shown!r}, {self.origin!r})"


@dataclass(frozen=True, slots=True)
class SettingRow:
    """One line of what `-v` and `doctor` show; `fault` is "" when all is well."""

    name: str
    shown: str
    origin: str
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings of a run; a malformed one is empty and named in `faults`.

    `faults` maps a field's name to a sentence that holds no secret.
    """

    access_key_id: Setting
    access_key_secret: Setting
    session_token: Setting
    region: Setting
    endpoint: Setting
    api_key: Setting
    base_url: Setting
    faults: Mapping[str, str]

    @property
    def studio_region(self) -> str:
        """The region id behind the base URL, or "" where it is unknown."""
        return regions.region_of_base_url(self.base_url.value)

    def secrets(self) -> tuple[str, ...]:
        """The values that no message may contain."""
        kept = (self.access_key_secret, self.session_token, self.api_key)
        return tuple(setting.value for setting in kept if setting.value)

    def describe(self) -> list[SettingRow]:
        """A row for each setting, in the order in which they are documented."""
        return [
            SettingRow(name, found.shown, found.origin, self.faults.get(field, ""))
            for field, name in VARIABLES.items()
            for found in (self._setting(field),)
        ]

    def require(self, *needs: Need) -> None:
        """Check what a command needs.

        Raises `ConfigurationError` that names all missing and malformed settings.
        """
        fields = [field for need in needs for field in _FIELDS[need]]
        wrong = [self.faults[field] for field in fields if field in self.faults]
        missing = [VARIABLES[field] for field in fields if self._is_missing(field)]
        if missing:
            wrong.append(f"not set: {', '.join(missing)}")
        if wrong:
            raise ConfigurationError("; ".join(wrong), hint=_hint(missing))

    def _setting(self, field: str) -> Setting:
        setting: Setting = getattr(self, field)
        return setting

    def _is_missing(self, field: str) -> bool:
        named = field == _OPTIONAL or field in self.faults
        return not named and not self._setting(field).value


def _hint(missing: list[str]) -> str:
    exports = " ".join(f"{name}=…" for name in missing)
    how = f"export {exports}" if missing else "set it again"
    if any(name.startswith("OSS_ACCESS") for name in missing):
        how += ", or run `ossutil config` or `aliyun configure` once"
    return f"{how}; --sandbox needs none of them"
