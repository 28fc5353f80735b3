"""What each node of a graph takes, counted on fake tensors: no weights are read and no real memory is used."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch._guards import detect_fake_mode
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx import GraphModule, Interpreter, Node
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from ..values import Price
from .formulas import is_free, macs_of


@dataclass(frozen=True)
class Stored:
    """A parameter or buffer that is read. Equal when they are one tensor, under whatever names.

    params: its elements, 0 for a buffer. size_bytes: its data and its entry in the header of a safetensors file; the
    entry is an estimate (the name it will have there and its offset are not known yet), good to some ten bytes.
    """

    identity: int
    params: int = field(compare=False)
    size_bytes: int = field(compare=False)


@dataclass(frozen=True)
class NodeCost:
    """What one node takes for one image. uncounted: operators without a formula that it called, by name and count."""

    node: str
    macs: int = 0
    stored: tuple[Stored, ...] = ()
    uncounted: Mapping[str, int] = field(default_factory=dict)


def count(graph: GraphModule, input_size: Sequence[int]) -> tuple[NodeCost, ...]:
    """What each node takes for one image of `input_size` (channels, height, width), in graph order.

    Attention is counted as its two products, whichever kernel would run it. Parameters may be fake or on `meta`.
    """
    with _counting(graph) as operators:
        counter = _NodeCounter(graph, operators)
        counter.run(_image(graph, input_size))
    return tuple(counter.costs)


def total(module: nn.Module, input_size: Sequence[int]) -> tuple[Price, Mapping[str, int]]:
    """The price of any module as a whole for one image, and its uncounted operators by name and count."""
    stored = set(_stored_in(module, ""))
    with _counting(module) as operators:
        module(_image(module, input_size))
    price = Price(sum(s.params for s in stored), operators.macs, sum(s.size_bytes for s in stored))
    return price, dict(operators.uncounted)


class _Operators(TorchDispatchMode):
    """Adds up the multiply-adds of all operators that run inside it, and notes those it has no formula for."""

    def __init__(self) -> None:
        super().__init__()
        self.macs = 0
        self.uncounted: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if isinstance(func, torch._ops.OpOverload) and func.namespace != "prim":
            macs = macs_of(func, args, kwargs or {}, out)
            self.macs += macs or 0
            if macs is None and not is_free(func):
                self.uncounted[func._overloadpacket.__name__.lstrip("_")] += 1
        return out


class _NodeCounter(Interpreter):
    def __init__(self, graph: GraphModule, operators: _Operators):
        super().__init__(graph)
        self.operators = operators
        self.costs: list[NodeCost] = []

    def run_node(self, node: Node) -> Any:
        self.operators.macs = 0
        self.operators.uncounted.clear()
        value = super().run_node(node)
        stored = tuple(_stored_by(self.module, node))
        self.costs.append(NodeCost(node.name, self.operators.macs, stored, dict(self.operators.uncounted)))
        return value


@contextmanager
def _counting(module: nn.Module) -> Iterator[_Operators]:
    """Fake tensors, and every kernel that fuses products replaced by the plain operators it stands for."""
    tensors = list(chain(module.parameters(), module.buffers()))
    fake = detect_fake_mode(tensors) or FakeTensorMode(allow_non_fake_inputs=True)
    fastpath = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it hides the operators of MultiheadAttention
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), fake, _Operators() as operators:
            yield operators
    finally:
        torch.backends.mha.set_fastpath_enabled(fastpath)


def _image(module: nn.Module, size: Sequence[int]) -> Tensor:
    first = next((t for t in chain(module.parameters(), module.buffers()) if t.is_floating_point()), torch.empty(0))
    return torch.empty((1, *size), dtype=first.dtype, device=first.device)


def _stored_by(module: nn.Module, node: Node) -> Iterator[Stored]:
    if node.op == "call_module":
        yield from _stored_in(module.get_submodule(str(node.target)), f"{node.target}.")
    elif node.op == "get_attr":
        owner, _, name = str(node.target).rpartition(".")
        value = getattr(module.get_submodule(owner), name)
        if isinstance(value, Tensor):
            yield _stored(str(node.target), value)


def _stored_in(module: nn.Module, prefix: str) -> Iterator[Stored]:
    for name, tensor in chain(module.named_parameters(), module.named_buffers()):
        yield _stored(prefix + name, tensor)


def _stored(name: str, tensor: Tensor) -> Stored:
    entry = json.dumps({name: {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [10**7, 10**7]}})
    size = tensor.numel() * tensor.element_size() + len(entry.replace(" ", "")) - len("{}") + len(",")
    return Stored(id(tensor), tensor.numel() if isinstance(tensor, nn.Parameter) else 0, size)
