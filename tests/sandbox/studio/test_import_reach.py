"""What keeps the platform from the objects: tag, role, class, region, prefix."""

from __future__ import annotations

import pytest

from preflight.sandbox.oss.records import Attributes
from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.jobs import Status
from preflight.sandbox.studio.policy import Language
from tests.sandbox.studio import models
from tests.sandbox.studio.judge import (
    studio_on,
)
from tests.sandbox.studio.models import tiny


@pytest.mark.parametrize("language", list(Language))
def test_without_the_tag_nothing_can_be_fetched(
    oss: OssState, language: Language
) -> None:
    models.put(oss, models.lora(tiny()))
    oss.set_tags(models.BUCKET, {"bailian-datahub-access": "write"})
    studio = studio_on(oss)
    studio.policy.language = language
    job = models.run(studio, models.request())
    sentence = {
        Language.ENGLISH: "Failed to get files",
        Language.CHINESE: "获取文件失败",
    }
    assert sentence[language] in job.error_code
    assert "lacks the tag" in studio.reasons[job.id]


@pytest.mark.parametrize("storage_class", ["Archive", "ColdArchive", "DeepColdArchive"])
def test_archived_objects_cannot_be_fetched(oss: OssState, storage_class: str) -> None:
    models.put(oss, models.lora(tiny()))
    key = models.PREFIX + "adapter_config.json"
    oss.put(models.BUCKET, key, [b"{}"], attributes=Attributes(storage_class))
    studio = studio_on(oss)
    job = models.run(studio, models.request())
    assert job.error_code.startswith("Failed to get files from OSS")
    assert storage_class in studio.reasons[job.id]


@pytest.mark.parametrize("storage_class", ["Standard", "IA"])
def test_other_classes_are_fine(oss: OssState, storage_class: str) -> None:
    oss.create_bucket("warm", tags=models.TAGS, storage_class=storage_class)
    for name, content in models.lora(tiny()).items():
        oss.put("warm", f"a/{name}", [content])
    wanted = models.request(bucket="warm", prefix="a/")
    assert models.run(studio_on(oss), wanted).status is Status.SUCCEEDED


@pytest.mark.parametrize(
    ("bucket", "word"),
    [
        ("nobody-has-this", "NoSuchBucket"),
        ("frozen", "Archive"),
        ("abroad", "cn-beijing"),
        (models.BUCKET, "no file directly under"),
    ],
)
def test_a_bucket_out_of_reach(oss: OssState, bucket: str, word: str) -> None:
    oss.create_bucket("frozen", tags=models.TAGS, storage_class="Archive")
    standard = Attributes("Standard")
    oss.put("frozen", models.PREFIX + "a", [b"a"], attributes=standard)
    oss.create_bucket("abroad", tags=models.TAGS, region="cn-beijing")
    oss.put("abroad", models.PREFIX + "a", [b"a"])
    oss.put(models.BUCKET, models.PREFIX, [b""])  # what a console calls a folder
    studio = studio_on(oss)
    job = models.run(studio, models.request(bucket=bucket))
    assert job.error_code.startswith("Failed to get files from OSS")
    assert word in studio.reasons[job.id]


def test_without_the_service_role_nothing_can_be_fetched(oss: OssState) -> None:
    models.put(oss, models.lora(tiny()))
    studio = studio_on(oss)
    studio.policy.service_role = False
    job = models.run(studio, models.request())
    assert job.error_code.startswith("Failed to get files from OSS")
    assert "role" in studio.reasons[job.id]
