"""What operators that compute do to the axes of their operands. One that is not here works element by element."""

from __future__ import annotations

from collections.abc import Sequence

from .axes import (
    Axes,
    Extent,
    Pieces,
    broadcast,
    factors,
    fresh,
    kind,
    mixed,
    read_as_channels,
    reshape,
    size,
    unify,
    unknown,
)
from .call import RULES, Call, TupleAxes, rule


def infer(call: Call) -> Axes | TupleAxes:
    """The axes of what the node returns, or of each item where that is a tuple."""
    return RULES.get(call.name, elementwise)(call)


def elementwise(call: Call) -> Axes | TupleAxes:
    """Aligned operands share their axes. What does not align (an operator that nobody described) is unknown."""
    if not call.given:
        return lambda i, shape: unknown(shape)
    shape = call.shape
    operands = [call.axes(node) for node in call.operands()]
    if all(_aligns(axes, shape) for axes in operands):
        return broadcast(operands, shape)
    return unknown(shape)


def _aligns(axes: Axes, shape: Sequence[Extent]) -> bool:
    if len(axes) > len(shape):
        return False
    return all(size(p) in ((1, 0), factors(n)) for p, n in zip(axes[::-1], shape[::-1], strict=False))


@rule("expand", "expand_as", "broadcast_to")
def expanded(call: Call) -> Axes:
    """Axes of size 1 are repeated."""
    return broadcast([call.source], call.shape)


@rule("LayerNorm", "layer_norm", "RMSNorm", "rms_norm")
def norm_last(call: Call) -> Axes:
    """A norm over the last axes; over one, that axis holds channels."""
    over = call.option(1, "normalized_shape", (0,))
    if isinstance(over, int) or len(over) == 1:
        read_as_channels(call.source[-1])
    return call.source


@rule("BatchNorm1d", "BatchNorm2d", "batch_norm", "GroupNorm", "group_norm", "InstanceNorm2d", "instance_norm")
def norm_first(call: Call) -> Axes:
    """A norm for each channel of axis 1."""
    read_as_channels(call.source[1])
    return call.source


# -- mixing one axis -----------------------------------------------------------------------------------------


@rule("Linear", "linear", "LazyLinear")
def linear(call: Call) -> Axes:
    """The last axis becomes output features."""
    return (*call.source[:-1], mixed(call.source[-1], call.shape[-1]))


@rule("Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d", "ConvTranspose2d", "conv1d", "conv2d", "conv3d")
def convolution(call: Call) -> Axes:
    """Axis 1 becomes output channels; the others keep their kinds."""
    rest = _resized(call.source, call.shape)[2:]
    return (call.source[0], mixed(call.source[1], call.shape[1]), *rest)


RULES |= dict.fromkeys(["conv_transpose1d", "conv_transpose2d", "convolution"], convolution)


@rule("LSTM", "GRU", "RNN", "lstm", "gru")
def recurrent(call: Call) -> TupleAxes:
    """The output sequence has new features in its last axis; the states are unknown."""
    source = call.source

    def item(i: int, shape: tuple[Extent, ...]) -> Axes:
        return (*source[:-1], mixed(source[-1], shape[-1])) if i == 0 else unknown(shape)

    return item


# -- sizes of rows and columns -------------------------------------------------------------------------------


def _resized(axes: Axes, shape: Sequence[Extent]) -> Axes:
    """Axes of the same kinds. One of the same size keeps its indices; rows that come of nothing are rows by place."""
    out = []
    maps = len(shape) == 4 and kind(axes[1]) == "C"
    for i, (pieces, extent) in enumerate(zip(axes, shape, strict=True)):
        if size(pieces) == factors(extent):
            out.append(pieces)
        elif not pieces and maps and i >= 2:
            out.append(fresh(extent, "HW"[i - 2]))
        else:
            out.append(fresh(extent, kind(pieces)))
    return tuple(out)


def resized(call: Call) -> Axes | TupleAxes:
    """Pooling, padding and resizing: axes keep their kinds, with other extents."""
    source = call.source
    if not call.given:  # pooling that returns its indices too
        return lambda i, shape: _resized(source, shape)
    return _resized(source, call.shape) if len(source) == len(call.shape) else unknown(call.shape)


