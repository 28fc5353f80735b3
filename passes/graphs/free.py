"""Which operators are free by the convention that `formulas` states: those that do no products."""

from __future__ import annotations

from typing import Any

import torch

# Free by the convention, though neither element-wise nor a view nor a reduction by torch's own tags.
_ELEMENT_WISE = """
    hardswish glu _prelu_kernel log_sigmoid_forward rrelu_with_noise _thnn_fused_gru_cell _thnn_fused_lstm_cell
    _transform_bias_rescale_qkv linalg_cross
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
    adaptive_max_pool3d fractional_max_pool2d fractional_max_pool3d max_unpool2d max_unpool3d
    upsample_nearest1d upsample_nearest2d upsample_nearest3d _upsample_nearest_exact1d _upsample_nearest_exact2d
    _upsample_nearest_exact3d upsample_linear1d upsample_bilinear2d upsample_trilinear3d _upsample_bilinear2d_aa
    upsample_bicubic2d _upsample_bicubic2d_aa grid_sampler_2d grid_sampler_3d
"""
_REDUCTIONS = """
    sum mean amax amin max min prod var std var_mean std_mean argmax argmin any all logsumexp aminmax cumsum sort
    topk median nanmedian kthvalue mode cumprod cummax cummin logcumsumexp
"""
_MOVING_NUMBERS = """
    _to_copy _unsafe_view _reshape_copy cat stack clone copy contiguous set resize detach alias unsafe_split
    unsafe_chunk lift lift_fresh lift_fresh_copy index index_put _unsafe_index _unsafe_index_put index_select
    index_add gather scatter scatter_add select_scatter slice_scatter masked_fill masked_select embedding where
    nonzero is_nonzero roll flip repeat tile repeat_interleave constant_pad_nd reflection_pad1d reflection_pad2d
    replication_pad2d pad im2col col2im unfold pixel_shuffle pixel_unshuffle channel_shuffle native_channel_shuffle
    reflection_pad3d replication_pad1d replication_pad3d triu tril native_dropout _local_scalar_dense item sym_size
    sym_numel sym_stride sym_storage_offset _assert_async _assert_tensor_metadata _fused_sdp_choice
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


def is_free(operator: Any) -> bool:
    """Whether an operator (an `OpOverload`) costs nothing by the convention.

    Names are believed of torch's own operators only: what a library calls `sum` may do anything. Of any library's, the
    tags are believed, by which it says itself that an operator is element-wise, a reduction or a copy.
    """
    namespace, _, name = operator._schema.name.partition("::")
    if namespace == "prim" or operator.is_view or _FREE_TAGS & set(operator.tags):
        return True
    return namespace == "aten" and (name.removesuffix("_") in _FREE or bool(_FREE_TAGS & _tags_of_original(name)))


def _tags_of_original(name: str) -> set[torch.Tag]:
    """What torch says of the operator that `name`, such as `hardtanh_`, does in place: of that itself some releases do
    not say it."""
    packet = getattr(torch.ops.aten, name.removesuffix("_"), None) if name.endswith("_") else None
    return set() if packet is None else {tag for kind in packet.overloads() for tag in getattr(packet, kind).tags}
