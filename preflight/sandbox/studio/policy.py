"""What a test may switch: the documentation's open points and the account's state."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FILES_MISSING = "AvailableModelFileNotFound"


class Language(str, Enum):
    """In which language a failed job names its cause; the service uses both."""

    ENGLISH = "en"
    CHINESE = "zh"


# Model Studio user guide and API pages on model import, error_code of failed jobs.
_FETCH_FAILED = {
    Language.ENGLISH: "Failed to get files from OSS. Check the files in OSS.",
    Language.CHINESE: "OSS获取文件失败，请检查OSS内文件",  # noqa: RUF001
}


@dataclass(slots=True)
class Policy:
    """Switches that may be flipped at any time, also between two requests.

    `job_seconds`: from the create call to the end of the job; a quarter of it is
    spent waiting. `service_role`: whether the account made the service-linked role.
    `require_base_config`: the newest reading wants `config.json` beside an adapter.
    `success_spelling`: one page writes SUCCEEDED where the service says SUCCESSED.
    `deployment_seconds`: how long a deployment takes to run; `base_capacity`: the
    units that one needs at least, and in multiples of which it is sold.
    """

    job_seconds: float = 0.0
    service_role: bool = True
    require_base_config: bool = False
    success_spelling: str = "SUCCESSED"
    language: Language = Language.ENGLISH
    deployment_seconds: float = 0.0
    base_capacity: int = 1

    @property
    def fetch_failed(self) -> str:
        """What `error_code` says when the platform cannot get at the objects."""
        return _FETCH_FAILED[self.language]
