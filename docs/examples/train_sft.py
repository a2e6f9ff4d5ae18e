"""TRL's SFTTrainer: each save is checked, the last one is imported."""

from datasets import load_dataset
from peft import LoraConfig
from trl import SFTConfig, SFTTrainer

from preflight.integrations.transformers import PreflightCallback

SFTTrainer(
    model="Qwen/Qwen3-8B",
    train_dataset=load_dataset("json", data_files="train.jsonl", split="train"),
    args=SFTConfig(output_dir="out/adapter", save_steps=500),
    peft_config=LoraConfig(r=16, target_modules="all-linear"),
    callbacks=[PreflightCallback("oss://my-bucket/models/{name}-{digest}/")],
).train()
