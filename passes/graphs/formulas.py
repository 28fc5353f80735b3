"""Multiply-adds of operators, by formulas of our own: the same whatever torch is installed.

`macs` counts convolutions and matrix products, attention's two included, and nothing else: what the field prints as a
network's MACs (and often as its FLOPs). Element-wise functions, normalisation, pooling, resizing and reductions are
free by this convention (see `free`). Whatever does arithmetic and is neither is uncounted, and reported by name.

Attention is its two products over all positions, whichever kernel runs it and whatever a mask leaves out. Sequences of
several lengths that are packed into one tensor are counted as if each were the longest.

Operators are known by name, so that there may be formulas for operators that the installed torch lacks. A formula is
called with the operator's arguments in the order of its schema, and with `out`, what it gave.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor

Formula = Callable[..., int]
_FORMULAS: dict[str, Formula] = {}


def macs_of(operator: Any, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> int | None:
    """Multiply-adds of one call of an operator (an `OpOverload` or a `HigherOrderOperator`), or None where there is no
    formula."""
    formula = formula_of(name_of(operator))
    return formula(*args, **kwargs, out=out) if formula else None


def formula_of(name: str) -> Formula | None:
    """The formula of an operator by its name, `aten::mm`; that of `baddbmm_`, which works in place, is `baddbmm`'s."""
    return _FORMULAS.get(name) or _FORMULAS.get(name.removesuffix("_"))


def name_of(operator: Any) -> str:
    """`aten::mm` of `torch.ops.aten.mm.default`; of a higher-order operator its bare name, such as `flex_attention`."""
    return operator._schema.name if isinstance(operator, torch._ops.OpOverload) else operator.name()


def _formula_for(names: str) -> Callable[[Formula], Formula]:
    """Makes a function the formula of these operators; those without a namespace are torch's own."""

    def register(formula: Formula) -> Formula:
        _FORMULAS.update({name if "::" in name else f"aten::{name}": formula for name in names.split()})
        return formula

    return register


# Matrix products: every number of the result is a sum of k products.


