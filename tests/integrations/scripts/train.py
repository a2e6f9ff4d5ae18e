"""A Trainer of transformers on a tiny model of random weights, as a stranger writes it.

Its words: the base's directory, where to save, where to push, and what to do besides:
`nan` spoils the adapter at the third step, `full` trains all weights, `words` saves the
tokenizer beside them.
"""

import json
import os
import sys

import torch
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from preflight.integrations.transformers import PreflightCallback

BASE, OUT, DESTINATION, *WAYS = sys.argv[1:]


class Spoil(TrainerCallback):
    """One NaN in one weight, as a step with a bad loss leaves it."""

    def on_step_end(self, args, state, control, model=None, **_):
        if state.global_step == 3:
            trained = [p for p in model.parameters() if p.requires_grad]
            with torch.no_grad():
                trained[-1].view(-1)[0] = float("nan")


class Tell(TrainerCallback):
    """What a callback is given: the values that ours reads, and the other names."""

    def tell(self, event, args, state, **others):
        told = {
            "event": event,
            "args": {
                "world_size": args.world_size,
                "load_best_model_at_end": args.load_best_model_at_end,
            },
            "state": {
                "global_step": state.global_step,
                "is_world_process_zero": state.is_world_process_zero,
                "best_model_checkpoint": state.best_model_checkpoint,
            },
            "others": sorted(others),
        }
        print("told", json.dumps(told))

    def on_save(self, args, state, control, **others):
        self.tell("on_save", args, state, **others)

    def on_train_end(self, args, state, control, **others):
        self.tell("on_train_end", args, state, **others)


model = AutoModelForCausalLM.from_pretrained(BASE, dtype=torch.float32)
if "full" not in WAYS:
    model = get_peft_model(
        model, LoraConfig(r=8, target_modules="all-linear", task_type="CAUSAL_LM")
    )
rows = [{"input_ids": list(range(8)), "labels": list(range(8))}] * 8
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=OUT,
        max_steps=6,
        save_steps=2,
        per_device_train_batch_size=1,
        learning_rate=1e-3,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        ddp_backend="gloo" if "WORLD_SIZE" in os.environ else None,
    ),
    train_dataset=rows,
    processing_class=AutoTokenizer.from_pretrained(BASE) if "words" in WAYS else None,
    callbacks=[
        Tell(),
        *([Spoil()] if "nan" in WAYS else []),
        PreflightCallback(
            DESTINATION,
            base_model="tiny-text",
            on_failure=next((w for w in WAYS if w in ("warn", "raise")), "stop"),
            push_options={"wait": True, "poll_interval": 0.05},
        ),
    ],
)
trainer.train()
print("steps", trainer.state.global_step)
