"""Where settings are read from: the environment, ossutil's file, the CLI's file."""

from __future__ import annotations

import configparser
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from preflight.findings import Unavailable
from preflight.language import say
from preflight.regular import read_regular
from preflight.settings.addresses import upgrade_endpoint
from preflight.settings.setting import Setting
from preflight.system_errors import reason_of

API_KEY_FILE = "DASHSCOPE_API_KEY_FILE_PATH"
_MAX_FILE = 1 << 20  # bytes; a credentials file has a few hundred
CREDENTIALS = ("access_key_id", "access_key_secret", "session_token")
# The names that oss2 reads, then those of the vendor's general credentials chain.
_VARIABLES = (
    ("OSS_ACCESS_KEY_ID", "OSS_ACCESS_KEY_SECRET", "OSS_SESSION_TOKEN"),
    (
        "ALIBABA_CLOUD_ACCESS_KEY_ID",
        "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
        "ALIBABA_CLOUD_SECURITY_TOKEN",
    ),
)
# The spellings that ossutil accepts, in lower case without underscores.
_OSSUTIL_NAMES = {
    "access_key_id": ("accesskeyid", "accessid"),
    "access_key_secret": ("accesskeysecret", "accesskey"),
    "session_token": ("ststoken",),
    "endpoint": ("endpoint", "host"),
    "region": ("region",),
}


@dataclass(frozen=True, slots=True)
class Source:
    """What one place holds, and why it holds nothing where that is a surprise."""

    settings: Mapping[str, Setting] = field(default_factory=dict)
    complaint: str = ""
    role: str = ""  # the machine's role that the place names instead of keys

    def get(self, name: str) -> Setting:
        """The setting of this name; empty when the place lacks it."""
        return self.settings.get(name, Setting())


def variable(environ: Mapping[str, str], name: str) -> Setting:
    """One environment variable; an empty one counts as unset."""
    value = environ.get(name, "")
    return (
        Setting(value, say("environment ({name})", name=name)) if value else Setting()
    )


def environment_credentials(environ: Mapping[str, str]) -> list[Source]:
    """The credentials of each set of variables, the preferred set first."""
    return [
        Source(
            {
                credential: variable(environ, name)
                for credential, name in zip(CREDENTIALS, names, strict=True)
                if environ.get(name)
            }
        )
        for names in _VARIABLES
    ]


def _read_text(path: Path) -> str:
    return read_regular(path, _MAX_FILE).decode("utf-8-sig", "replace")


def _ossutil_options(path: Path) -> dict[str, str]:
    """The options of `[Credentials]` (ossutil 1) or `[default]` (ossutil 2)."""
    parser = configparser.RawConfigParser(strict=False)
    parser.read_string(_read_text(path))
    section = next((s for s in ("Credentials", "default") if s in parser), None)
    options = parser[section].items() if section else ()
    return {name.replace("_", ""): value for name, value in options}


Home = Path | Unavailable


def _in_home(home: Home, named: str, usual: str) -> Home:
    """The file that was named, where `~` is the home, else its usual place there."""
    if named and not named.startswith("~/"):
        return Path(named)
    below = named[2:] if named else usual
    return home if isinstance(home, Unavailable) else home / below


def _no_home(home: Unavailable, named: str) -> Source:
    # That the usual file cannot be looked for surprises nobody who has no home.
    return Source(
        complaint=say("no {named}: {reason}", named=named, reason=home.reason)
        if named
        else ""
    )


def ossutil_file(environ: Mapping[str, str], home: Home) -> Source:
    """ossutil's configuration: `$OSS_CONFIG_FILE` or `~/.ossutilconfig`."""
    named = environ.get("OSS_CONFIG_FILE", "")
    path = _in_home(home, named, ".ossutilconfig")
    if isinstance(path, Unavailable):
        return _no_home(path, named)
    try:
        options = _ossutil_options(path)
    except FileNotFoundError:
        return Source(
            complaint=say("there is no file {path}", path=path) if named else ""
        )
    except OSError as error:
        return Source(
            complaint=say(
                "{path} cannot be read: {strerror}",
                path=path,
                strerror=reason_of(error),
            )
        )
    except configparser.Error:
        # Its own message quotes the line, which may hold the secret.
        return Source(
            complaint=say(
                "{path} is not in the form of ossutil's configuration", path=path
            )
        )
    found = {
        name: Setting(options[spelling], str(path))
        for name, spellings in _OSSUTIL_NAMES.items()
        for spelling in spellings
        if options.get(spelling)
    }
    if "endpoint" in found:
        found["endpoint"] = Setting(
            upgrade_endpoint(found["endpoint"].value), str(path)
        )
    return Source(found)


def _current_profile(path: Path) -> dict[str, Any]:
    root = json.loads(_read_text(path))
    profiles = {profile["name"]: dict(profile) for profile in root["profiles"]}
    profile: dict[str, Any] = profiles[root["current"]]
    return profile


def aliyun_file(home: Home) -> Source:
    """The current profile of the vendor's CLI, if it holds keys.

    Its region is that of the CLI's other services, so it is not taken over.
    """
    path = _in_home(home, "", ".aliyun/config.json")
    if isinstance(path, Unavailable):
        return Source()
    try:
        profile = _current_profile(path)
        mode = profile["mode"]
    except FileNotFoundError:
        return Source()
    except OSError as error:
        return Source(
            complaint=say(
                "{path} cannot be read: {strerror}",
                path=path,
                strerror=reason_of(error),
            )
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return Source(complaint=say("{path} names no usable profile", path=path))
    where = say("{path}, profile {name}", path=path, name=profile["name"])
    if mode not in ("AK", "StsToken"):
        complaint = say(
            "{where} holds no keys of its own (mode {mode})", where=where, mode=mode
        )
        named = profile.get("ram_role_name") if mode == "EcsRamRole" else ""
        return Source(complaint=complaint, role=str(named or ""))
    names = ("access_key_id", "access_key_secret", "sts_token")
    values = [str(profile.get(name) or "") for name in names]
    pairs = zip(CREDENTIALS, values, strict=True)
    return Source({name: Setting(value, where) for name, value in pairs if value})


def api_key(environ: Mapping[str, str], home: Home) -> Source:
    """The API key: its variable, else the file that the vendor's SDK reads."""
    if environ.get("DASHSCOPE_API_KEY"):
        return Source({"api_key": variable(environ, "DASHSCOPE_API_KEY")})
    named = environ.get(API_KEY_FILE, "")
    path = _in_home(home, named, ".dashscope/api_key")
    if isinstance(path, Unavailable):
        return _no_home(path, named)
    try:
        # An editor leaves a newline at the end; the SDK strips it, too.
        text = _read_text(path).strip()
    except FileNotFoundError:
        return Source(
            complaint=say("there is no file {path}", path=path) if named else ""
        )
    except OSError as error:
        return Source(
            complaint=say(
                "{path} cannot be read: {strerror}",
                path=path,
                strerror=reason_of(error),
            )
        )
    return Source({"api_key": Setting(text, str(path))}) if text else Source()
