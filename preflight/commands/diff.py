"""`diff`: two checkpoints of an adapter: config, norms and direction of the updates."""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from preflight.commands._flags import add_format, add_wide
from preflight.errors import UsageError
from preflight.findings import Unavailable
from preflight.model.inspection import Inspection, inspect
from preflight.model.updates import UpdatePair, compared
from preflight.report.document import envelope
from preflight.report.tables import table
from preflight.terminal import Terminal

_SHOWN = 16  # modules that changed most


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Which two."""
    parser.add_argument("first", metavar="A", type=Path, help="an adapter")
    parser.add_argument("second", metavar="B", type=Path, help="another one")
    add_format(parser)
    add_wide(parser)


@dataclass(frozen=True, slots=True)
class Difference:
    """All that differs; `config` is field to both values as JSON shows them."""

    config: Mapping[str, tuple[object, object]]
    pairs: tuple[UpdatePair, ...]
    only_first: tuple[str, ...]
    only_second: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether nothing differs but for rounding."""
        alike = all(
            each.before == each.after and (each.cosine is None or each.cosine > _ALIKE)
            for each in self.pairs
        )
        return alike and not (self.config or self.only_first or self.only_second)


_ALIKE = 1 - 1e-9


def run(arguments: argparse.Namespace, terminal: Terminal) -> int:
    """Compare; 0 also where they differ. Raises `UsageError` for what is no adapter."""
    one, other = (_adapter(path) for path in (arguments.first, arguments.second))
    found = difference(one, other)
    if arguments.format == "json":
        terminal.show_document(envelope("diff", difference=_document(found)))
    else:
        width = 0 if arguments.wide is not None else terminal.width
        terminal.show_lines(_lines(found, width))
    return 0


def _adapter(path: Path) -> Inspection:
    found = inspect(path)
    if isinstance(found.lora, Unavailable) or not found.lora.pairs:
        raise UsageError(
            f"{path} holds no LoRA that could be compared",
            hint="`preflight check` tells what it is",
        )
    return found


def difference(one: Inspection, other: Inspection) -> Difference:
    """What differs between two adapters."""
    names = [
        set()
        if isinstance(each.tensors, Unavailable)
        else {t.name for t in each.tensors}
        for each in (one, other)
    ]
    return Difference(
        _configs(one.adapter_config, other.adapter_config),
        tuple(compared(one, other)),
        tuple(sorted(names[0] - names[1])),
        tuple(sorted(names[1] - names[0])),
    )


def _configs(one: object, other: object) -> dict[str, tuple[object, object]]:
    first, second = (each if isinstance(each, Mapping) else {} for each in (one, other))
    fields = sorted({*first, *second})
    pairs = {field: (first.get(field), second.get(field)) for field in fields}
    return {field: pair for field, pair in pairs.items() if pair[0] != pair[1]}


def _change(pair: UpdatePair) -> float:
    """How far apart two updates are, to sort by; what cannot be told comes first."""
    if pair.cosine is None or math.isnan(pair.before) or math.isnan(pair.after):
        return math.inf
    square = pair.before**2 + pair.after**2
    return square - 2 * pair.before * pair.after * pair.cosine


def _lines(found: Difference, width: int) -> Iterator[str]:
    if found.same:
        yield f"no difference in {len(found.pairs):,} modules"
        return
    for field, (before, after) in found.config.items():
        yield f"config  {field}: {before!r} -> {after!r}"
    for title, names in (("A", found.only_first), ("B", found.only_second)):
        if names:
            more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
            yield f"only in {title}  {', '.join(names[:3])}{more}"
    rows = [("module", "norm in A", "norm in B", "cosine")]
    ordered = sorted(found.pairs, key=_change, reverse=True)
    for pair in ordered[: None if not width else _SHOWN]:
        cosine = "-" if pair.cosine is None else f"{pair.cosine:.4f}"
        rows.append((pair.module, f"{pair.before:.4g}", f"{pair.after:.4g}", cosine))
    yield from table(rows, width)
    if width and len(ordered) > _SHOWN:
        yield f"and {len(ordered) - _SHOWN:,} that changed less (-o wide shows all)"
    known = [pair.cosine for pair in found.pairs if pair.cosine is not None]
    mean = f", mean cosine {sum(known) / len(known):.4f}" if known else ""
    yield f"{len(found.pairs):,} modules in both{mean}"


def _document(found: Difference) -> dict[str, Any]:
    return {
        "config": {
            field: {"first": pair[0], "second": pair[1]}
            for field, pair in found.config.items()
        },
        "only_first": list(found.only_first),
        "only_second": list(found.only_second),
        "modules": [
            {
                "module": pair.module,
                "first": _number(pair.before),
                "second": _number(pair.after),
                "cosine": pair.cosine,
            }
            for pair in found.pairs
        ],
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return value if math.isfinite(value) else None
