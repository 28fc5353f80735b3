"""The batch size, computed where it is needed: `x.shape[0]`, or -1 in a reshape, instead of a variable that is passed
around."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.fx import Node
from torch.fx.node import map_arg

from ..graphs.conventions import is_scalar
from .program import Program, scopes

_ARITHMETIC = (operator.add, operator.sub, operator.mul, operator.floordiv, operator.mod)
_SIZES = (2, 3, 5, 7)


def axis_size(tensor: Tensor, axis: int) -> int:
    """What `tensor.shape[axis]` is written as in a graph."""
    return tensor.shape[axis]


def localise(program: Program) -> None:
    """Rewrite every use of a batch-size scalar to one computed from a tensor at hand. Changes `program`."""
    sizes: dict[Node, tuple[int, ...]] = {}
    for node in list(program.graph.nodes):
        if is_scalar(node):
            sizes[node] = _sizes(node, sizes)
        elif any(is_scalar(n) for n in node.all_input_nodes):
            _infer_axis(node)
            scalars = [n for n in node.all_input_nodes if is_scalar(n)]
            for scalar in scalars:
                node.replace_input_with(scalar, _express(scalar, node, sizes, program))
    for node in reversed(program.graph.nodes):
        if is_scalar(node) and not node.users:
            program.graph.erase_node(node)


def _sizes(node: Node, known: dict[Node, tuple[int, ...]]) -> tuple[int, ...]:
    """The scalar's value at a few batch sizes: enough to tell any two of them apart."""
    if node.op == "call_method" and node.target == "size":
        return _extent(node.args[0].meta["shape"][node.args[1]])  # type: ignore[union-attr]
    parts = [known[a] if isinstance(a, Node) else (a,) * len(_SIZES) for a in node.args]
    return tuple(node.target(*values) for values in zip(*parts, strict=True))  # type: ignore[operator]


def _extent(extent: int | str) -> tuple[int, ...]:
    if isinstance(extent, int):
        return (extent,) * len(_SIZES)
    # Arithmetic on N that the trace wrote.
    return tuple(int(eval(extent, {"__builtins__": {}}, {"N": n})) for n in _SIZES)  # noqa: S307


def _infer_axis(node: Node) -> None:
    """In a reshape with one extent that depends on the batch size, that one is -1."""
    shape = node.meta.get("shape", ())
    unknown = [i for i, extent in enumerate(shape) if isinstance(extent, str)]
    if node.op == "call_method" and node.target in ("view", "reshape") and len(unknown) == 1:
        node.args = (node.args[0], *(-1 if isinstance(extent, str) else extent for extent in shape))
        node.kwargs = {}


def _express(scalar: Node, user: Node, sizes: dict[Node, tuple[int, ...]], program: Program) -> Any:
    """A node, right before `user` and in its scope, that computes `scalar` from the nearest tensor."""
    for tensor in _nearby(user):
        for axis, extent in enumerate(tensor.meta["shape"]):
            if isinstance(extent, str) and _extent(extent) == sizes[scalar]:
                return _insert(program, user, axis_size, (tensor, axis))
    if scalar.target in _ARITHMETIC:
        args = map_arg(scalar.args, lambda part: _express(part, user, sizes, program))
        return _insert(program, user, scalar.target, args)
    return scalar


def _insert(program: Program, user: Node, target: Any, args: Any) -> Node:
    with program.graph.inserting_before(user):
        node = program.graph.call_function(target, args)
    node.meta = {"scopes": scopes(user), "scalar": True}
    return node


def _nearby(user: Node) -> Iterator[Node]:
    """Tensors whose shape `user` could read: its operands, then the latest in its scope, then any."""
    operands = [n for n in user.all_input_nodes if "shape" in n.meta]
    yield from operands
    before = []
    node = user.prev
    while node.op != "root":
        if "shape" in node.meta and node.op != "get_attr":
            before.append(node)
        node = node.prev
    yield from (n for n in before if scopes(user) in (scopes(n), *map(scopes, n.users)))
    yield from before
