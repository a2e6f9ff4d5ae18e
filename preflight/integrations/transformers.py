"""A callback for the Trainer of transformers: check each save, push at the end.

    from preflight.integrations.transformers import PreflightCallback

    destination = "oss://my-bucket/models/{name}-{digest}/"
    callback = PreflightCallback(destination, base_model="qwen3-8b")
    trainer = Trainer(..., callbacks=[callback])

Each checkpoint is judged as soon as it is saved, an adapter with all its values in some
milliseconds: a NaN stops training at the save that holds it. When training ended, the
best checkpoint (with `load_best_model_at_end`), else the last, is pushed. Only the
first process of all does either, and tells the others. Nothing raises into the training
loop unless that is asked for; the logger of transformers tells what goes wrong.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from preflight.api import CheckFlags, CheckReport, PushResult, check, push
from preflight.destination import DestinationTemplate
from preflight.errors import PreflightError, RulesFailed
from preflight.model.location import Location
from preflight.pipeline.planned import tidy_name

if TYPE_CHECKING:
    from typing_extensions import Unpack

    TrainerCallback = object
else:
    try:
        from transformers import TrainerCallback
    except ImportError:  # no Trainer will ever call it then
        TrainerCallback = object

__all__ = ["OnFailure", "PreflightCallback"]

# Below the logger of transformers, so that it is shown where the Trainer's words are.
_log = logging.getLogger("transformers.preflight")


class OnFailure(str, Enum):
    """What a checkpoint that would not import does to the training."""

    STOP = "stop"  # the training, in order: the Trainer ends as after its last step
    WARN = "warn"
    RAISE = "raise"


class PreflightCallback(TrainerCallback):
    """Checks each save and pushes at the end.

    `destination`: where to, as for `preflight.push`, with the run's name and the step
    as `{name}`; without one nothing is pushed. `on_failure`: what a checkpoint does
    that would not import: `stop` the training, `warn`, or `raise` (a push that fails
    then raises, too); what only lacks beside the weights, such as a tokenizer (rules of
    family D), can be put there later and warns at most. `scan`: look at all values; by
    default at those of adapters alone, as full weights take seconds. `push_options`:
    further arguments of `preflight.push`, such as `display_name`; the import job is
    submitted and not waited for unless `wait` is among them, since the GPUs would wait
    as well. The other arguments are those of `preflight.check`.

    `report` and `checkpoint` hold the last check, `result` and `error` what the push
    came to. Raises `UsageError` for a destination that is none.
    """

    def __init__(
        self,
        destination: str | None = None,
        *,
        on_failure: OnFailure | str = OnFailure.STOP,
        push_options: Mapping[str, Any] | None = None,
        **flags: Unpack[CheckFlags],
    ) -> None:
        if destination is not None:  # better now than after eight hours
            DestinationTemplate.parse(destination)
        self.destination = destination
        self.on_failure = OnFailure(on_failure)
        self.push_options: dict[str, Any] = {"wait": False, **(push_options or {})}
        self.flags = flags
        self.report: CheckReport | None = None
        self.checkpoint: Path | None = None
        self.result: PushResult | None = None
        self.error: Exception | None = None

    # What the Trainer calls; of its arguments only what all versions have is used.

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> Any:  # noqa: ANN401
        """Judge the checkpoint that was just saved."""
        failed: RulesFailed | None = None
        if state.is_world_process_zero:
            failed = self._failure(Path(args.output_dir), int(state.global_step))
        if failed is not None:
            _log.error("%s: %s", self.checkpoint, _words(failed))
        grave = failed is not None and any(o.code[0] != "D" for o in failed.outcomes)
        stops = grave and self.on_failure is not OnFailure.WARN
        if _agreed(stops, processes=int(args.world_size)):
            if self.on_failure is OnFailure.RAISE:
                raise failed or RulesFailed("the first process found a broken save")
            control.should_training_stop = True
            _log.error("training stops at step %d", state.global_step)
        return control

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:  # noqa: ANN401
        """Push the best checkpoint, or the last."""
        if state.is_world_process_zero and self.destination is not None:
            best = state.best_model_checkpoint if args.load_best_model_at_end else None
            self._push(Path(args.output_dir), Path(best) if best else self.checkpoint)
        return control

    def _failure(self, output: Path, step: int) -> RulesFailed | None:
        """Why the checkpoint of a step would not import; None where it would.

        Whatever else goes wrong is told and stops nothing: the other processes wait.
        """
        directory = output / f"checkpoint-{step}"
        self.checkpoint, self.report = directory, None
        try:
            flags: CheckFlags = {"scan": _is_adapter(directory), **self.flags}
            self.report = check(directory, **flags)
            self.report.raise_for_errors()
        except RulesFailed as error:
            return error
        except Exception as error:  # noqa: BLE001 - says nothing of the checkpoint
            _log.warning("%s could not be checked: %s", directory, error)
        for outcome in self.report.warnings if self.report else ():
            told = outcome.problems[0].message
            _log.warning("%s: %s %s", directory, outcome.code, told)
        return None

    def _push(self, output: Path, directory: Path | None) -> None:
        try:
            self.result = self._pushed(output, directory)
        except Exception as error:  # a training that ended well must end well
            self.error = error
            _log.error("%s was not imported: %s", directory, _words(error))
            if self.on_failure is OnFailure.RAISE:
                raise
        else:
            job = self.result.job
            told = f"job {job.job_id} {job.word}" if job else "no job"
            _log.warning("%s: %s, %s", directory, self.result.destination, told)

    def _pushed(self, output: Path, directory: Path | None) -> PushResult:
        if directory is None:
            raise PreflightError("nothing was saved", hint="set save_strategy")
        name = tidy_name(Location(output))
        step = directory.name.removeprefix("checkpoint-")
        destination = (self.destination or "").replace("{name}", f"{name}-{step}")
        options = {"display_name": f"{name}-{step}", **self.push_options}
        return push(directory, destination, **{**self.flags, **options})


def _is_adapter(directory: Path) -> bool:
    return (directory / "adapter_config.json").exists()


def _words(error: Exception) -> str:
    """What happened and how to mend it."""
    fix = error.fix if isinstance(error, PreflightError) else ""
    return f"{error}\n  fix: {fix}" if fix else str(error)


def _agreed(stops: bool, *, processes: int) -> bool:
    """What the first process decided, for all: else one stops and the others hang."""
    if processes > 1:
        from accelerate.utils import broadcast_object_list

        (stops,) = broadcast_object_list([stops])
    return stops
