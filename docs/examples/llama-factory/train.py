"""LLaMA-Factory with the callback: `python train.py qwen3_lora.yaml`.

It does what `llamafactory-cli train` does; on several GPUs start it with
`torchrun --nproc-per-node 8 train.py qwen3_lora.yaml`.
"""

from llamafactory.train.tuner import run_exp

from preflight.integrations.transformers import PreflightCallback

DESTINATION = "oss://my-bucket/models/{name}-{digest}/"

if __name__ == "__main__":
    run_exp(callbacks=[PreflightCallback(DESTINATION)])
