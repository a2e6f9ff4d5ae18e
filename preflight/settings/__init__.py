"""Settings: flag over environment over credentials file over default, with origins.

Secrets come from the environment or the usual credential files only, never from a
flag. Loading never raises: `Settings.require` names all that one command lacks.
"""

from preflight.settings.addresses import is_loopback
from preflight.settings.credentials import mask
from preflight.settings.load import load_settings
from preflight.settings.role import with_role_keys
from preflight.settings.setting import Need, Setting, SettingRow, Settings

__all__ = [
    "Need",
    "Setting",
    "SettingRow",
    "Settings",
    "is_loopback",
    "load_settings",
    "mask",
    "with_role_keys",
]
