"""ms-swift 4 with the callback: a plugin that gives it the name `preflight`.

swift sft --model Qwen/Qwen3-8B --tuner_type lora --lora_rank 16 --dataset train.jsonl \
  --output_dir out/adapter --external_plugins preflight_plugin.py --callbacks preflight
"""

from swift.callbacks import callbacks_map

from preflight.integrations.transformers import PreflightCallback

DESTINATION = "oss://my-bucket/models/{name}-{digest}/"


def preflight(args, trainer):
    """What ms-swift calls with its own arguments, none of which is needed."""
    del args, trainer
    return PreflightCallback(DESTINATION)


callbacks_map["preflight"] = preflight
