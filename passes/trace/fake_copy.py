"""A copy of a model whose tensors take no memory."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..data.errors import TraceError, first_line


def fake_copy(model: nn.Module, mode: FakeTensorMode) -> tuple[nn.Module, dict[int, str], dict[int, Tensor]]:
    """A copy of the model whose tensors take no memory, by the identity of each the name of a parameter or buffer, and
    the value of any other tensor that was computed before.

    Parameters are known by the identity of the real ones too: a method put in the place of a layer's own may hold them.
    """
    memo: dict[int, Any] = {}
    names: dict[int, str] = {}
    keep: list[Tensor] = []
    kept: dict[int, Tensor] = {}
    for name, tensor in [*model.named_parameters(remove_duplicate=False), *model.named_buffers(remove_duplicate=False)]:
        if id(tensor) not in memo:
            memo[id(tensor)] = _fake(tensor, mode)
        keep.append(tensor)
        names.setdefault(id(memo[id(tensor)]), name)
        names.setdefault(id(tensor), name)
    for tensor in plain_tensors(model, set()):
        if id(tensor) not in memo:
            memo[id(tensor)] = mode.from_tensor(tensor.detach(), static_shapes=True)
            kept[id(memo[id(tensor)])] = tensor
    try:
        return copy.deepcopy(model, memo), names, kept
    except Exception as error:  # locks, open files, handles: whatever hangs on a model
        raise TraceError(
            f"recording stopped: the network cannot be copied: {first_line(error)}",
            "Take locks, open files and handles out of its attributes, or leave them to forward.",
        ) from error


def plain_tensors(value: Any, seen: set[int]) -> Iterator[Tensor]:
    """Tensors that lie in attributes: the weight that old-style weight and spectral norm or pruning made last, a value
    that forward left there. Copying refuses those with a gradient, and would make fake ones of the others."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, nn.Module):
        yield from plain_tensors(vars(value), seen)
    elif isinstance(value, dict):
        for item in list(value.values()):
            yield from plain_tensors(item, seen)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from plain_tensors(item, seen)


def _fake(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    """Of a network that lies elsewhere, or on `meta`, a tensor of the processor, like the image that it is shown."""
    if tensor.device.type == "cpu":
        return mode.from_tensor(tensor, static_shapes=True)
    with mode:
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    return nn.Parameter(made, requires_grad=False) if isinstance(tensor, nn.Parameter) else made
