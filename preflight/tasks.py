"""Which of several tasks this process is, as whatever started them tells it.

Slurm, torchrun and MPI put a number and a count into the environment of each task that
they start. A batch script of Slurm that is no task of a step knows a count, too
(`SLURM_NTASKS`), and number 0, but nobody started the others: only what is set for the
tasks of a step counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from preflight.errors import UsageError
from preflight.language import glued, joined, say

MOST = 1000  # tasks


@dataclass(frozen=True, slots=True)
class Task:
    """Number `rank`, from 0, of `count` tasks that do one thing together.

    Raises `UsageError` for a number that there cannot be.
    """

    rank: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.count <= MOST or not 0 <= self.rank < self.count:
            raise UsageError(
                say(
                    "there is no task {rank}/{count}", rank=self.rank, count=self.count
                ),
                hint=say(
                    "tasks are numbered from 0, and are {most} at most", most=MOST
                ),
            )

    @property
    def publishes(self) -> bool:
        """Whether it is the one that makes visible what all of them sent."""
        return self.rank == 0

    @property
    def is_alone(self) -> bool:
        """Whether there are no others."""
        return self.count == 1

    @property
    def told(self) -> str:
        """Such as `1/4`, the second of four."""
        return f"{self.rank}/{self.count}"


@dataclass(frozen=True, slots=True)
class Launcher:
    """What starts tasks, and the variables by which it numbers them.

    `mark` is set by it and by nothing that would be started inside it.
    """

    name: str
    rank: str
    count: str
    mark: str = ""


# The innermost comes first: torchrun and mpirun are themselves started by srun, and
# pass its variables on to tasks that it did not number.
# torchrun: https://docs.pytorch.org/docs/stable/elastic/run.html
# Open MPI: https://docs.open-mpi.org/en/main/tuning-apps/environment-var.html
# MPICH, Intel MPI and `srun --mpi=pmi2`: the PMI of their process managers
# Slurm: https://slurm.schedmd.com/srun.html#SECTION_OUTPUT-ENVIRONMENT-VARIABLES
# The last: as torch.distributed reads them; Kubeflow's PyTorchJob sets no others.
LAUNCHERS = (
    Launcher("torchrun", "RANK", "WORLD_SIZE", mark="TORCHELASTIC_RUN_ID"),
    Launcher("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    Launcher("MVAPICH", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    Launcher("PMI", "PMI_RANK", "PMI_SIZE"),
    Launcher("Slurm", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS"),
    Launcher("torch", "RANK", "WORLD_SIZE"),
)
_HOW = say("start it with srun, torchrun or mpirun, or number each task: --task 0/2")


def parse_task(text: str) -> Task:
    """`0/2` as a task; raises `UsageError` for anything else."""
    rank, slash, count = text.partition("/")
    if not slash or not rank.isdecimal() or not count.isdecimal():
        raise UsageError(
            say("not a task: {text}", text=text),
            hint=say("its number from 0, and how many there are: --task 0/2"),
        )
    return Task(int(rank), int(count))


def chosen_task(share: bool | str, environ: Mapping[str, str]) -> Task | None:
    """The task that is asked for; None where it is alone, or none is.

    `share`: whether whatever started this process is to say it, or a text as `0/2`.
    """
    if not share:
        return None
    task = parse_task(share) if isinstance(share, str) else task_of(environ)
    return None if task.is_alone else task


def task_of(environ: Mapping[str, str]) -> Task:
    """The task that whatever started this process says it is.

    Raises `UsageError` where nothing says so.
    """
    for each in LAUNCHERS:
        if each.mark and not environ.get(each.mark):
            continue
        rank, count = environ.get(each.rank, ""), environ.get(each.count, "")
        if rank.isdecimal() and count.isdecimal():
            return Task(int(rank), int(count))
    told = say("nothing says which of several tasks this is")
    if environ.get("SLURM_JOB_ID"):
        told = say("this is a job of Slurm, but no task that srun started")
        raise UsageError(told, hint=say("put srun before the command"))
    names = sorted({each.count for each in LAUNCHERS})
    raise UsageError(
        glued(told, " (", joined(", ", names), ")"),
        hint=_HOW,
    )
