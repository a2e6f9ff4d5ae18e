"""What transformers makes of a full model: config, processor and weights."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.loaders.judge.adapter import auto_class
from tests.loaders.judge.questions import (
    IDS,
    LOADS,
    Answer,
    Question,
    guarded,
    some,
    verdict,
)

_V5 = int(transformers.__version__.partition(".")[0]) >= 5


def answers(question: Question) -> dict[str, Answer]:
    """The answers of `config`, `model` and, for a vision model, `processor`."""
    found = {
        "config": guarded(lambda: _config(question), question),
        "model": guarded(lambda: _model(question), question),
    }
    if question.is_vision:
        found["processor"] = guarded(lambda: _processor(question), question)
    return found


def _config(question: Question) -> Answer:
    found = transformers.AutoConfig.from_pretrained(question.directory)
    base = transformers.AutoConfig.from_pretrained(question.base)
    if type(found) is type(base):
        return LOADS, ""
    return LOADS, f"as {type(found).__name__}"


def _processor(question: Question) -> Answer:
    # AutoProcessor reads this and a video processor, which asks for torchvision;
    # there is none for a CPU beside a CPU torch.
    transformers.AutoImageProcessor.from_pretrained(question.directory, use_fast=False)
    return LOADS, ""


def _model(question: Question) -> Answer:
    if question.is_large and not _V5:
        # The fourth generation reads the data of tensors that it then throws away.
        return verdict(_compared(question), question)
    where = {"device_map": "meta"} if question.is_large else {}
    model, told = auto_class(question).from_pretrained(
        question.directory, output_loading_info=True, dtype="auto", **where
    )
    complaints = [*_told(told)]
    if not question.is_large:
        complaints += _outputs(model.eval())
    return verdict(complaints, question)


def _told(told: dict[str, Any]) -> Iterator[str]:
    yield from some(told["missing_keys"], "missing")
    yield from some(told["unexpected_keys"], "unexpected")
    yield from some([str(entry[0]) for entry in told["mismatched_keys"]], "mismatched")
    yield from (str(message) for message in told["error_msgs"] or ())


def _outputs(model: Any) -> Iterator[str]:  # noqa: ANN401
    with torch.no_grad():
        try:
            logits = model(input_ids=torch.tensor(IDS)).logits
        except Exception as error:  # noqa: BLE001
            yield f"no output: {type(error).__name__}: {error}"
            return
    if not bool(torch.isfinite(logits).all()):
        yield "the outputs are not finite"


def _compared(question: Question) -> Iterator[str]:
    """Names and shapes in the files against those of a model without values."""
    config = transformers.AutoConfig.from_pretrained(question.directory)
    with torch.device("meta"):
        model = auto_class(question).from_config(config)
    wanted = {name: list(value.shape) for name, value in model.state_dict().items()}
    if config.tie_word_embeddings:
        wanted = {n: s for n, s in wanted.items() if n not in _tied(model)}
    found = {_renamed(model, n): s for n, s in _headers(question.directory)}
    yield from some(wanted.keys() - found.keys(), "missing")
    yield from some(found.keys() - wanted.keys(), "unexpected")
    both = wanted.keys() & found.keys()
    yield from some({n for n in both if wanted[n] != found[n]}, "mismatched")


def _tied(model: Any) -> set[str]:  # noqa: ANN401
    return set(model._tied_weights_keys or ())


def _renamed(model: Any, name: str) -> str:  # noqa: ANN401
    """A name on disk as the loader turns it into one in memory: first match wins."""
    for pattern, new in getattr(model, "_checkpoint_conversion_mapping", {}).items():
        changed, count = re.subn(pattern, new, name)
        if count:
            return changed
    return name


def _headers(directory: str) -> Iterator[tuple[str, list[int]]]:
    for path in sorted(Path(directory).glob("*.safetensors")):
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(size))
        header.pop("__metadata__", None)
        yield from ((name, entry["shape"]) for name, entry in header.items())
