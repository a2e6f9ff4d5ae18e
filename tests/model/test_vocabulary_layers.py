"""Which modules are the embedding or the output layer, by whatever name."""

from __future__ import annotations

from preflight.model.vocabulary_layers import vocabulary_layer

PREFIX = "base_model.model.model."
LAYERS = {
    "embedding": (
        "embed_tokens transformer.wte language_model.embed_tokens tok_embeddings "
        "embedding.word_embeddings gpt_neox.embed_in"
    ),
    "output layer": "lm_head unembed_tokens decoder.output_layer output embed_out",
    "": (
        "layers.0.self_attn.q_proj layers.3.attention.output layers.1.mlp.output_proj "
        "visual.patch_embed.proj norm score layers.0.output.dense"
    ),
}


def test_layers_by_their_names_in_different_libraries() -> None:
    for layer, names in LAYERS.items():
        for name in names.split():
            assert vocabulary_layer(f"{PREFIX}{name}") == layer, name
