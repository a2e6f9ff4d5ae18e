"""preflight inside of training: `preflight.integrations.transformers` for Trainers.

What builds on the Trainer of transformers takes the same callback: TRL's trainers,
LLaMA-Factory and ms-swift. The README's "While it trains" shows how each is told of it.
"""
