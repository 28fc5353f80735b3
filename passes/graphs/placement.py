"""Where a graph's tensors lie, and copies of graphs on another device."""

from __future__ import annotations

import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import GraphModule, Node
from torch.fx.node import map_aggregate

from .conventions import target_name

#: Functions that make a tensor from none, on the processor unless they are told where.
_MAKERS = frozenset(
    ("arange", "empty", "eye", "full", "linspace", "ones", "rand", "randint", "randn", "randperm", "tensor", "zeros")
)

#: Of tensors that were moved, by the identity of the original: it, which thereby stays alive, and the copy.
Moved = dict[int, tuple[Tensor, Tensor]]


def exactly(device: torch.device | str) -> torch.device:
    """The device as tensors on it name it: with its number."""
    return torch.empty(0, device=device).device


def device_of(module: nn.Module) -> torch.device:
    """The device of a module's parameters and buffers; the processor of a module that has none."""
    first = next(chain(module.parameters(), module.buffers()), None)
    return torch.device("cpu") if first is None else first.device


def fast_layout(device: torch.device) -> torch.memory_format:
    """The order in memory in which convolutions in full float32 are fast: channels last on the processor, and as axes
    are numbered on a card, where depthwise ones take many times as long channels last."""
    return torch.channels_last if device.type == "cpu" else torch.contiguous_format


def on_device(module: nn.Module, device: torch.device, moved: Moved | None = None) -> Any:
    """The module itself where its tensors lie on the device already, else a copy of it there.

    moved: tensors that have been copied there before, to which those of this module are added: modules that share
    weights share them on the device too.
    """
    tensors = [*module.parameters(), *module.buffers()]
    if all(tensor.device == device for tensor in tensors) and (tensors or device.type == "cpu"):
        return module
    moved = {} if moved is None else moved
    for tensor in tensors:
        if id(tensor) not in moved:
            moved[id(tensor)] = tensor, _copied(tensor, device)
    found = copy.deepcopy(module, {key: there for key, (_, there) in moved.items()})
    for part in found.modules():
        if isinstance(part, GraphModule):
            _make_there(part, device)
    return found


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    there = tensor.detach().to(device)
    return nn.Parameter(there, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else there


def _make_there(graph: GraphModule, device: torch.device) -> None:
    """What the graph makes from nothing, and what it converts to a device, comes to lie on this one."""

    def there(argument: Any) -> Any:
        return device if isinstance(argument, torch.device) else argument

    changed = False
    for node in graph.graph.nodes:
        args, kwargs = map_aggregate(node.args, there), dict(map_aggregate(node.kwargs, there))
        if _makes(node) and kwargs.get("device") is None:
            kwargs["device"] = device
        if args != node.args or kwargs != node.kwargs:
            node.args, node.kwargs, changed = args, kwargs, True
    if changed:
        graph.recompile()


def _makes(node: Node) -> bool:
    return node.op == "call_function" and target_name(node) in _MAKERS
