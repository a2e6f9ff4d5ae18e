"""What PEFT makes of an adapter, put onto a base of the structure it names."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import peft.peft_model
import torch
import transformers
from peft import PeftModel

from tests.loaders.judge.questions import IDS, Answer, Question, guarded, some, verdict

_BASES: dict[str, Any] = {}


def prepare(question: Question) -> None:
    """Load the base of an adapter, once for all that follow, with its values."""
    if question.kind != "lora" or question.is_large or question.base in _BASES:
        return
    loaded = auto_class(question).from_pretrained(question.base, dtype=torch.float32)
    _BASES[question.base] = loaded


def auto_class(question: Question) -> Any:  # noqa: ANN401
    """The class that a user would load a base of this kind with."""
    if question.is_vision:
        return transformers.AutoModelForImageTextToText
    return transformers.AutoModelForCausalLM


def empty_model(question: Question) -> Any:  # noqa: ANN401
    """A model of the base's structure without values."""
    config = transformers.AutoConfig.from_pretrained(question.base)
    with torch.device("meta"):
        return auto_class(question).from_config(config)


def answer(question: Question) -> Answer:
    """Load the adapter onto the base; see what reaches it and what comes out."""
    if not question.is_large:
        base = copy.deepcopy(_BASES[question.base])
        return guarded(lambda: _onto(base, question), question)
    return guarded(lambda: _onto_nothing(question), question)


class _Load:
    """Watches PEFT while it puts an adapter's tensors into place."""

    def __init__(self) -> None:
        self.result: Any = None
        self.tensors: dict[str, Any] = {}
        self._real = peft.peft_model.set_peft_model_state_dict

    def __call__(self, model: Any, tensors: Any, **more: Any) -> Any:  # noqa: ANN401
        self.tensors = dict(tensors)
        self.result = self._real(model, tensors, **more)
        return self.result

    def load(self, base: Any, directory: str, **more: Any) -> Any:  # noqa: ANN401
        peft.peft_model.set_peft_model_state_dict = self
        try:
            model = PeftModel.from_pretrained(base, directory, **more)
        finally:
            peft.peft_model.set_peft_model_state_dict = self._real
        return model.eval()

    def complaints(self) -> Iterator[str]:
        """Tensors without a place, and places without a tensor."""
        if self.result is None:
            yield "no tensor was read"
            return
        yield from some(self.result.missing_keys, "missing")
        yield from some(self.result.unexpected_keys, "unexpected")


def _onto(base: Any, question: Question) -> Answer:  # noqa: ANN401
    ids = torch.tensor(IDS)
    with torch.no_grad():
        before = base(input_ids=ids).logits
        watch = _Load()
        model = watch.load(base, question.directory)
        complaints = [*watch.complaints(), *_halves(model.named_parameters())]
        try:
            after = model(input_ids=ids).logits
        except Exception as error:  # noqa: BLE001
            complaints.append(f"no output: {type(error).__name__}: {error}")
        else:
            complaints += _outputs(before, after)
    return verdict(complaints, question)


def _halves(parameters: Any) -> Iterator[str]:  # noqa: ANN401
    """Whether any lora_B says something."""
    halves = [value for name, value in parameters if "lora_B" in name]
    if not halves:
        yield "no lora_B"
    elif not any(bool(half.float().count_nonzero()) for half in halves):
        yield "every lora_B is zero"


def _outputs(before: Any, after: Any) -> Iterator[str]:  # noqa: ANN401
    if not bool(torch.isfinite(after).all()):
        yield "the outputs are not finite"
    elif before.shape == after.shape and bool(torch.equal(before, after)):
        yield "the outputs are the base's"


def _onto_nothing(question: Question) -> Answer:
    """The same without the base's values: names and shapes, and what the file holds."""
    watch = _Load()
    watch.load(empty_model(question), question.directory, low_cpu_mem_usage=True)
    return verdict([*watch.complaints(), *_halves(watch.tensors.items())], question)
