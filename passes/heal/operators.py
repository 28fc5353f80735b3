"""Operators that are linear in their weights, each as the rows of a least-squares problem.

For an operator y = A(x) w the rows are: `design(x)`, what the weights multiply, [groups, rows, features]; and
`rows(y)`, the outputs that they make, [groups, rows, channels]. A group is a set of outputs with inputs of its own: one
for a convolution or a Linear, one for each channel of a depthwise convolution or of a normalisation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Node

from ..graphs.conventions import is_tensor
from ..numerics.im2col import grouped_rows

# Bytes of the im2col of one slice of images at most, even if more memory is free: larger slices miss the cache.
SLICE_BYTES = 32 << 20


@dataclass(frozen=True)
class Operator:
    """A node that is linear in its weight and in its bias.

    node: of the graph that is healed. given: the node of its input. weight: what is refitted, in place. bias: likewise;
    None where it has none.
    """

    node: Node
    given: Node
    weight: Tensor
    bias: Tensor | None

    @property
    def unknowns(self) -> tuple[int, int, int]:
        """(groups, features, channels of a group): the shape of what `rearranged` takes."""
        raise NotImplementedError

    def rows(self, y: Tensor) -> Tensor:
        """Outputs as [groups, rows, channels]."""
        raise NotImplementedError

    def design(self, x: Tensor, every: int = 1) -> Tensor:
        """What the weights multiply, for x: [groups, rows, features]; of all rows each so many-th, from the first."""
        raise NotImplementedError

    def rearranged(self, solution: Tensor) -> Tensor:
        """A solution [groups, features, channels] in the shape of the weight."""
        raise NotImplementedError

    def slices(self, x: Tensor, y: Tensor, most: int, limit: int) -> Iterator[tuple[Tensor, Tensor]]:
        """`design` and `rows` of a few images at a time, so that no im2col is ever whole but takes `limit` bytes at
        most; of each image at most so many rows, evenly."""
        _, features, channels = self.unknowns
        positions = max(1, y[0].numel() // (channels * self.unknowns[0]))
        step = max(1, min(limit, SLICE_BYTES) // (4 * features * self.unknowns[0] * positions))
        every = -(-positions // most)
        for part, out in zip(x.split(step), y.split(step), strict=True):
            yield self.design(part, every), self.rows(out)[:, ::every]

    def by_channel(self, values: Tensor) -> Tensor:
        """Values [groups, channels] in the order of the bias."""
        return values.flatten()


class Matrix(Operator):
    """Linear: the same matrix for every position."""

    @property
    def unknowns(self) -> tuple[int, int, int]:
        return 1, self.weight.shape[1], self.weight.shape[0]

    def rows(self, y: Tensor) -> Tensor:
        return y.reshape(1, -1, self.weight.shape[0])

    def design(self, x: Tensor, every: int = 1) -> Tensor:
        return x.reshape(1, -1, self.weight.shape[1])[:, ::every]

    def rearranged(self, solution: Tensor) -> Tensor:
        return solution[0].T


@dataclass(frozen=True)
class Convolution(Operator):
    """A convolution over two axes, with groups: im2col is its design.

    pad: (left, right, top, bottom) and how, as `F.pad` takes them.
    """

    stride: tuple[int, int]
    dilation: tuple[int, int]
    groups: int
    pad: tuple[int, int, int, int]
    pad_mode: str = "constant"

    @property
    def kernel(self) -> tuple[int, int]:
        height, width = self.weight.shape[2:]
        return height, width

    @property
    def unknowns(self) -> tuple[int, int, int]:
        return self.groups, self.weight[0].numel(), self.weight.shape[0] // self.groups

    def rows(self, y: Tensor) -> Tensor:
        groups, _, channels = self.unknowns
        return y.reshape(len(y), groups, channels, -1).permute(1, 0, 3, 2).reshape(groups, -1, channels)

    def design(self, x: Tensor, every: int = 1) -> Tensor:
        return grouped_rows(self._padded(x), self.kernel, self.stride, self.dilation, self.groups, every)

    def _padded(self, x: Tensor) -> Tensor:
        return F.pad(x, self.pad, self.pad_mode) if any(self.pad) else x

    def rearranged(self, solution: Tensor) -> Tensor:
        return solution.transpose(1, 2).reshape(self.weight.shape)


@dataclass(frozen=True)
class Transposed(Convolution):
    """A transposed convolution: the same as a convolution with the kernel turned round, on the input with zeros set
    between its pixels."""

    @property
    def unknowns(self) -> tuple[int, int, int]:
        inputs, channels, height, width = self.weight.shape
        return self.groups, inputs // self.groups * height * width, channels

    def design(self, x: Tensor, every: int = 1) -> Tensor:
        (up, left), (height, width) = self.stride, x.shape[2:]
        spread = x.new_zeros(*x.shape[:2], (height - 1) * up + 1, (width - 1) * left + 1)
        spread[:, :, ::up, ::left] = x
        return grouped_rows(self._padded(spread), self.kernel, (1, 1), self.dilation, self.groups, every)

    def rearranged(self, solution: Tensor) -> Tensor:
        inputs, channels, height, width = self.weight.shape
        turned = solution.reshape(self.groups, inputs // self.groups, height, width, channels).flip(2, 3)
        return turned.permute(0, 1, 4, 2, 3).reshape(self.weight.shape)


@dataclass(frozen=True)
class Affine(Operator):
    """The weight and bias of a normalisation: of every channel one number each.

    module: the normalisation. axis: of the channels in its output.
    """

    module: nn.Module
    axis: int

    @property
    def unknowns(self) -> tuple[int, int, int]:
        return self.weight.numel(), 1, 1

    def rows(self, y: Tensor) -> Tensor:
        return y.movedim(self.axis, 0).reshape(self.weight.numel(), -1, 1)

    def design(self, x: Tensor, every: int = 1) -> Tensor:
        return self.rows(_normalised(self.module, x))[:, ::every]

    def rearranged(self, solution: Tensor) -> Tensor:
        return solution.reshape(self.weight.shape)


def operator_of(graph: GraphModule, node: Node) -> Operator | None:
    """The operator that a node is; None for a node that is none or that no rows are known for."""
    if not is_tensor(node) or not node.args or not isinstance(node.args[0], Node):
        return None
    if node.op == "call_module":
        return _of_module(node, graph.get_submodule(str(node.target)))
    if node.op == "call_function" and node.target in _FUNCTIONS:
        return _of_call(graph, node)
    return None


def _of_module(node: Node, module: nn.Module) -> Operator | None:
    given = node.args[0]
    assert isinstance(given, Node)
    if isinstance(module, nn.Linear):
        return Matrix(node, given, module.weight, module.bias)
    if isinstance(module, nn.Conv2d):
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        pad = _pad(module.padding, tuple(module.weight.shape[2:]), module.dilation)
        stride, dilation = _pair(module.stride), _pair(module.dilation)
        return Convolution(node, given, module.weight, module.bias, stride, dilation, module.groups, pad, mode)
    if isinstance(module, nn.ConvTranspose2d) and len(node.args) == 1:
        options = (module.stride, module.padding, module.output_padding, module.dilation, module.groups)
        return _transposed(node, given, module.weight, module.bias, *options)
    if isinstance(module, nn.LayerNorm | nn.GroupNorm | nn.modules.batchnorm._BatchNorm):
        if getattr(module, "weight", None) is None or module.weight.ndim != 1:
            return None
        axis = -1 if isinstance(module, nn.LayerNorm) else 1
        return Affine(node, given, module.weight, module.bias, module, axis)
    return None


_FUNCTIONS: dict[Any, tuple[str, ...]] = {
    F.linear: ("input", "weight", "bias"),
    torch.conv2d: ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    F.conv2d: ("input", "weight", "bias", "stride", "padding", "dilation", "groups"),
    F.conv_transpose2d: ("input", "weight", "bias", "stride", "padding", "output_padding", "groups", "dilation"),
}


def _of_call(graph: GraphModule, node: Node) -> Operator | None:
    """A call whose weights are parameters as they are, not computed from some."""
    called: dict[str, Any] = dict(zip(_FUNCTIONS[node.target], node.args, strict=False)) | dict(node.kwargs)
    tensors: dict[str, Tensor] = {}
    for name in ("weight", "bias"):
        held = called.get(name)
        if isinstance(held, Node):
            if held.op != "get_attr" or len(held.users) > 1:
                return None
            tensors[name] = _attribute(graph, str(held.target))
    given, weight, bias = node.args[0], tensors.get("weight"), tensors.get("bias")
    assert isinstance(given, Node)
    if weight is None or not isinstance(weight, nn.Parameter):
        return None
    if node.target is F.linear:
        return Matrix(node, given, weight, bias)
    stride, dilation = (_pair(called.get(name, 1)) for name in ("stride", "dilation"))
    groups = called.get("groups", 1)
    if node.target is F.conv_transpose2d:
        padding, extra = (_pair(called.get(name, 0)) for name in ("padding", "output_padding"))
        return _transposed(node, given, weight, bias, stride, padding, extra, dilation, groups)
    pad = _pad(called.get("padding", 0), tuple(weight.shape[2:]), dilation)
    return Convolution(node, given, weight, bias, stride, dilation, groups, pad)


def _transposed(
    node: Node, given: Node, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, extra: Any,
    dilation: Any, groups: int,
) -> Operator:  # fmt: skip
    before = [d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding, strict=True)]
    pad = (before[1], before[1] + extra[1], before[0], before[0] + extra[0])
    return Transposed(node, given, weight, bias, tuple(stride), tuple(dilation), groups, pad)


def _normalised(module: nn.Module, x: Tensor) -> Tensor:
    if isinstance(module, nn.LayerNorm):
        return F.layer_norm(x, module.normalized_shape, None, None, module.eps)
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(x, module.num_groups, None, None, module.eps)
    assert isinstance(module, nn.modules.batchnorm._BatchNorm)
    return F.batch_norm(x, module.running_mean, module.running_var, None, None, False, 0.0, module.eps)


def _pad(padding: Any, kernel: tuple[int, ...], dilation: Any) -> tuple[int, int, int, int]:
    if padding == "valid":
        return (0, 0, 0, 0)
    if padding == "same":
        total = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
        return (total[1] // 2, total[1] - total[1] // 2, total[0] // 2, total[0] - total[0] // 2)
    down, across = _pair(padding)
    return (across, across, down, down)


def _pair(value: Any) -> tuple[int, int]:
    if isinstance(value, int):
        return value, value
    return (value[0], value[0]) if len(value) == 1 else (value[0], value[1])


def _attribute(graph: GraphModule, path: str) -> Any:
    holder, _, name = path.rpartition(".")
    return getattr(graph.get_submodule(holder), name)
