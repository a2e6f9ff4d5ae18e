"""Tensors that exist in quantised weights alone, by their names."""

from __future__ import annotations

# What the last part of a name is called by GPTQ, AWQ and EXL2 (qweight, qzeros, scales,
# g_idx), bitsandbytes (absmax, quant_map, SCB), compressed-tensors and ModelOpt
# (weight_packed, *_scale, *_zero_point), DeepSeek's FP8 (weight_scale_inv), MLX (scales
# and biases beside a packed weight), HQQ (W_q, meta), quanto (_data, _scale), AQLM and
# VPTQ (codes, codebooks, centroids, indices).
_PARTS = frozenset({
    "qweight", "qzeros", "scales", "biases", "g_idx", "q_weight", "q_scale",
    "q_invperm", "absmax", "quant_map", "SCB", "nested_absmax", "nested_quant_map",
    "weight_format", "weight_packed", "weight_scale", "weight_scale_2",
    "weight_scale_inv", "weight_scales", "weight_shape", "weight_g_idx",
    "weight_zero_point", "input_scale", "input_zero_point", "output_scale", "k_scale",
    "v_scale", "W_q", "meta", "_data", "_scale", "_zeropoint", "codes", "codebooks",
    "centroids", "indices",
})  # fmt: skip


def is_quantised_part(name: str) -> bool:
    """Whether a tensor of this name holds packed values or their scales."""
    return name.rpartition(".")[2] in _PARTS or ".quant_state." in name


def module_of(name: str) -> str:
    """The module that a part belongs to: `a.b` of `a.b.qweight`."""
    module = name.partition(".quant_state.")[0]
    module = module if module != name else name.rpartition(".")[0]
    return module.removesuffix(".weight")
