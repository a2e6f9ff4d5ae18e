"""Time, the watch on the source objects, and what outlives the process."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from preflight.sandbox.database import Database
from preflight.sandbox.oss.state import OssState
from preflight.sandbox.studio.bodies import ListRequest
from preflight.sandbox.studio.errors import StudioError
from preflight.sandbox.studio.jobs import Job, Status
from preflight.sandbox.studio.policy import Policy
from preflight.sandbox.studio.state import StudioState
from tests.sandbox.studio import models

REGION = "ap-southeast-1"


class Clock:
    """Time that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 1_704_110_400.5  # 2024-01-01 12:00:00.500 UTC

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def oss(tmp_path: Path) -> Iterator[OssState]:
    state = OssState(directory=tmp_path / "oss", region=REGION)
    state.create_bucket(models.BUCKET, tags=models.TAGS)
    models.put(state, models.lora(models.tiny()))
    yield state
    state.close()


def studio_on(
    oss: OssState, *, seconds: float = 0.0, database: Database | None = None
) -> tuple[StudioState, Clock]:
    clock = Clock()
    studio = StudioState(
        oss,
        region=REGION,
        bases=[models.tiny()],
        policy=Policy(job_seconds=seconds),
        clock=clock,
        database=database,
    )
    return studio, clock


def test_names_and_times_come_from_the_clock(oss: OssState) -> None:
    studio, _ = studio_on(oss)
    shown = studio.create(models.request()).output("SUCCESSED")
    assert shown["gmt_create"] == "2024-01-01T12:00:00.500+00:00"
    assert shown["model_name"].startswith("tiny-offline-20240101-")


def test_a_job_takes_its_time(oss: OssState) -> None:
    studio, clock = studio_on(oss, seconds=40)
    job = studio.create(models.request())
    seen = []
    for moment in (0, 9, 10, 39, 40):
        clock.now = job.created + moment
        seen.append(studio.get(job.id).status.value)
    assert seen == ["PENDING", "PENDING", "RUNNING", "RUNNING", "SUCCESSED"]


def test_no_state_is_skipped_for_a_late_poller(oss: OssState) -> None:
    studio, clock = studio_on(oss, seconds=40)
    job = studio.create(models.request())
    clock.now += 3600
    seen = [studio.get(job.id).status.value for _ in range(3)]
    assert seen == ["PENDING", "RUNNING", "SUCCESSED"]


def test_looking_from_inside_does_not_count(oss: OssState) -> None:
    studio, _ = studio_on(oss)
    studio.create(models.request())
    for _ in range(3):
        assert [job.status for job in studio.jobs()] == [Status.PENDING]


def test_listing_shows_each_state_too(oss: OssState) -> None:
    studio, _ = studio_on(oss)
    studio.create(models.request())
    seen = [studio.page(ListRequest())[1][0].status.value for _ in range(3)]
    assert seen == ["PENDING", "RUNNING", "SUCCESSED"]


def imported(oss: OssState) -> tuple[StudioState, Job]:
    studio, _ = studio_on(oss)
    job = models.run(studio, models.request())
    assert studio.model_is_valid(job.id)
    return studio, job


@pytest.mark.parametrize("name", ["adapter_config.json", "README.md", "more/deep.txt"])
def test_a_put_under_the_prefix_invalidates_the_model(oss: OssState, name: str) -> None:
    studio, job = imported(oss)
    oss.put(models.BUCKET, models.PREFIX + name, [b"{}"])
    assert not studio.model_is_valid(job.id)
    assert studio.invalidated == {job.id}
    assert studio.get(job.id).status is Status.SUCCEEDED


def test_the_same_bytes_again_invalidate_too(oss: OssState) -> None:
    studio, job = imported(oss)
    models.put(oss, models.lora(models.tiny()))
    assert not studio.model_is_valid(job.id)


def test_a_delete_under_the_prefix_invalidates_the_model(oss: OssState) -> None:
    studio, job = imported(oss)
    oss.delete(models.BUCKET, models.PREFIX + "adapter_config.json")
    assert not studio.model_is_valid(job.id)


def test_a_completed_upload_invalidates_and_its_parts_do_not(oss: OssState) -> None:
    studio, job = imported(oss)
    key = models.PREFIX + "adapter_model.safetensors"
    upload = oss.initiate(models.BUCKET, key)
    part = oss.put_part(models.BUCKET, key, upload.id, 1, [b"part"])
    assert studio.model_is_valid(job.id)
    oss.complete(models.BUCKET, key, upload.id, [(1, part.etag)])
    assert not studio.model_is_valid(job.id)