RULES |= dict.fromkeys(
    [
        *("MaxPool1d", "MaxPool2d", "AvgPool1d", "AvgPool2d", "LPPool2d"),
        *("AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "FractionalMaxPool2d"),
        *("max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "lp_pool2d", "max_pool2d_with_indices"),
        *("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool2d"),
        *("pad", "_pad", "ZeroPad1d", "ZeroPad2d", "ConstantPad2d", "ReflectionPad2d", "ReplicationPad2d"),
        *("interpolate", "upsample", "Upsample", "UpsamplingBilinear2d", "UpsamplingNearest2d", "grid_sample"),
        *("upsample_nearest2d", "upsample_bilinear2d", "upsample_bicubic2d", "constant_pad_nd", "reflection_pad2d"),
        *("pixel_shuffle", "pixel_unshuffle", "PixelShuffle", "PixelUnshuffle"),
        *("repeat", "tile", "repeat_interleave"),
        *("fft_rfft", "fft_irfft", "fft_rfft2", "fft_irfft2", "fft_rfftn", "fft_irfftn"),
    ],
    resized,
)


@rule("Fold", "fold", "col2im")
def folded(call: Call) -> Axes:
    """F.fold: columns put back into maps [N, C, H, W]."""
    _, c, h, w = call.shape
    return (call.source[0], fresh(c, "C"), fresh(h, "H"), fresh(w, "W"))


@rule("unfold", "Unfold", "im2col")
def unfolded(call: Call) -> Axes:
    """Tensor.unfold: windows of one axis as a new last axis; F.unfold: see `_windows`."""
    if call.node.op != "call_method":
        return _windows(call)
    dim, window, step = call.axis(call.arg(1, "dimension")), call.arg(2, "size"), call.arg(3, "step")
    out, extent = list(call.source), call.shape[dim]
    if window == step and isinstance(extent, int) and size(out[dim]) == (extent * window, 0):
        out[dim], inner = reshape((out[dim],), (extent, window))
        return (*out, inner)
    out[dim] = fresh(extent, kind(out[dim]))
    return (*out, fresh(call.shape[-1]))


def _windows(call: Call) -> Axes:
    """F.unfold: [N, C, H, W] to [N, C * window, positions], and the positions are a grid again."""
    options = [("kernel_size", None), ("dilation", 1), ("padding", 0), ("stride", 1)]
    pairs = [call.option(1 + i, name, default) for i, (name, default) in enumerate(options)]
    window, dilation, padding, stride = (pair if isinstance(pair, tuple | list) else (pair, pair) for pair in pairs)
    grid = []
    for i, extent in enumerate(call.source_shape[-2:]):
        span = extent + 2 * padding[i] - dilation[i] * (window[i] - 1) - 1
        grid.append(fresh(span // stride[i] + 1, "HW"[i]))
    return (call.source[0], mixed(call.source[1], call.shape[1]), grid[0] + grid[1])


# -- products ------------------------------------------------------------------------------------------------


@rule("matmul", "bmm", "mm", "baddbmm", "addmm")
def product(call: Call) -> Axes:
    """A matrix product: the axis that is summed over is one and the same in both operands."""
    first = 1 if call.name in ("baddbmm", "addmm") else 0
    a, b = call.axes(call.arg(first, "input")), call.axes(call.arg(first + 1, "other"))
    if len(a) < 2 or len(b) < 2:
        return unknown(call.shape)
    if size(a[-1]) == size(b[-2]):
        unify([a[-1], b[-2]])
    return (*broadcast([a[:-2], b[:-2]], call.shape[:-2]), a[-2], b[-1])


@rule("einsum")
def einsum(call: Call) -> Axes:
    """Axes by the letters of the equation; axes of one letter are the same."""
    equation, *operands = call.node.args
    if len(operands) == 1 and isinstance(operands[0], tuple | list):
        operands = list(operands[0])
    left, arrow, right = str(equation).replace(" ", "").partition("->")
    if "." in left or not arrow:
        return unknown(call.shape)
    letters: dict[str, list[Pieces]] = {}
    for word, operand in zip(left.split(","), operands, strict=True):
        for letter, pieces in zip(word, call.axes(operand), strict=True):
            letters.setdefault(letter, []).append(pieces)
    return tuple(unify(letters[letter]) for letter in right)


@rule("scaled_dot_product_attention", "_scaled_dot_product_attention")
def attention(call: Call) -> Axes:
    """The axes of the query, with the features of the value."""
    query, value = call.axes(call.arg(0, "query")), call.axes(call.arg(2, "value"))
    return (*query[:-1], value[-1])


@rule("MultiheadAttention", "multi_head_attention_forward")
def attention_module(call: Call) -> TupleAxes:
    """The axes of the query, with new features; the attention weights are unknown."""
    query = call.axes(call.arg(0, "query"))

    def item(i: int, shape: tuple[Extent, ...]) -> Axes:
        return (*query[:-1], mixed(query[-1], shape[-1])) if i == 0 else unknown(shape)

    return item
