"""The cost of each node of a graph, counted on the program that would be emitted for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg
from torch.utils._pytree import tree_leaves, tree_map

from ..data.metrics import CountedCall
from ..data.values import Price
from ..data.weights_file import Entry, Stored, file_bytes
from ..emit.prepare import prepare
from ..emit.program import Program
from ..emit.weights import DTYPES, tied_keys
from ..graphs.conventions import target_name
from ..graphs.operators import Operators, copy_on, counting, fakes
from .calls import Call, Calls, Form, Result

_NAMES = {dtype: name for name, dtype in DTYPES.items()}


@dataclass(frozen=True)
class Buffer:
    """A piece of activation memory. made, read: positions of the node that allocates it and of its last reader."""

    size_bytes: int
    made: int
    read: int


@dataclass(frozen=True)
class NodeCost:
    """The cost of one node for one image.

    call: what it calls; None where that gives no tensor. stored: tensors of the weights file that it reads. uncounted:
    operators without a formula that it called, by name and count. transient_bytes: peak allocation while
    it runs, beyond the memory of its value.
    """

    node: str
    call: CountedCall | None = None
    stored: tuple[Stored, ...] = ()
    uncounted: Mapping[str, int] = field(default_factory=dict)
    transient_bytes: int = 0

    @property
    def macs(self) -> int:
        """Multiply-adds."""
        return self.call.macs if self.call else 0


@dataclass(frozen=True)
class Count:
    """A graph, its program, the cost of each node of the program in graph order, and the memory of their values.

    lies: of each node with a tensor for its value, the index of its buffer; -1 where it is a stored tensor.
    """

    graph: GraphModule
    program: Program
    costs: tuple[NodeCost, ...]
    buffers: tuple[Buffer, ...]
    lies: Mapping[Node, int]


def count(graph: GraphModule, input_size: Sequence[int], calls: Calls | None = None) -> Count:
    """The cost of each node for one image of `input_size` (channels, height, width).

    Attention is counted as its two products, whichever kernel would run it. Parameters may be fake or on `meta`.
    calls: a memo shared with other graphs.
    """
    with counting() as operators:
        return _Counter(graph, operators, calls or Calls()).count(input_size)


def total(module: nn.Module, input_size: Sequence[int]) -> tuple[Price, Mapping[str, int]]:
    """The price of any module as a whole for one image, and its uncounted operators by name and count.

    Nothing is traced: the module runs as Python runs it, which also says how long each activation lives.
    """
    stored = _stored(module.state_dict(keep_vars=True))
    with counting() as operators, fakes():
        fake, tensors = copy_on("cpu", module)
        image = torch.empty((1, *input_size), dtype=_dtype(tensors))
        with operators.following(image, *tensors):
            fake(image)
    return Price(
        params=sum(s.params for s in set(stored.values())),
        macs=operators.macs,
        size=file_bytes(s.entry for s in set(stored.values())),
        memory=image.nbytes + operators.peak_bytes,
    ), dict(operators.uncounted)


@dataclass(frozen=True)
class _Held:
    """A tensor while counting: its form, and the index of its buffer; -1 for a stored tensor."""

    form: Form
    buffer: int


class _Counter:
    def __init__(self, graph: GraphModule, operators: Operators, calls: Calls):
        self.graph, self.operators, self.calls = graph, operators, calls
        self.program = prepare(graph)
        self.values: dict[Node, Any] = {}
        self.sizes: list[int] = []
        self.made: list[int] = []
        self.read: list[int] = []
        self.stored = _stored(self.program.state_dict())

    def count(self, input_size: Sequence[int]) -> Count:
        costs = []
        for position, node in enumerate(self.program.graph.nodes):
            costs.append(self.node(node, position, input_size))
        buffers = tuple(map(Buffer, self.sizes, self.made, self.read))
        lies = {node: value.buffer for node, value in self.values.items() if isinstance(value, _Held)}
        return Count(self.graph, self.program, tuple(costs), buffers, lies)

    def node(self, node: Node, position: int, input_size: Sequence[int]) -> NodeCost:
        if node.op == "placeholder":
            image = torch.empty((1, *input_size), dtype=_dtype(self.tensors()), device="meta")
            self.values[node] = _Held(Form.of(image), self.allocate(image.nbytes, position))
            return NodeCost(node.name)
        if node.op == "get_attr":
            self.values[node] = _Held(Form.of(self.program.tensors[str(node.target)]), -1)
            return NodeCost(node.name, stored=(self.stored[str(node.target)],))
        held: list[_Held] = []
        given = map_arg((node.args, node.kwargs), lambda argument: self.forms(self.values[argument], held))
        for value in held:
            if value.buffer >= 0:
                self.read[value.buffer] = position
        if node.op == "output":
            return NodeCost(node.name)
        leaf = self.program.leaves[str(node.target)] if node.op == "call_module" else None
        call = self.calls(self.operators, leaf if leaf is not None else node.target, *given)
        self.values[node] = self.value(call, held, position)
        keys = leaf.state_dict(keep_vars=True) if leaf is not None else ()
        stored = tuple(dict.fromkeys(self.stored[f"{node.target}.{key}"] for key in keys))
        return NodeCost(
            node.name, _counted(node, leaf, call, held, stored), stored, call.uncounted,
            max(0, call.peak_bytes - sum(call.allocated)),
        )  # fmt: skip

    def forms(self, value: Any, held: list[_Held]) -> Any:
        """A value with a Form for each tensor, which joins `held`."""
        if isinstance(value, _Held):
            held.append(value)
            return value.form
        return tree_map(lambda item: self.forms(item, held), value) if isinstance(value, tuple | list | dict) else value

    def tensors(self) -> chain[Tensor]:
        return chain(self.program.tensors.values(), *(leaf.parameters() for leaf in self.program.leaves.values()))

    def allocate(self, size_bytes: int, position: int) -> int:
        self.sizes.append(size_bytes)
        self.made.append(position)
        self.read.append(position)
        return len(self.sizes) - 1

    def value(self, call: Call, held: Sequence[_Held], position: int) -> Any:
        buffers = [self.allocate(size, position) for size in call.allocated]

        def lies(value: Any) -> Any:
            if not isinstance(value, Result):
                return value
            if value.shares is not None:
                return _Held(value.form, held[value.shares].buffer)
            assert value.fresh is not None
            return _Held(value.form, buffers[value.fresh])

        return tree_map(lies, call.value)


def _counted(
    node: Node, leaf: nn.Module | None, call: Call, held: Sequence[_Held], stored: Sequence[Stored]
) -> CountedCall | None:
    """held: the tensors that it is given, stored ones among them. stored: those that its layer has."""
    if not call.macs and not any(isinstance(value, Result) for value in tree_leaves(call.value)):
        return None
    return CountedCall(
        target=type(leaf).__name__ if leaf is not None else target_name(node),
        macs=call.macs,
        weights_bytes=sum(tensor.entry.data_bytes for tensor in stored)
        + sum(value.form.size_bytes for value in held if value.buffer < 0),
        input_bytes=sum(value.form.size_bytes for value in held if value.buffer >= 0),
        output_bytes=sum(call.allocated),
    )


def _dtype(tensors: Any) -> torch.dtype:
    """Of an image that goes into a module with these tensors."""
    return next((t.dtype for t in tensors if t.is_floating_point()), torch.float32)


def _stored(state: Mapping[str, Tensor]) -> dict[str, Stored]:
    """What the weights file holds for each key; keys of one parameter have one Stored."""
    tied = tied_keys(dict(state))
    found: dict[str, Stored] = {}
    for key in sorted(state):
        tensor = state[key]
        entry = Entry(key, tuple(tensor.shape), _NAMES[tensor.dtype])
        found[key] = found.get(tied.get(key, ""), Stored(entry, tensor.numel() * isinstance(tensor, nn.Parameter)))
    return found
