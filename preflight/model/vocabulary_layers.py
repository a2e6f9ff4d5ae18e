"""Names under which the embedding and the output layer go in different libraries."""

from __future__ import annotations

from preflight.language import say

# transformers: embed_tokens, wte, embed_in, word_embeddings; lm_head, embed_out.
# Meta and torchtune: tok_embeddings, output. Megatron and NeMo: word_embeddings,
# output_layer. Tinker: embed_tokens, unembed_tokens.
_EMBEDDINGS = frozenset({
    "embed_tokens", "wte", "embed_in", "word_embeddings", "tok_embeddings",
    "tok_embedding", "token_embedding", "token_embeddings",
})  # fmt: skip
_OUTPUTS = frozenset({
    "lm_head", "embed_out", "output_layer", "unembed_tokens", "unembed", "unembedding",
})  # fmt: skip
# Usual words, which also occur inside of layers: they count as the last name alone,
# where no layer's number stands before.
_EMBEDDING, _OUTPUT = say("embedding"), say("output layer")
_PLAIN = {"output": _OUTPUT, "embedding": _EMBEDDING, "embeddings": _EMBEDDING}


def vocabulary_layer(module: str) -> str:
    """`embedding` or `output layer`; empty for any other module of a model."""
    parts = module.split(".")
    if _EMBEDDINGS.intersection(parts):
        return _EMBEDDING
    if _OUTPUTS.intersection(parts):
        return _OUTPUT
    plain = _PLAIN.get(parts[-1], "")
    return "" if plain and any(part.isdigit() for part in parts) else plain
