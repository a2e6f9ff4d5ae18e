"""Temporary OSS keys that must be fetched: a machine's role, the vendor's own chain.

Never by default: asking the metadata service on a machine that has none costs seconds,
and on one that has it may pick up a role that nobody meant. `Settings` with keys of
their own are left alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from preflight.errors import ConfigurationError
from preflight.findings import Unavailable
from preflight.hidden import hide
from preflight.language import say
from preflight.settings import sources
from preflight.settings.setting import Setting, Settings

if TYPE_CHECKING:
    import requests

# The names and the address are those of the vendor's SDKs.
ROLE_VARIABLE = "ALIBABA_CLOUD_ECS_METADATA"
_DISABLED = "ALIBABA_CLOUD_ECS_METADATA_DISABLED"
CHAIN_VARIABLE = "PREFLIGHT_CREDENTIALS"  # "chain" takes the vendor's package
METADATA_HOST = "http://100.100.100.200"
_TIMEOUT = (1.0, 3.0)  # seconds to connect, seconds to answer; it is link-local
_TOKEN_SECONDS = "300"


def with_role_keys(
    settings: Settings,
    environ: Mapping[str, str],
    *,
    home: Path | Unavailable,
    host: str = METADATA_HOST,
) -> Settings:
    """The settings, their lacking OSS keys fetched from where the user asked.

    Raises `ConfigurationError` when that place has none to give.
    """
    if settings.access_key_id.value or settings.access_key_secret.value:
        return settings
    if environ.get(CHAIN_VARIABLE, "").lower() == "chain":
        return _with_keys(settings, _chain_keys(), f"{CHAIN_VARIABLE}=chain")
    role = environ.get(ROLE_VARIABLE, "") or sources.aliyun_file(home).role
    if not role or environ.get(_DISABLED, "").lower() == "true":
        return settings
    return _with_keys(
        settings, _machine_keys(role, host), say("role {role} of this ECS", role=role)
    )


def _with_keys(settings: Settings, keys: tuple[str, ...], origin: str) -> Settings:
    hide(*keys)
    key_id, secret, token = (Setting(key, origin, secret=True) for key in keys)
    problems = {k: v for k, v in settings.problems.items() if k != "access_key_id"}
    return replace(
        settings,
        access_key_id=key_id,
        access_key_secret=secret,
        session_token=token,
        problems=problems,
    )


def _machine_keys(role: str, host: str) -> tuple[str, ...]:
    import requests

    url = f"{host}/latest/meta-data/ram/security-credentials/{role}"
    hint = say(
        "check the role's name in {role_variable}, and that this is an ECS instance",
        role_variable=ROLE_VARIABLE,
    )
    try:
        with requests.Session() as session:
            session.trust_env = False  # a proxy must not see these keys
            answer = session.get(url, headers=_token(session, host), timeout=_TIMEOUT)
        form = json.loads(answer.content) if answer.status_code == 200 else {}
    except (requests.RequestException, ValueError) as error:
        raise ConfigurationError(
            say(
                "no keys of role {role}: the metadata service gives no answer ({name})",
                role=role,
                name=type(error).__name__,
            ),
            hint=hint,
        ) from None
    names = ("AccessKeyId", "AccessKeySecret", "SecurityToken")
    return _checked(
        form,
        names,
        say(
            "role {role}: HTTP {status_code}", role=role, status_code=answer.status_code
        ),
        hint,
    )


def _token(session: requests.Session, host: str) -> dict[str, str]:
    """The header that the hardened mode asks for; nothing where it is not known."""
    ask = {"X-aliyun-ecs-metadata-token-ttl-seconds": _TOKEN_SECONDS}
    answer = session.put(f"{host}/latest/api/token", headers=ask, timeout=_TIMEOUT)
    if answer.status_code != 200:
        return {}
    return {"X-aliyun-ecs-metadata-token": answer.text.strip()}


def _checked(
    form: object, names: tuple[str, ...], where: str, hint: str
) -> tuple[str, ...]:
    given = form if isinstance(form, dict) else {}
    keys = tuple(str(given.get(name) or "") for name in names)
    if not keys[0] or not keys[1]:
        raise ConfigurationError(say("no keys of {where}", where=where), hint=hint)
    return keys


def _chain_keys() -> tuple[str, ...]:
    try:
        from alibabacloud_credentials.client import Client
    except ImportError as exc:
        raise ConfigurationError(
            say(
                "{chain_variable}=chain needs a package that is not installed: "
                "alibabacloud-credentials",
                chain_variable=CHAIN_VARIABLE,
            ),
            hint=say("pip install 'modelstudio-preflight[credentials]'"),
        ) from exc
    try:
        found = Client().get_credential()
    except Exception as exc:  # noqa: BLE001 - it documents none
        # Its own text may quote what it read.
        raise ConfigurationError(
            say(
                "the vendor's credentials chain found no keys ({name})",
                name=type(exc).__name__,
            ),
            hint=say("see the documentation of alibabacloud-credentials"),
        ) from None
    form = {
        "id": found.access_key_id,
        "secret": found.access_key_secret,
        "token": found.security_token,
    }
    return _checked(form, ("id", "secret", "token"), say("the vendor's chain"), "")
