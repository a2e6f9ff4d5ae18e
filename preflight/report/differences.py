"""Two checkpoints side by side, for people."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import TypeGuard

from preflight.language import glued, joined, say, say_n
from preflight.model.differences import Difference, Measure
from preflight.model.update_map import as_computed
from preflight.model.updates import UpdatePair, summed
from preflight.report.maps import number, percent, short_names
from preflight.report.subject import label
from preflight.report.tables import table
from preflight.text import cut

_SHOWN = 3  # single modules below the sums by kind
_FIELDS = 6  # of the config
_NAMES = 3  # of tensors that only one of them has

_TITLES = {
    Measure.UPDATE: say("norm of each module's update, ‖B·A‖ scaled by alpha and rank"),
    Measure.CHANGE: say("change against the base, as a share of the base's own norm"),
    Measure.WEIGHTS: say(
        "norm of the weights; with --base-dir the change against the base"
    ),
}


def difference_lines(
    found: Difference, names: tuple[str, str], width: int
) -> Iterator[str]:
    """Config, what one alone has, sums by kind of module, what changed most.

    `width` 0 shows every module.
    """
    yield f"A {label(names[0])}  B {label(names[1])}"
    if found.same:
        yield say("no difference in {count:,} modules", count=len(found.pairs))
        return
    yield from _configs(found, width)
    yield from _alone(found, width)
    if not found.pairs:
        yield say("no module is in both")
        return
    yield ""
    yield _TITLES[found.measure]
    yield from _by_kind(found, width)
    yield ""
    yield from _single(found, width)


def _configs(found: Difference, width: int) -> Iterator[str]:
    items = list(found.config.items())
    shown = items[:_FIELDS] if width else items
    for field, (before, after) in shown:
        line = say(
            "config  {field}: {change}", field=field, change=_change(before, after)
        )
        yield cut(line, width) if width else line
    if len(items) > len(shown):
        yield say(
            "config  and {count} more (-o wide shows all)",
            count=len(items) - len(shown),
        )


def _change(before: object, after: object) -> str:
    """Both values; of two lists of words what one alone has."""
    lists = [each for each in (before, after) if _is_words(each)]
    if len(lists) < 2:
        return glued(_value(before), " -> ", _value(after))
    alone = [
        [word for word in mine if word not in other]
        for mine, other in (lists, lists[::-1])
    ]
    told = [
        say("{side} has {words}", side=side, words=", ".join(w))
        for side, w in zip("AB", alone, strict=True)
        if w
    ]
    return joined("; ", told) if told else say("another order")


def _is_words(value: object) -> TypeGuard[list[str]]:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _value(value: object) -> str:
    """As the JSON file has it; a field that is not there is told in a word."""
    if value is None:
        return say("none")
    return json.dumps(value, ensure_ascii=False, sort_keys=True)


def _alone(found: Difference, width: int) -> Iterator[str]:
    for title, names in (("A", found.only_first), ("B", found.only_second)):
        if not names:
            continue
        number_of = say_n("{count:,} tensor", "{count:,} tensors", count=len(names))
        yield say("only in {side}  {tensors}", side=title, tensors=number_of)
        shown = names[:_NAMES] if width else names
        yield from (cut(f"  {name}", width) if width else f"  {name}" for name in shown)
        if len(names) > len(shown):
            yield say("  and {count:,} more", count=len(names) - len(shown))


def _by_kind(found: Difference, width: int) -> Iterator[str]:
    kinds: dict[str, list[UpdatePair]] = {}
    for pair in found.pairs:
        kinds.setdefault(pair.kind, []).append(pair)
    rows = [(say("module"), say("layers"), *_columns())]
    ordered = sorted(kinds, key=as_computed)
    alike = []
    for name, kind in zip(short_names(ordered), ordered, strict=True):
        whole = summed(kinds[kind], kind)
        if whole.change == 0.0:
            alike.append(name)
        else:
            rows.append((name, str(len(kinds[kind])), *_cells(found, whole)))
    rows.append((say("all"), "", *_cells(found, summed(found.pairs, "all"))))
    yield from table(rows, width)
    if alike:
        line = say("no difference in {names}", names=joined(", ", alike))
        yield cut(line, width) if width else line


def _columns() -> tuple[str, str, str, str]:
    return (say("norm in A"), say("norm in B"), say("differs by"), say("cosine"))


def _cells(found: Difference, pair: UpdatePair) -> tuple[str, str, str, str]:
    cosine = "-" if pair.cosine is None else f"{pair.cosine:.4f}"
    change = "-" if pair.change is None else percent(pair.change)
    return (_norm(found, pair.before), _norm(found, pair.after), change, cosine)


def _norm(found: Difference, value: float) -> str:
    if not math.isfinite(value):
        return say("not finite")
    return percent(value) if found.measure is Measure.CHANGE else number(value)


def _single(found: Difference, width: int) -> Iterator[str]:
    """The modules that differ most; all of them where the width is no matter."""
    ordered = sorted(found.pairs, key=_distance, reverse=True)
    shown = ordered[:_SHOWN] if width else ordered
    rows = [(say("differ most"), *_columns())]
    rows += [(_place(pair), *_cells(found, pair)) for pair in shown]
    yield from table(rows, width)
    if len(ordered) > len(shown):
        left = len(ordered) - len(shown)
        yield say("and {count:,} that differ less (-o wide shows all)", count=left)


def _place(pair: UpdatePair) -> str:
    """`layer 3 self_attn.q_proj`: the rest of the path is that of all others."""
    if pair.layer is None:
        return pair.kind
    return say("layer {layer} {kind}", layer=pair.layer, kind=pair.kind)


def _distance(pair: UpdatePair) -> float:
    """To sort by; what cannot be told comes first."""
    return math.inf if pair.change is None else round(pair.change, 6)