def test_a_deleted_job_is_forgotten_whole(oss: OssState) -> None:
    studio, job = imported(oss)
    oss.put(models.BUCKET, models.PREFIX + "README.md", [b"x"])
    studio.delete(job.id)
    assert (studio.invalidated, studio.jobs()) == (set(), ())


def test_other_places_do_not_matter(oss: OssState) -> None:
    studio, job = imported(oss)
    oss.create_bucket("elsewhere")
    oss.put(models.BUCKET, "runs/one.txt", [b"x"])
    oss.put(models.BUCKET, "runs/two/adapter_config.json", [b"x"])
    oss.put("elsewhere", models.PREFIX + "adapter_config.json", [b"x"])
    assert studio.model_is_valid(job.id)


def test_changes_before_the_end_are_what_is_imported(oss: OssState) -> None:
    studio, _ = studio_on(oss)
    job = studio.create(models.request())
    studio.get(job.id)
    models.put(oss, models.lora(models.tiny(), 16))
    studio.get(job.id)
    models.put(oss, models.lora(models.tiny(), 32))
    assert studio.get(job.id).status is Status.SUCCEEDED
    assert studio.model_is_valid(job.id)


def test_a_model_that_was_never_imported_is_not_valid(oss: OssState) -> None:
    studio, _ = studio_on(oss)
    job = studio.create(models.request(prefix="nothing/"))
    assert not studio.model_is_valid(job.id)
    for _ in range(3):
        job = studio.get(job.id)
    assert job.status is Status.FAILED
    assert not studio.model_is_valid(job.id)
    with pytest.raises(KeyError):
        studio.model_is_valid("no-such-job")


def test_everything_outlives_the_process(oss: OssState, tmp_path: Path) -> None:
    database = Database(tmp_path / "kept")
    studio, _ = studio_on(oss, database=database)
    good = models.run(studio, models.request())
    other = models.run(studio, models.request())
    bad = models.run(studio, models.request(prefix="nothing/"))
    waiting = studio.create(models.request())
    studio.delete(other.id)
    oss.put(models.BUCKET, models.PREFIX + "README.md", [b"x"])

    database.close()
    database = Database(tmp_path / "kept")
    later, _ = studio_on(oss, database=database)
    assert later.jobs() == studio.jobs()
    assert [job.id for job in later.jobs()] == [good.id, bad.id, waiting.id]
    assert later.changed_files == {good.id: ("README.md",)}
    assert later.reasons == studio.reasons
    assert set(later.reasons) == {bad.id}
    seen = [later.get(waiting.id).status.value for _ in range(3)]
    assert seen == ["PENDING", "RUNNING", "SUCCESSED"]
    database.close()


def test_a_base_model_that_is_gone_fails_the_job(oss: OssState) -> None:
    studio, _ = studio_on(oss)
    job = studio.create(models.request())
    del studio.bases["tiny"]
    assert [studio.get(job.id).status for _ in range(3)][-1] is Status.FAILED
    assert studio.reasons[job.id] == "tiny is no base model here"


def test_an_unknown_job_is_not_found(oss: OssState) -> None:
    studio, _ = studio_on(oss)
    with pytest.raises(StudioError, match="NotFound"):
        studio.get("no-such-job")


def test_many_pollers_and_writers_at_once(oss: OssState, tmp_path: Path) -> None:
    """Nobody waits for ever, no state is lost, and the last put is noticed."""
    studio, _ = studio_on(oss, database=Database(tmp_path / "kept"))

    def poll(_: int) -> str:
        return models.run(studio, models.request()).id

    def write(number: int) -> None:
        oss.put(models.BUCKET, f"{models.PREFIX}note-{number}", [b"x"])

    with ThreadPoolExecutor(8) as pool:
        writing = [pool.submit(write, number) for number in range(40)]
        ids = [job.result(60) for job in [pool.submit(poll, n) for n in range(40)]]
        for done in writing:
            done.result(60)
    assert {job.status for job in studio.jobs()} == {Status.SUCCEEDED}
    assert len(set(ids)) == 40
    write(40)
    assert studio.invalidated == set(ids)
