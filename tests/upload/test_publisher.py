"""Several tasks, one model: what each of them does, and what is left when one dies."""

from __future__ import annotations

import itertools
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from preflight.errors import (
    AnotherTaskFailed,
    RulesFailed,
    SourceChanged,
    TransferError,
)
from preflight.oss.access import OssAccess
from preflight.oss.client import BucketClient
from preflight.sandbox import Sandbox
from preflight.tasks import MOST, Task
from preflight.together import Asked
from preflight.upload.helper import HelperUpload
from preflight.upload.ledger import GONE, Agreed, Ledger, ledger_key
from preflight.upload.parts import KIB
from preflight.upload.publisher import Shared, SharedUpload
from tests.running import until
from tests.upload.small_model import (
    FIRST,
    OPTIONS,
    PART,
    PREFIX,
    SECOND,
    abort_all,
    fault,
    is_all_there,
    leave,
    make_model,
    plan_for,
    send,
    sent,
    weights,
)

MARKS = 4 * KIB  # more than all marks of a push have
PATIENT = replace(OPTIONS, patience=60.0)
HASTY = replace(OPTIONS, patience=0.3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


@pytest.fixture
def connect(sandbox: Sandbox, access: OssAccess) -> Callable[[], BucketClient]:
    """A client for each task, as each is a process of its own."""
    return lambda: BucketClient(access, sandbox.bucket, timeout=(30, 30))


class Tasks:
    """All tasks of one push, each with a client of its own."""

    def __init__(
        self, model: Path, box: Sandbox, connect: Callable[[], BucketClient]
    ) -> None:
        self.model, self.box, self._connect = model, box, connect
        self.options, self.terms = PATIENT, ""
        self.told: list[str] = []

    @contextmanager
    def publisher(self, count: int) -> Iterator[SharedUpload]:
        shared = Shared(Task(0, count), self.terms)
        with self._connect() as client:
            plan = plan_for(self.model, self.box)
            made = SharedUpload(
                plan, client, self.options, shared, tell=self.told.append
            )
            with made:
                yield made

    def publish(self, count: int) -> frozenset[int]:
        """All that the publishing task does; the tasks whose shares it brought."""
        taken: set[int] = set()
        with self.publisher(count) as upload:
            upload.stage()
            while more := upload.gather():
                taken |= more
            upload.publish()
        return frozenset(taken)

    @contextmanager
    def helper(
        self, rank: int, count: int, model: Path | None = None
    ) -> Iterator[HelperUpload]:
        shared = Shared(Task(rank, count), self.terms)
        with self._connect() as client:
            plan = plan_for(model or self.model, self.box)
            with HelperUpload(plan, client, self.options, shared) as upload:
                yield upload

    def help(self, rank: int, count: int) -> int:
        """All that another task does; the bytes that it sent."""
        with self.helper(rank, count) as upload:
            upload.join()
            upload.stage()
            upload.vouch()
            return upload.sent


@pytest.fixture
def tasks(model: Path, sandbox: Sandbox, connect: Callable[[], BucketClient]) -> Tasks:
    return Tasks(model, sandbox, connect)


class Killed(TransferError):
    """What ends a task here as a kill would: nothing is aborted."""


def dies_after(tasks: Tasks, work: Callable[[], object]) -> None:
    """The publishing task brings its share and dies when `work` is done."""

    def run() -> None:
        with tasks.publisher(2) as upload:
            upload.stage()
            work()
            raise Killed("killed")

    with pytest.raises(Killed):
        run()


@pytest.mark.parametrize("count", [2, 3, 8])
def test_each_brings_its_share_and_one_publishes(
    tasks: Tasks, sandbox: Sandbox, count: int
) -> None:
    """Of eight tasks some have nothing to bring."""
    helping = [Asked(partial(tasks.help, n, count)) for n in range(1, count)]
    assert tasks.publish(count) == frozenset()
    by_others = [each.result() for each in helping]
    assert is_all_there(tasks.model, sandbox)
    assert weights(tasks.model) <= sent(sandbox) <= weights(tasks.model) + MARKS
    assert sum(by_others) <= weights(tasks.model) * (count - 1) // count + PART


def test_what_an_earlier_run_left_is_compared_by_whose_share_it_is(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    """One part of each file, cut as no task would cut it, and one that is wrong."""
    leave(sandbox, tasks.model, FIRST, 120 * KIB, 1)
    other = leave(sandbox, tasks.model, SECOND, PART, 1, 3)
    key = PREFIX + SECOND
    sandbox.oss.put_part(sandbox.bucket, key, other, 2, [os.urandom(PART)])
    before = sent(sandbox)
    helping = Asked(lambda: tasks.help(1, 2))
    tasks.publish(2)
    helping.result()
    assert is_all_there(tasks.model, sandbox)
    needed = weights(tasks.model) - 120 * KIB - PART
    assert sent(sandbox) - before <= needed + MARKS


def test_a_share_that_was_vouched_for_is_not_waited_for_again(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    """The publishing task dies when the other one has ended; it alone is started."""
    dies_after(tasks, lambda: tasks.help(1, 2))
    before = sent(sandbox)
    assert tasks.publish(2) == frozenset()
    assert is_all_there(tasks.model, sandbox)
    assert sent(sandbox) - before <= MARKS


def test_what_was_vouched_for_counts_for_these_files_and_rules_alone(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    """Neither another training of the same size passes, nor another verdict."""
    for change in ("terms", "files"):
        dies_after(tasks, lambda: tasks.help(1, 2))
        if change == "terms":
            tasks.terms = "strict"
        else:
            for name in (FIRST, SECOND):
                path, later = tasks.model / name, 2_000_000_000
                path.write_bytes(os.urandom(path.stat().st_size))
                os.utime(path, (later, later))
        tasks.options = HASTY
        assert tasks.publish(2) == {1}, change
        assert is_all_there(tasks.model, sandbox)
        for one in sandbox.oss.objects(sandbox.bucket):
            sandbox.oss.delete(sandbox.bucket, one.key)
        tasks.options = PATIENT


def test_a_task_that_never_came_is_not_waited_for_for_ever(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    tasks.options = HASTY
    assert tasks.publish(3) == {1, 2}
    assert is_all_there(tasks.model, sandbox)
    assert any("task 2/3: not seen yet" in line for line in tasks.told)
    assert any("task 1/3 is gone" in line for line in tasks.told)


def test_a_task_that_says_that_it_ended_is_not_waited_for(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    def fail() -> None:
        with tasks.helper(1, 2) as upload:
            upload.join()
            upload.stage()
            raise TransferError("its disk is gone")

    failing = Asked(fail)
    assert tasks.publish(2) == {1}
    with pytest.raises(TransferError, match="disk"):
        failing.result()
    assert is_all_there(tasks.model, sandbox)
    assert sent(sandbox) <= weights(tasks.model) + MARKS, "what was there was sent"


def test_that_a_task_ended_in_an_earlier_run_does_not_count(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    def fail() -> None:
        with tasks.helper(1, 2) as upload:
            upload.join()
            raise Killed("its disk is gone")

    def failed() -> None:
        with pytest.raises(Killed):
            fail()

    dies_after(tasks, failed)
    with tasks.publisher(2) as upload:
        upload.stage()
        waiting = Asked(upload.gather)
        until(lambda: tasks.told)
        tasks.help(1, 2)
        assert waiting.result() == frozenset()
        upload.publish()
    assert is_all_there(tasks.model, sandbox)


@pytest.mark.parametrize("finder", [0, 1, 2])
def test_what_one_task_finds_ends_all_and_nothing_is_left(
    tasks: Tasks, sandbox: Sandbox, finder: int
) -> None:
    at_work = [threading.Event() for _ in range(3)]

    def publish() -> None:
        with tasks.publisher(3) as upload:
            upload.stage()
            wait_for_all(at_work[1:])
            if not finder:
                raise RulesFailed("NaN")
            upload.gather()
            upload.publish()

    def help_(rank: int) -> None:
        with tasks.helper(rank, 3) as upload:
            upload.join()
            upload.stage()
            at_work[rank].set()
            if rank == finder:
                wait_for_all(at_work[1:])
                raise RulesFailed("NaN")
            # Those that are at work still hear of it at the next thing they do.
            until(lambda: not uploads_of_files(sandbox))
            upload.vouch()

    running = [Asked(publish), *(Asked(partial(help_, n)) for n in (1, 2))]
    for rank, each in enumerate(running):
        kind = RulesFailed if rank == finder else AnotherTaskFailed
        with pytest.raises(kind) as caught:
            each.result()
        if rank != finder:
            assert f"task {finder}/3 found" in caught.value.message
            assert caught.value.exit_code == RulesFailed.exit_code
    assert sandbox.oss.objects(sandbox.bucket) == []
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_a_file_that_changes_while_a_task_reads_it_ends_all(
    tasks: Tasks, sandbox: Sandbox, connect: Callable[[], BucketClient]
) -> None:
    def touch(name: str, _: int, __: memoryview) -> None:
        os.utime(tasks.model / name, ns=(1, 1))

    plan, shared = plan_for(tasks.model, sandbox), Shared(Task(1, 2))

    def help_with_it(client: BucketClient) -> None:
        with HelperUpload(plan, client, PATIENT, shared, on_block=touch) as upload:
            upload.join()
            upload.stage()

    def publish() -> None:
        with tasks.publisher(2) as upload:
            upload.stage()
            with connect() as client, pytest.raises(SourceChanged):
                help_with_it(client)
            upload.gather()

    with pytest.raises(AnotherTaskFailed):
        publish()
    assert not sandbox.oss.objects(sandbox.bucket)
    assert not sandbox.oss.uploads(sandbox.bucket)


def is_over(box: Sandbox) -> bool:
    """Whether the ledger says so, and the uploads of files are gone."""
    ledgers = [
        one for one in box.oss.uploads(box.bucket) if one.key == ledger_key(PREFIX)
    ]
    parts = [p for one in ledgers for p in box.oss.parts(box.bucket, one.key, one.id)]
    over = any(part.number > MOST for part in parts)
    return over and not uploads_of_files(box)


def wait_for_all(events: list[threading.Event]) -> None:
    for event in events:
        assert event.wait(60)


def test_a_task_that_comes_when_it_is_over_already_hears_of_it(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    def find() -> None:
        with tasks.publisher(2) as upload:
            upload.stage()
            raise RulesFailed("NaN")

    finding = Asked(find)
    until(lambda: is_over(sandbox))
    tasks.options = HASTY
    with pytest.raises(AnotherTaskFailed, match="task 0/2 found"):
        tasks.help(1, 2)
    with pytest.raises(RulesFailed):
        finding.result()
    assert sandbox.oss.uploads(sandbox.bucket) == []


def uploads_of_files(box: Sandbox) -> list[str]:
    found = [one.key for one in box.oss.uploads(box.bucket)]
    return [key for key in found if key.endswith(".safetensors")]


def test_a_publisher_that_comes_after_a_finding_begins_anew(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    """The one that found something could tell nobody: all others had been killed."""

    def find() -> None:
        with tasks.helper(1, 2) as helping:
            helping.join()
            raise RulesFailed("NaN")

    def found() -> None:
        with pytest.raises(RulesFailed):
            find()

    dies_after(tasks, found)
    helping_again = Asked(lambda: tasks.help(1, 2))
    assert tasks.publish(2) == frozenset()
    helping_again.result()
    assert is_all_there(tasks.model, sandbox)


def test_a_task_that_sees_other_files_does_not_join(
    tasks: Tasks, sandbox: Sandbox, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(tasks.model, other)
    os.utime(other / FIRST, (1_500_000_000, 1_500_000_000))
    tasks.options = HASTY
    with tasks.publisher(2) as upload, tasks.helper(1, 2, other) as helping:
        upload.stage()
        with pytest.raises(TransferError, match="task 0 of 2 did not begin") as caught:
            helping.join()
    assert "see the same files" in caught.value.hint
    assert sandbox.oss.objects(sandbox.bucket) == []


def test_a_task_that_comes_when_all_is_published_has_nothing_to_do(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    tasks.options = HASTY
    tasks.publish(2)
    assert tasks.help(1, 2) == 0
    assert is_all_there(tasks.model, sandbox)
    assert sandbox.oss.uploads(sandbox.bucket) == []


def test_a_slow_task_whose_share_was_brought_by_another_ends_well(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    with tasks.publisher(2) as upload, tasks.helper(1, 2) as helping:
        upload.stage()
        helping.join()
        tasks.options = HASTY
        upload._options = HASTY
        assert upload.gather() == {1}
        assert upload.gather() == frozenset()
        upload.publish()
        helping.stage()
        helping.vouch()
        assert helping.sent == 0
    assert is_all_there(tasks.model, sandbox)


def test_objects_that_lie_there_already_are_compared_and_nothing_is_sent(
    tasks: Tasks, sandbox: Sandbox, client: BucketClient
) -> None:
    send(tasks.model, sandbox, client)
    sandbox.oss.delete(sandbox.bucket, PREFIX + SECOND)
    before = sent(sandbox)
    helping = Asked(lambda: tasks.help(1, 2))
    tasks.publish(2)
    helping.result()
    assert is_all_there(tasks.model, sandbox)
    second = (tasks.model / SECOND).stat().st_size
    assert sent(sandbox) - before <= second + MARKS


def test_a_plain_push_goes_on_with_what_tasks_left(
    tasks: Tasks, sandbox: Sandbox, client: BucketClient
) -> None:
    dies_after(tasks, lambda: tasks.help(1, 2))
    before = sent(sandbox)
    send(tasks.model, sandbox, client)
    assert is_all_there(tasks.model, sandbox)
    assert sent(sandbox) == before


def test_uploads_that_somebody_aborts_end_it(tasks: Tasks, sandbox: Sandbox) -> None:
    """No task begins one anew that the others would not know of."""
    with tasks.publisher(2) as upload:
        upload.stage()
        abort_all(sandbox)
        with pytest.raises(TransferError, match="aborted by somebody else"):
            upload.gather()
    assert sandbox.oss.objects(sandbox.bucket) == []


def test_an_answer_lost_to_a_begin_leaves_one_upload_a_key(
    tasks: Tasks, sandbox: Sandbox
) -> None:
    where = {"key": "*.safetensors", "times": 2}
    sandbox.faults.add(fault("InitiateMultipartUpload", "cut", at="after", **where))
    with tasks.publisher(2) as upload:
        upload.stage()
        assert len(uploads_of_files(sandbox)) == 2
        tasks.help(1, 2)
        assert upload.gather() == frozenset()
        upload.publish()
    assert is_all_there(tasks.model, sandbox)


def test_a_task_at_work_is_waited_for_beyond_patience(
    tasks: Tasks, sandbox: Sandbox, client: BucketClient
) -> None:
    """As task 0 is while it compares objects that lie there, which may take long."""
    tasks.options = replace(OPTIONS, patience=1.0)
    helping = Asked(lambda: tasks.help(1, 2))
    ledger = Ledger.begin(client, PREFIX)
    began = time.monotonic()
    steps = itertools.count()
    with ledger.working(Task(0, 2), 0.05, lambda: next(steps)):
        until(lambda: time.monotonic() - began > 1.5)
    tasks.options = PATIENT
    assert tasks.publish(2) == frozenset()
    assert helping.result() > 0
    assert is_all_there(tasks.model, sandbox)


def test_whose_share_comes_slowly_is_waited_for_beyond_patience_too(
    tasks: Tasks, sandbox: Sandbox, client: BucketClient
) -> None:
    tasks.options = replace(OPTIONS, patience=1.0)
    with tasks.publisher(2) as upload:
        upload.stage()
        (there,) = (one for one in client.list_uploads(ledger_key(PREFIX)))
        ledger, taken = Ledger(client, there), list[frozenset[int]]()
        waiting = Asked(lambda: taken.append(upload.gather()))
        began, steps = time.monotonic(), itertools.count()
        with ledger.working(Task(1, 2), 0.05, lambda: next(steps)):
            until(lambda: time.monotonic() - began > 1.5)
            assert not taken
        ledger.tell(Task(1, 2), GONE)
        waiting.result()
        assert taken == [{1}]
        upload.publish()
    assert is_all_there(tasks.model, sandbox)


def test_a_ledger_that_goes_away_while_it_is_looked_for_is_begun_anew(
    tasks: Tasks, sandbox: Sandbox, client: BucketClient
) -> None:
    """As one that an earlier run left, and that a lifecycle rule takes away.

    Uploads of strangers are never taken for one.
    """
    Ledger.begin(client, PREFIX)
    strangers = {client.initiate(f"{PREFIX}{name}") for name in ("!", "~")}
    gone = {"status": 404, "code": "NoSuchUpload", "key": ledger_key(PREFIX)}
    sandbox.faults.add(fault("ListParts", "status", **gone))
    with tasks.publisher(2) as upload:
        upload.stage()
        assert sandbox.faults.fired
        assert tasks.help(1, 2) > 0
        assert upload.gather() == frozenset()
        upload.publish()
    assert {one.id for one in sandbox.oss.uploads(sandbox.bucket)} == strangers


def test_of_a_task_that_hangs_nobody_thinks_that_it_is_at_work(
    sandbox: Sandbox, client: BucketClient
) -> None:
    ledger, asked = Ledger.begin(client, PREFIX), [0]

    def stuck() -> int:
        asked[0] += 1
        return 7

    before = sent(sandbox)
    with ledger.working(Task(1, 2), 0.01, stuck):
        said = sent(sandbox) - before
        until(lambda: asked[0] > 10)
    assert sent(sandbox) - before == said > 0


def test_a_mark_is_known_by_whoever_can_write_it(
    sandbox: Sandbox, client: BucketClient, tasks: Tasks
) -> None:
    ledger = Ledger.begin(client, PREFIX)
    items = plan_for(tasks.model, sandbox).items
    first = Agreed(items, {FIRST: "1"}, 2, "")
    ledger.tell(Task(1, 2), GONE)
    ledger.mark(Task(0, 2), first.begun())
    marks = ledger.marks()
    assert (marks.word(1), marks.word(0), marks.word(2)) == (GONE, "", "")
    assert marks.is_awaited(2)
    assert not marks.is_awaited(1)
    assert marks.says(0, first.begun())
    assert not marks.says(0, Agreed(items, {FIRST: "2"}, 2, "").begun())
    assert not marks.says(0, Agreed(items, {FIRST: "1"}, 3, "").begun())
    assert not marks.says(0, Agreed(items[1:], {FIRST: "1"}, 2, "").begun())
    assert marks.over() is None
    ledger.end(Task(1, 2))
    assert ledger.marks().over() == 1
    without = {n: replace(part, crc64=None) for n, part in ledger.marks().parts.items()}
    assert replace(marks, parts=without).says(0, first.begun())
    assert not replace(marks, parts=without).says(0, first.right(0, {}))
