"""Settings: flag over environment over credentials file over default, with origins.

Secrets come from the environment or the usual credential files only, never from a
flag. Loading never raises: `Settings.require` names all that one command lacks.
"""

from preflight.hidden import hide, masked
from preflight.settings.credentials import mask
from preflight.settings.load import load_settings
from preflight.settings.role import with_role_keys
from preflight.settings.setting import Need, Setting, SettingRow, Settings

__all__ = [
    "Need",
    "Setting",
    "SettingRow",
    "Settings",
    "hide",
    "load_settings",
    "mask",
    "masked",
    "with_role_keys",
]
