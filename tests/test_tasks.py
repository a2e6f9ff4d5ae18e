"""Which task a process is: as Slurm, torchrun and MPI say it, or a person."""

from __future__ import annotations

import pytest

from preflight.errors import UsageError
from preflight.tasks import Task, parse_task, task_of

STEP = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "4"}
BATCH = {"SLURM_JOB_ID": "7", "SLURM_PROCID": "0", "SLURM_NTASKS": "4"}
TORCHRUN = {"RANK": "2", "WORLD_SIZE": "3", "TORCHELASTIC_RUN_ID": "none"}
MPI = {"OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "6"}


@pytest.mark.parametrize(
    ("environ", "task"),
    [
        ({**STEP, "SLURM_NTASKS": "4"}, Task(1, 4)),
        # srun -n 2 beside a job of four, and one process in an allocation of four
        ({**BATCH, "SLURM_PROCID": "1", "SLURM_STEP_NUM_TASKS": "2"}, Task(1, 2)),
        ({**BATCH, "SLURM_STEP_NUM_TASKS": "1"}, Task(0, 1)),
        (TORCHRUN, Task(2, 3)),
        (MPI, Task(5, 6)),
        ({"MV2_COMM_WORLD_RANK": "0", "MV2_COMM_WORLD_SIZE": "2"}, Task(0, 2)),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, Task(1, 2)),
        ({"RANK": "1", "WORLD_SIZE": "2"}, Task(1, 2)),
        # whoever started this very process counts, not what started that
        ({**STEP, **TORCHRUN}, Task(2, 3)),
        ({**BATCH, **MPI}, Task(5, 6)),
        # a script that sets what torch reads, once for all tasks
        ({**STEP, "RANK": "0", "WORLD_SIZE": "4"}, Task(1, 4)),
        ({**STEP, "WORLD_SIZE": "8"}, Task(1, 4)),
    ],
)
def test_the_innermost_launcher_counts(environ: dict[str, str], task: Task) -> None:
    assert task_of(environ) == task


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "nothing says which of several tasks"),
        ({"RANK": "1"}, "nothing says"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "nothing says"),
        (BATCH, "no task that srun started"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "there is no task 2/2"),
    ],
)
def test_nobody_is_waited_for_who_was_not_started(
    environ: dict[str, str], words: str
) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        task_of(environ)
    assert caught.value.hint


def test_a_person_numbers_them_from_zero() -> None:
    task = parse_task("0/2")
    assert (task, task.told, task.publishes) == (Task(0, 2), "0/2", True)
    assert not parse_task("1/2").publishes
    assert parse_task("0/1").is_alone
    for text in ("", "1", "2/2", "-1/2", "0/0", "a/b", "0/2/3", "0/1001", "²/3"):
        with pytest.raises(UsageError):
            parse_task(text)
