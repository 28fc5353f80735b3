"""What operators that only move, select or put together do to the axes of their operands; and reductions."""

from __future__ import annotations

from typing import Any

from torch.fx import Node

from .axes import (
    Axes,
    Extent,
    Pieces,
    broadcast,
    concatenated,
    factors,
    fresh,
    kind,
    known,
    reshape,
    section,
    size,
    unknown,
)
from .call import RULES, Call, TupleAxes, rule
from .compute import elementwise


@rule(
    "view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as", "reshape_as", "Flatten", "Unflatten"
)
def reshaped(call: Call) -> Axes:
    """Axes split and merged as the new shape needs."""
    return reshape(call.source, call.shape)


RULES |= dict.fromkeys(["_unsafe_view", "ravel", "atleast_2d", "atleast_3d"], reshaped)


@rule("permute")
def permuted(call: Call) -> Axes:
    """Axes in another order."""
    return tuple(call.source[i] for i in call.numbers(1, "dims"))


@rule("transpose", "swapaxes", "swapdims")
def transposed(call: Call) -> Axes:
    """Two axes exchanged."""
    a, b = call.axis(call.arg(1, "dim0")), call.axis(call.arg(2, "dim1"))
    out = list(call.source)
    out[a], out[b] = out[b], out[a]
    return tuple(out)


@rule("t", "adjoint", "numpy_T")
def turned(call: Call) -> Axes:
    """The last two axes exchanged."""
    return (*call.source[:-2], *call.source[:-3:-1])


