"""Ask PEFT and transformers what they make of model directories.

A program of its own, run by the Python of an environment that has them; it knows
nothing of preflight. Each line of standard input is a question,

    {"fixture": NAME, "directory": DIR, "kind": "lora" | "full", "base": DIR}

and each line of standard output its answers,

    {"fixture": NAME, "answers": {LOADER: [ANSWER, WORDS], ...}}

where ANSWER is `loads`, `loads but dead` (no error, yet something of it does nothing
or does harm) or `refuses`. The first line tells the versions. Every question is
answered in a process of its own, so that a crash, a hang or a file without an end
costs that question alone.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import select
import signal
import sys
from importlib.metadata import version
from typing import Any

# Before the imports: nothing is looked up on a hub, one thread, no bars.
os.environ |= {
    "HF_HUB_OFFLINE": "1",
    "HF_DEACTIVATE_ASYNC_LOAD": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "OMP_NUM_THREADS": "1",
}

import torch
import transformers

from tests.loaders.judge import adapter, model, tokenizer
from tests.loaders.judge.questions import REFUSES, Answer, Question

_PACKAGES = ("torch", "transformers", "peft", "safetensors", "tokenizers")
_SECONDS = 60  # then the loader hangs; on a busy machine the slowest takes ten
_MEMORY = 6 << 30  # bytes; more is asked for by files without an end alone


def answers(question: Question) -> dict[str, Answer]:
    """What each loader that a directory of this kind concerns says of it."""
    found = tokenizer.answers(question)
    if question.kind == "lora":
        return {"peft": adapter.answer(question), **found}
    return {**model.answers(question), **found}


def _in_child(question: Question, pipe: int) -> None:
    if not question.is_large:  # whose files are mapped as if they were to be changed
        resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY, _MEMORY))
    # Standard output belongs to the answers; whatever a loader prints goes nowhere.
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.write(pipe, json.dumps(answers(question)).encode())


def _read(pipe: int) -> bytes | None:
    """All that the child writes; `None` when it writes nothing for too long."""
    found = b""
    while select.select([pipe], [], [], _SECONDS)[0]:
        piece = os.read(pipe, 1 << 16)
        if not piece:
            return found
        found += piece
    return None


def _ask(question: Question) -> dict[str, Answer]:
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(read)
            _in_child(question, write)
            code = 0
        finally:
            os._exit(code)
    os.close(write)
    said = _read(read)
    os.close(read)
    if said is None:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    loader = "peft" if question.kind == "lora" else "model"
    if said is None:
        return {loader: (REFUSES, "waits for ever")}
    if not said:
        return {loader: (REFUSES, f"the process ends: status {status}")}
    found: dict[str, Answer] = json.loads(said)
    return found


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Answer all questions."""
    torch.set_num_threads(1)
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    versions = {name: version(name).partition("+")[0] for name in _PACKAGES}
    _say({"versions": {"python": platform.python_version(), **versions}})
    for line in sys.stdin:
        question = Question(**json.loads(line))
        adapter.prepare(question)
        _say({"fixture": question.fixture, "answers": _ask(question)})


if __name__ == "__main__":
    main()
