"""No test sees this machine's settings: keys, proxies, caches, directories."""

from __future__ import annotations

import os

# Imported, not listed in pytest_plugins: once the package is installed its entry point
# registers the same module, and pytest refuses to register one twice.
from preflight.sandbox.plugin import sandbox

__all__ = ["sandbox"]

_SETTINGS = ("OSS_", "DASHSCOPE_", "ALIBABA_CLOUD_", "PREFLIGHT_", "HF_", "XDG_")
_MORE = {"MODELSCOPE_CACHE", "NETRC", "NO_COLOR", "COLUMNS", "PYTHONIOENCODING"}
# What chooses tests, not how preflight behaves.
_KEPT = {"PREFLIGHT_LARGE", "PREFLIGHT_KILLS", "PREFLIGHT_OSS_V2_PYTHON"}


def _is_setting(name: str) -> bool:
    ours = name.startswith(_SETTINGS) or name in _MORE
    return name not in _KEPT and (ours or name.lower().endswith("_proxy"))


if not os.environ.get("PREFLIGHT_LIVE"):  # those that ask the real services need them
    for _name in filter(_is_setting, list(os.environ)):
        del os.environ[_name]
