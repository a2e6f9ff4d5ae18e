"""One reading of all weights: their values, and what training changed."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from preflight.findings import Unavailable, WeightType
from preflight.language import say
from preflight.model.containers import not_usable
from preflight.model.headers import Container
from preflight.model.inspection import Inspection
from preflight.model.norms import NormMeter, norm_meter
from preflight.model.scan import (
    OnPiece,
    ScannedFile,
    TensorValues,
    ValueScanner,
    scan_file,
)
from preflight.model.source import ModelFile
from preflight.model.update_map import UpdateMap

Values = tuple[TensorValues, ...] | Unavailable
NOT_MEASURED = Unavailable(say("the weights were not read"))


@dataclass(frozen=True, slots=True)
class Scanned:
    """What a reading of all weights tells."""

    values: Values
    updates: UpdateMap | Unavailable = NOT_MEASURED


def sound_containers(found: Inspection) -> tuple[Container, ...] | Unavailable:
    """The weight files to scan, or why they cannot be."""
    if isinstance(found.containers, Unavailable):
        return found.containers
    for container in found.containers:
        # Values of some of the files would pass for those of all.
        if (reason := not_usable(container)) is not None:
            return reason
    return tuple(c for c in found.containers if isinstance(c, Container))


def weights_of(found: Inspection, container: Container) -> ModelFile:
    """A weight file as it was when it was inspected; the caller closes it.

    Raises `Changed` and `Unreadable`.
    """
    return found.source.reopen(found.files[container.file])


class Scan:
    """The scanners of a model's weight files, and what measures in the same bytes.

    Leaving the `with` block closes the files of a base that was compared with.
    """

    def __init__(self, found: Inspection, *, measure: bool) -> None:
        self._found = found
        self.sound = sound_containers(found)
        self._meter = _meter(found, measure=measure)

    def __enter__(self) -> Scan:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the base's files."""
        if not isinstance(self._meter, Unavailable):
            self._meter.close()

    @property
    def on_piece(self) -> OnPiece | None:
        """What the scanners hand each tensor's bytes to."""
        return None if isinstance(self._meter, Unavailable) else self._meter.take

    def scanner(self, container: Container) -> ValueScanner:
        """For bytes that somebody else reads."""
        return ValueScanner(container, self.on_piece)

    def read(
        self,
        container: Container,
        *,
        on_bytes: Callable[[int], None] | None = None,
    ) -> ScannedFile:
        """Read a file once: values and CRC-64. Raises `Changed` and `Unreadable`."""
        with closing(weights_of(self._found, container)) as file:
            return scan_file(file, container, on_bytes=on_bytes, on_piece=self.on_piece)

    def ended(self, values: Values) -> Scanned:
        """All bytes were read."""
        if isinstance(self._meter, Unavailable):
            return Scanned(values, self._meter)
        return Scanned(values, self._meter.result())


def _meter(found: Inspection, *, measure: bool) -> NormMeter | Unavailable:
    """An adapter is always measured; of full weights the base is read for it, too."""
    if found.weight_type is not WeightType.LORA and not measure:
        return Unavailable(say("the change against the base was not asked for"))
    return norm_meter(found)
