"""An import of given files, and what came of it."""

from __future__ import annotations

from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.importable import BaseModel
from preflight.sandbox.studio.jobs import Job, Status, WeightType
from preflight.sandbox.studio.state import StudioState
from tests.sandbox.studio import models
from tests.sandbox.studio.models import Files, tensors, tiny

REGION = "ap-southeast-1"


def studio_on(oss: OssState, base: BaseModel | None = None) -> StudioState:
    return StudioState(oss, region=REGION, bases=[base or tiny()])


def imported(
    oss: OssState,
    files: Files,
    weight_type: WeightType = WeightType.LORA,
    base: BaseModel | None = None,
) -> tuple[Job, str]:
    """The job at its end, and why it failed.

    Nothing but the files lies under the prefix then, unless there are none.
    """
    for left in oss.objects(models.BUCKET, models.PREFIX) if files else ():
        oss.delete(models.BUCKET, left.key)
    studio = studio_on(oss, base)
    models.put(oss, files)
    job = models.run(studio, models.request(weight_type))
    assert job.status.is_final
    return job, studio.reasons.get(job.id, "")


def assert_refused(result: tuple[Job, str], *words: str) -> None:
    job, reason = result
    assert job.status is Status.FAILED
    assert job.error_code == "AvailableModelFileNotFound"
    for word in words:
        assert word in reason


def with_tensors(shapes: dict[str, tuple[int, ...]], dtype: str = "float32") -> Files:
    return models.lora(tiny()) | {"adapter_model.safetensors": tensors(shapes, dtype)}
