from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from preflight.sandbox.oss.state import OssState
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import REGION


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssState]:
    state = OssState(directory=tmp_path, region=REGION)
    state.create_bucket(models.BUCKET, tags=models.TAGS)
    yield state
    state.close()