@rule("movedim", "moveaxis")
def moved(call: Call) -> Axes:
    """Some axes moved to other places."""
    sources, targets = (
        [call.axis(i) for i in (given if isinstance(given, tuple | list) else [given])]
        for given in (call.arg(1, "source"), call.arg(2, "destination"))
    )
    rest = [i for i in range(len(call.source)) if i not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        rest.insert(target, origin)
    return tuple(call.source[i] for i in rest)


# -- parts ---------------------------------------------------------------------------------------------------


@rule("cat", "concat", "concatenate")
def joined(call: Call) -> Axes:
    """Concatenation along one axis; the other axes are shared."""
    operands = [call.axes(node) for node in call.arg(0, "tensors")]
    rank = len(call.shape)
    operands = [axes for axes in operands if len(axes) == rank]
    dim = call.axis(call.arg(1, "dim", 0), rank)
    others = [(*axes[:dim], (), *axes[dim + 1 :]) for axes in operands]
    out = list(broadcast(others, (*call.shape[:dim], 1, *call.shape[dim + 1 :])))
    extents = [size(axes[dim]) for axes in operands]
    if all(batch == 0 for _, batch in extents):
        out[dim] = concatenated([(n, axes[dim]) for (n, _), axes in zip(extents, operands, strict=True)])
    else:
        out[dim] = fresh(call.shape[dim])
    return tuple(out)


@rule("stack")
def stacked(call: Call) -> Axes:
    """A new axis, and the others shared."""
    operands = [call.axes(node) for node in call.arg(0, "tensors")]
    dim = call.axis(call.arg(1, "dim", 0), len(call.shape))
    out = broadcast(operands, call.shape[:dim] + call.shape[dim + 1 :])
    return (*out[:dim], fresh(call.shape[dim]), *out[dim:])


@rule("chunk", "split", "split_with_sizes", "tensor_split")
def divided(call: Call) -> TupleAxes:
    """Consecutive sections of one axis."""
    source, dim = call.source, call.axis(call.arg(2, "dim", 0))
    sizes: Any = call.node.args[1] if len(call.node.args) > 1 else next(iter(call.node.kwargs.values()))
    total = size(source[dim])[0]

    def item(i: int, shape: tuple[Extent, ...]) -> Axes:
        length = shape[dim]
        if not isinstance(length, int):
            return (*source[:dim], fresh(length), *source[dim + 1 :])
        if isinstance(sizes, tuple | list):
            start = sum(sizes[:i]) if call.name != "tensor_split" else ([0, *sizes])[i]
        else:
            start = i * (sizes if call.name == "split" else -(-total // sizes))
        return (*source[:dim], section(source[dim], start, length), *source[dim + 1 :])

    return item


@rule("unbind")
def unbound(call: Call) -> TupleAxes:
    """One axis removed, for each of its indices."""
    source, dim = call.source, call.axis(call.arg(1, "dim", 0))
    return lambda i, shape: source[:dim] + source[dim + 1 :]


@rule("select")
def selected(call: Call) -> Axes:
    """One axis removed."""
    dim = call.axis(call.arg(1, "dim"))
    return call.source[:dim] + call.source[dim + 1 :]


@rule("narrow")
def narrowed(call: Call) -> Axes:
    """A section of one axis."""
    dim, start = call.axis(call.arg(1, "dim")), call.arg(2, "start")
    out = list(call.source)
    out[dim] = _cut(out[dim], start, 1, call.shape[dim])
    return tuple(out)


@rule("slice")
def sliced(call: Call) -> Axes:
    """A slice of one axis."""
    dim, start, step = call.axis(call.arg(1, "dim", 0)), call.arg(2, "start"), call.arg(4, "step")
    out = list(call.source)
    out[dim] = _cut(out[dim], start, step, call.shape[dim])
    return tuple(out)


@rule("getitem")
def indexed(call: Call) -> Axes | TupleAxes:
    """An item of a tuple, or axes under a Python index."""
    operand, index = call.node.args
    found = call.found.get(operand) if isinstance(operand, Node) else None
    if callable(found):
        return found(index, call.shape) if call.given and isinstance(index, int) else (lambda i, shape: unknown(shape))
    if not call.given:
        return lambda i, shape: unknown(shape)
    items = list(index) if isinstance(index, tuple) else [index]
    if Ellipsis not in [i if i is Ellipsis else None for i in items]:
        items.append(Ellipsis)
    at = next(i for i, item in enumerate(items) if item is Ellipsis)
    taken = sum(item is not None and item is not Ellipsis for item in items)
    items[at : at + 1] = [slice(None)] * (len(call.source) - taken)
    return _index(call, items)


def _index(call: Call, items: list[Any]) -> Axes:
    chosen = [i for i, item in enumerate(items) if not isinstance(item, int | slice | None) and _rank(item)]
    if len(chosen) > 1:
        return unknown(call.shape)  # indices in several axes at once
    source, shape = iter(call.source), call.shape
    out: list[Pieces] = []
    for i, item in enumerate(items):
        pieces = () if item is None else next(source)
        if item is None:
            out.append(())
        elif isinstance(item, slice):
            out.append(_cut(pieces, item.start, item.step, shape[len(out)]))
        elif i in chosen:
            out += [_picked(pieces, extent) for extent in shape[len(out) : len(out) + _rank(item)]]
    return tuple(out) if len(out) == len(shape) else unknown(shape)


def _rank(item: Any) -> int:
    """Axes of an index given as a tensor or a list; 0 of a number."""
    if isinstance(item, Node):
        return len(item.meta.get("shape", ()))
    return 1 + _rank(item[0]) if isinstance(item, tuple | list) else 0


def _picked(pieces: Pieces, extent: Extent) -> Pieces:
    """An axis of chosen indices: channels are channels in any order, positions are no longer where they were."""
    return fresh(extent, "C" if kind(pieces) == "C" else "?")


def _cut(pieces: Pieces, start: Any, step: Any, extent: Extent) -> Pieces:
    """An axis under a slice, `extent` long."""
    have = size(pieces)
    if have == factors(extent):
        return pieces
    if have[1] or not isinstance(extent, int):
        return fresh(extent)
    if isinstance(start, Node) or step not in (None, 1):
        return fresh(extent, kind(known(pieces)))
    start = start or 0
    return section(pieces, start + have[0] if start < 0 else start, extent)


@rule("index_select", "gather", "take_along_dim", "sort", "topk", "argsort")
def picked(call: Call) -> Axes | TupleAxes:
    """Indices chosen by values: along that axis nothing is where it was."""
    source, place = call.source, {"sort": 1, "argsort": 1, "topk": 2}.get(call.name, 1)
    dim = call.axis(call.arg(place, "dim", -1))

    def item(i: int, shape: tuple[Extent, ...]) -> Axes:
        return (*source[:dim], _picked(source[dim], shape[dim]), *source[dim + 1 :])

    return item(0, call.shape) if call.given else item


def reduced(call: Call) -> Axes | TupleAxes:
    """Axes that are reduced away, or kept with size 1."""
    source, place = call.source, 2 if "norm" in call.name else 1
    dims = call.arg(place, "dim", call.node.kwargs.get("axis"))
    if isinstance(dims, Node):
        return elementwise(call)  # max(x, y)
    given = dims if isinstance(dims, tuple | list) and dims else range(len(source)) if dims in (None, ()) else [dims]
    gone = {call.axis(i) for i in given}

    def item(i: int, shape: tuple[Extent, ...]) -> Axes:
        if len(shape) == len(source):
            return tuple(() if i in gone else pieces for i, pieces in enumerate(source))
        return tuple(pieces for i, pieces in enumerate(source) if i not in gone)

    return item(0, call.shape) if call.given else item


RULES |= dict.fromkeys(
    [
        *("mean", "sum", "amax", "amin", "max", "min", "std", "var", "argmax", "argmin", "any", "all", "logsumexp"),
        *("prod", "nanmean", "median", "var_mean", "std_mean", "norm", "vector_norm", "linalg_vector_norm"),
    ],
    reduced,
)