@_formula_for("""
    mm bmm mv dot vdot linear matmul mkldnn_linear mkldnn::_linear_pointwise mkl::_mkl_linear _int_mm _scaled_mm
    _scaled_mm_v2 _weight_int8pack_mm _weight_int4pack_mm _weight_int4pack_mm_for_cpu
    _weight_int4pack_mm_with_scales_and_zeros _dyn_quant_matmul_4bit _mixed_dtypes_linear
""")
def _product(a: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """a: [..., k]."""
    return out.numel() * a.shape[-1]


@_formula_for("addmm baddbmm addmv _addmm_activation")
def _product_and_sum(_: Tensor, a: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    return out.numel() * a.shape[-1]


@_formula_for("addbmm")
def _sum_of_products(_: Tensor, a: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    """a: [b, n, k], out: [n, p]."""
    return out.numel() * a.shape[0] * a.shape[-1]


@_formula_for("addr")
def _outer_product(*_: Any, out: Tensor, **__: Any) -> int:
    return out.numel()


@_formula_for("_grouped_mm _scaled_grouped_mm _scaled_grouped_mm_v2")
def _grouped_product(a: Tensor, b: Tensor, *_: Any, out: Tensor, **__: Any) -> int:
    """Groups of two matrices divide the axis that is summed over; otherwise they divide rows or columns."""
    return a.numel() * b.shape[-1] if a.dim() == b.dim() == 2 else out.numel() * a.shape[-1]


@_formula_for("_foreach_mm")
def _several_products(several: Sequence[Tensor], _: Sequence[Tensor], *, out: Sequence[Tensor]) -> int:
    return sum(_product(a, out=result) for a, result in zip(several, out, strict=True))


@_formula_for("_trilinear")
def _trilinear(*args: Any, **_: Any) -> int:
    """The product of the first two operands, summed over what the third lacks, then that with the third."""
    operands, new_axes, summed = args[:3], args[3:6], args[6]
    shapes = [_with_axes(t.shape, axes) for t, axes in zip(operands, new_axes, strict=True)]
    first = torch.broadcast_shapes(*shapes[:2])
    between = [1 if axis in summed and axis in new_axes[2] else size for axis, size in enumerate(first)]
    return prod(first) + prod(torch.broadcast_shapes(between, shapes[2]))


def _with_axes(shape: Sequence[int], axes: Sequence[int]) -> list[int]:
    grown = list(shape)
    for axis in sorted(axes):
        grown.insert(axis, 1)
    return grown


# Recurrent layers: at each step, every matrix is used once.


@_formula_for("mkldnn_rnn_layer")
def _recurrent_layer(x: Tensor, of_input: Tensor, of_state: Tensor, *_: Any, **__: Any) -> int:
    """x: [steps, batch, channels]."""
    return prod(x.shape[:2]) * (of_input.numel() + of_state.numel())


@_formula_for("_cudnn_rnn miopen_rnn")
def _recurrent_network(x: Tensor, weights: Sequence[Tensor], *_: Any, **__: Any) -> int:
    return prod(x.shape[:2]) * sum(w.numel() for w in weights if w.dim() == 2)


@_formula_for("_lstm_mps")
def _recurrent_network_of_mps(x: Tensor, _: Any, weights: Sequence[Tensor], *__: Any, **___: Any) -> int:
    return _recurrent_network(x, weights)


# Convolutions: every weight is used once at each position of the result, or of the input where it is transposed.


@_formula_for("""
    conv1d conv2d conv3d _convolution_mode cudnn_convolution cudnn_convolution_relu cudnn_convolution_add_relu
    miopen_convolution miopen_convolution_relu miopen_convolution_add_relu miopen_depthwise_convolution
    mkldnn_convolution mkldnn::_convolution_pointwise _conv_depthwise2d conv_depthwise3d _slow_conv2d_forward
    thnn_conv2d slow_conv3d slow_conv3d_forward slow_conv_dilated2d slow_conv_dilated3d _nnpack_spatial_convolution
    _mps_convolution torchvision::deform_conv2d
""")
def _convolution(_: Tensor, weight: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    return _at_each_position(out, weight)


@_formula_for("""
    conv_transpose1d conv_transpose2d conv_transpose3d cudnn_convolution_transpose miopen_convolution_transpose
    slow_conv_transpose2d slow_conv_transpose3d _mps_convolution_transpose mkldnn::_convolution_transpose_pointwise
""")
def _transposed_convolution(x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    return _at_each_position(x, weight)


@_formula_for("convolution _convolution convolution_overrideable")
def _any_convolution(*args: Any, out: Tensor, **_: Any) -> int:
    x, weight, transposed = args[0], args[1], args[6]
    return _at_each_position(x if transposed else out, weight)


@_formula_for("conv_tbc")
def _convolution_in_time(_: Tensor, weight: Tensor, *__: Any, out: Tensor, **___: Any) -> int:
    """out: [steps, batch, channels]."""
    return prod(out.shape[:2]) * weight.numel()


def _at_each_position(maps: Tensor, weight: Tensor) -> int:
    """maps: [n, channels, *positions], or without n. weight: [channels, channels, *kernel]."""
    axes = weight.dim() - 2
    return prod(maps.shape[: -axes - 1]) * prod(maps.shape[-axes:]) * weight.numel()


# Attention: the product of queries and keys, and the product of that and the values.


@_formula_for("""
    scaled_dot_product_attention _scaled_dot_product_attention_math _scaled_dot_product_attention_math_for_mps
    _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu
    _scaled_dot_product_efficient_attention _scaled_dot_product_cudnn_attention
    _scaled_dot_product_fused_attention_overrideable _triton_scaled_dot_attention
""")
def _attention(q: Tensor, k: Tensor, v: Tensor, *_: Any, **__: Any) -> int:
    """q: [..., heads, queries, d]. k, v: [..., heads, keys, d]; several heads of q may share one of these."""
    return prod(q.shape[:-1]) * k.shape[-2] * (q.shape[-1] + v.shape[-1])


_FORMULAS["flex_attention"] = _attention


@_formula_for("_flash_attention_forward")
def _flash_attention(
    q: Tensor, k: Tensor, v: Tensor, starts_q: Any, _: Any, longest_q: int, longest_k: int, *__: Any, **___: Any
) -> int:
    """q: [n, queries, heads, d]; [positions, heads, d] where sequences are packed. k and v likewise."""
    if starts_q is None:
        return _attention(*(t.transpose(1, 2) for t in (q, k, v)))
    return _packed_attention(q, v, starts_q, longest_q, longest_k)


@_formula_for("_flash_attention_forward_no_dropout_inplace")
def _flash_attention_into(_: Tensor, *args: Any, **kwargs: Any) -> int:
    return _flash_attention(*args, **kwargs)


@_formula_for("_efficient_attention_forward")
def _efficient_attention(
    q: Tensor, k: Tensor, v: Tensor, _: Any, starts_q: Any, __: Any, longest_q: int, longest_k: int, *___: Any,
    **____: Any,
) -> int:  # fmt: skip
    """q: [n, queries, heads, d]; [1, positions, heads, d] where sequences are packed. k and v likewise."""
    return _flash_attention(q, k, v, starts_q, None, longest_q, longest_k)


@_formula_for("_cudnn_attention_forward")
def _cudnn_attention(
    q: Tensor, k: Tensor, v: Tensor, _: Any, starts_q: Any, __: Any, longest_q: int, longest_k: int, *___: Any,
    **____: Any,
) -> int:  # fmt: skip
    """q: [n, heads, queries, d]; [positions, heads, d] where sequences are packed. k and v likewise."""
    return _attention(q, k, v) if starts_q is None else _packed_attention(q, v, starts_q, longest_q, longest_k)


def _packed_attention(q: Tensor, v: Tensor, starts: Tensor, longest_q: int, longest_k: int) -> int:
    """starts: [sequences + 1]. q: [..., heads, d]."""
    sequences = starts.shape[0] - 1
    return sequences * q.shape[-2] * longest_q * longest_k * (q.shape[-1] + v.shape[-1])


@_formula_for("_native_multi_head_attention _triton_multi_head_attention")
def _multi_head_attention(*args: Any, **_: Any) -> int:
    """Projections of q, k and v, attention, and the projection of what comes of it. q: [n, queries, d]."""
    q, k, v, width = args[:4]
    projections = (2 * q.numel() + k.numel() + v.numel()) * width
    return projections + _attention(q, k, v)


@_formula_for("_transformer_encoder_layer_fwd")
def _encoder_layer(*args: Any, **_: Any) -> int:
    """Self-attention and the two layers behind it. x: [n, positions, d]."""
    x, matrices = args[0], (args[3], args[5], args[14], args[16])
    return prod(x.shape[:-1]) * sum(matrix.numel() for matrix in matrices) + _attention(x, x, x)
