"""Multiply-adds of operators, and which operators are free by convention.

`macs` counts convolutions and matrix products, attention's two included, and nothing else: what the field prints as a
network's MACs (and often as its FLOPs). The formulas are torch's own (`torch.utils.flop_counter`), halved, with those
for the products that it lacks. Element-wise functions, normalisation, pooling, resizing and reductions are free by this
convention. Whatever does arithmetic and is neither is uncounted, and reported by name.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import flop_registry

_aten = torch.ops.aten


def _first_times_second_last(a: Tensor, b: Tensor, *_: Any) -> int:
    return a.numel() * (b.shape[-1] if b.dim() > 1 else 1)


# Products that torch's registry lacks; arguments as the operator takes them.
_MACS: dict[Any, Callable[..., int]] = {
    _aten.mv: _first_times_second_last,
    _aten.dot: _first_times_second_last,
    _aten.vdot: _first_times_second_last,
    _aten.addmv: lambda _bias, a, b, *_: _first_times_second_last(a, b),
    _aten.addbmm: lambda _bias, a, b, *_: _first_times_second_last(a, b),
    _aten.addr: lambda _bias, a, b, *_: a.numel() * b.numel(),
    _aten.mkldnn_rnn_layer: lambda x, w_input, w_hidden, *_: prod(x.shape[:2]) * (w_input.numel() + w_hidden.numel()),
    _aten._cudnn_rnn: lambda x, weights, *_: prod(x.shape[:2]) * sum(w.numel() for w in weights if w.dim() == 2),
    _aten.linear: lambda x, weight, *_: prod(x.shape[:-1]) * weight.numel(),
}

# Free by the convention, though neither element-wise nor a view nor a reduction by torch's own tags.
_ELEMENT_WISE = """
    hardswish glu _prelu_kernel log_sigmoid_forward rrelu_with_noise
"""
_NORMALISATION = """
    native_batch_norm _native_batch_norm_legit _native_batch_norm_legit_no_training cudnn_batch_norm miopen_batch_norm
    _batch_norm_no_update _batch_norm_with_update batch_norm_with_update native_layer_norm native_group_norm
    _fused_rms_norm _softmax _log_softmax _safe_softmax softmax log_softmax linalg_vector_norm norm renorm
    _weight_norm_interface _weight_norm_interface_copy
"""
_POOLING_AND_RESIZING = """
    max_pool1d max_pool2d max_pool3d max_pool2d_with_indices max_pool3d_with_indices avg_pool1d avg_pool2d avg_pool3d
    adaptive_avg_pool1d _adaptive_avg_pool2d _adaptive_avg_pool3d adaptive_max_pool2d adaptive_max_pool3d
    upsample_nearest1d upsample_nearest2d _upsample_nearest_exact2d upsample_linear1d upsample_bilinear2d
    _upsample_bilinear2d_aa upsample_bicubic2d _upsample_bicubic2d_aa
"""
_REDUCTIONS = """
    sum mean amax amin max min prod var std var_mean std_mean argmax argmin any all logsumexp aminmax cumsum sort
    topk median
"""
_MOVING_NUMBERS = """
    _to_copy _unsafe_view _reshape_copy cat stack clone copy contiguous set resize detach alias unsafe_split
    unsafe_chunk lift lift_fresh lift_fresh_copy index index_put _unsafe_index _unsafe_index_put index_select
    index_add gather scatter scatter_add select_scatter slice_scatter masked_fill masked_select embedding where
    nonzero is_nonzero roll flip repeat tile repeat_interleave constant_pad_nd reflection_pad1d reflection_pad2d
    replication_pad2d pad im2col col2im unfold pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle
    triu tril native_dropout _local_scalar_dense item sym_size sym_numel sym_stride sym_storage_offset _assert_async
    _assert_tensor_metadata
"""
_MAKING_NUMBERS = """
    arange linspace full full_like zeros zeros_like ones ones_like empty empty_like empty_strided new_empty
    new_empty_strided new_zeros new_ones new_full fill zero eye one_hot bincount scalar_tensor tril_indices triu_indices
    rand randn rand_like randn_like randint randperm bernoulli uniform normal
"""
_FREE = frozenset(
    " ".join(
        (_ELEMENT_WISE, _NORMALISATION, _POOLING_AND_RESIZING, _REDUCTIONS, _MOVING_NUMBERS, _MAKING_NUMBERS)
    ).split()
)
_FREE_TAGS = {
    getattr(torch.Tag, name)
    for name in ("pointwise", "reduction", "view_copy", "inplace_view")
    if hasattr(torch.Tag, name)  # torch has not had them all for long
}


def macs_of(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int | None:
    """Multiply-adds of one call of an aten operator (an `OpOverload`), or None where there is no formula."""
    packet = operator._overloadpacket
    if packet in _MACS:
        return _MACS[packet](*args, **kwargs)
    if packet in flop_registry:
        return flop_registry[packet](*args, **kwargs, out_val=out) // 2
    return None


def is_free(operator: Any) -> bool:
    """Whether an aten operator costs nothing by the convention of this module."""
    name = operator._overloadpacket.__name__
    return bool(operator.is_view or _FREE_TAGS & set(operator.tags) or name.removesuffix("_") in _FREE)
