"""Repairs: what makes a directory that would not import one that does.

A repair is a function from one draft of the directory to a better one, registered by
the decorator `repair`, one small file a family. Nothing here writes to the directory
that is repaired: a draft becomes a directory of its own, on which the rules are run.
"""

from __future__ import annotations

from preflight.repair import (
    c_config,
    c_ranks,
    d_adapter,
    d_files,
    d_mlx,
    full,
    json_fields,
    k_names,
    lossy,
    s_formats,
)
from preflight.repair._repair import Change, Repair, Step

__all__ = ["REPAIRS", "Change", "Repair", "Step", "repairs_for"]

REPAIRS: tuple[Repair, ...] = (
    # What can be read at all, and where the weights are.
    d_adapter.inner_directory,
    d_adapter.config_renamed,
    c_config.json_text,
    d_files.leftovers,
    d_adapter.weights_renamed,
    d_adapter.shards_joined,
    d_adapter.pickle_converted,
    d_adapter.link_followed,
    s_formats.described_tensors,
    full.shards_renamed,
    full.full_pickle_converted,
    # Names and shapes.
    d_mlx.mlx_converted,
    k_names.key_names,
    d_mlx.experts_apart,
    k_names.layer_paths,
    k_names.turned_matrices,
    full.full_names,
    full.tied_head,
    full.index_rebuilt,
    # What is left out, and what the config says of the rest.
    lossy.dropped_head,
    lossy.dropped_bias,
    lossy.dropped_modules,
    lossy.dropped_vision,
    c_config.adapter_type,
    c_config.target_modules,
    c_config.rank_of_tensors,
    c_config.unused_switches,
    # Values in other formats, ranks and scales.
    s_formats.one_format,
    c_ranks.reduced_rank,
    c_ranks.one_rank_and_scale,
    s_formats.container_metadata,
    # The small files.
    d_files.broken_files,
    d_files.foreign_config,
    d_files.base_files,
    d_files.foreign_template,
    d_files.base_template,
    d_files.base_tokenizer,
    json_fields.class_name,
    json_fields.stated_dtype,
    json_fields.older_fields,
    json_fields.image_processor,
)
"""All repairs, in the order in which they are tried."""


def repairs_for(code: str) -> tuple[Repair, ...]:
    """The repairs that answer a rule, those without loss first."""
    found = [one for one in REPAIRS if code in one.codes]
    return tuple(sorted(found, key=lambda one: bool(one.flag)))
