"""Planted settings, and files as the vendor's tools write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from preflight.errors import ConfigurationError
from preflight.settings import Need, Settings

ID = "LTAI5tPlantedKeyId012345"
SECRET = "planted-secret-0123456789abcde"
TOKEN = "CAISplantedtoken0123456789"
API_KEY = "sk-planted0123456789abcdef"
KEYS = {
    "OSS_ACCESS_KEY_ID": ID,
    "OSS_ACCESS_KEY_SECRET": SECRET,
    "DASHSCOPE_API_KEY": API_KEY,
}
PLACED = {**KEYS, "OSS_REGION": "ap-southeast-1"}


def ossutil(home: Path, *lines: str, section: str = "Credentials") -> Path:
    """`~/.ossutilconfig` with these lines."""
    path = home / ".ossutilconfig"
    path.write_text("\n".join([f"[{section}]", *lines]) + "\n")
    return path


def aliyun(home: Path, **profile: object) -> Path:
    """The CLI's file, whose current profile is this one."""
    path = home / ".aliyun" / "config.json"
    path.parent.mkdir()
    other = {"name": "other", "mode": "AK", "access_key_id": "LTAIother"}
    profiles = [other, {"name": "mine", **profile}]
    path.write_text(json.dumps({"current": "mine", "profiles": profiles}))
    return path


def refused(settings: Settings, *needs: Need) -> ConfigurationError:
    """What `require` raises for these needs, by default for all."""
    with pytest.raises(ConfigurationError) as caught:
        settings.require(*(needs or (Need.OSS, Need.STUDIO)))
    assert caught.value.exit_code == 2
    return caught.value
