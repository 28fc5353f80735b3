"""Calls of layers, functions and methods: each distinct one is run once, on tensors without data, and remembered.

Networks are made of blocks that repeat, so a few dozen calls tell what hundreds of nodes take. Two calls are the same
when what is called, the shapes, strides and dtypes of all tensors and every other argument are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from ..graphs.operators import Operators, copy_on, fakes


@dataclass(frozen=True)
class Form:
    """The metadata of a tensor: shape, stride, dtype."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Form:
        """The metadata of a tensor."""
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)

    @property
    def size_bytes(self) -> int:
        """Bytes of its elements."""
        return prod(self.shape) * self.dtype.itemsize

    def make(self, device: str) -> Tensor:
        """An uninitialised tensor of this form."""
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device=device)


@dataclass(frozen=True)
class Result:
    """A tensor that a call gives. Either it lies in the memory of the `shares`-th tensor among the arguments, or in
    the `fresh`-th piece of memory that the call has allocated."""

    form: Form
    shares: int | None = None
    fresh: int | None = None


@dataclass(frozen=True)
class Call:
    """The cost of one call. value: what it returns, with a Result for each tensor. allocated: bytes of each piece of
    memory that its value lies in. peak_bytes: its peak allocation, those included."""

    value: Any
    macs: int
    uncounted: Mapping[str, int]
    allocated: tuple[int, ...]
    peak_bytes: int


class Calls:
    """A memo of calls that were run before. To be used inside `counting`, whose operators it is given."""

    def __init__(self) -> None:
        self.known: dict[Hashable, Call] = {}

    def __call__(self, operators: Operators, target: nn.Module | Callable | str, args: Any, kwargs: Any) -> Call:
        """The cost of calling `target`; a string is the name of a method of the first argument. Tensors among the
        arguments are given as Forms."""
        given, structure = tree_flatten((args, kwargs))
        key = (_named(target), structure, tuple(map(_hashable, given)))
        if key not in self.known:
            self.known[key] = _measured(operators, target, given, structure)
        return self.known[key]


def _measured(operators: Operators, target: Any, given: list[Any], structure: Any) -> Call:
    """Runs a call on the device "meta" where possible, and on fake CPU tensors, which take several times as long, where
    the device decides what is computed: which attention kernel runs, and the memory layout of a convolution's
    output."""
    name = getattr(target, "__name__", str(target)) if not isinstance(target, nn.Module) else type(target).__name__
    if not any(word in name.lower() for word in ("conv", "attention")):
        try:
            return _run("meta", operators, target, given, structure)
        except (NotImplementedError, RuntimeError):
            pass
    with fakes():
        return _run("cpu", operators, target, given, structure)


def _run(device: str, operators: Operators, target: Any, given: list[Any], structure: Any) -> Call:
    made = [form.make(device) if isinstance(form, Form) else form for form in given]
    tensors = [item for item in made if isinstance(item, Tensor)]
    args, kwargs = tree_unflatten(made, structure)
    stored: list[Tensor] = []
    if isinstance(target, nn.Module):
        target, stored = copy_on(device, target)
    with operators.following(*tensors, *stored):
        call = getattr(type(args[0]), target) if isinstance(target, str) else target
        value = call(*args, **kwargs)
    flat, shape = tree_flatten(value)
    shared = {t.untyped_storage()._cdata: i for i, t in reversed(list(enumerate(tensors)))}
    fresh: dict[int, int] = {}
    results = [_result(item, shared, fresh) for item in flat]
    return Call(
        tree_unflatten(results, shape),
        operators.macs,
        dict(operators.uncounted),
        tuple(operators.live.get(identity, 0) for identity in fresh),
        operators.peak_bytes,
    )


def _result(value: Any, shared: dict[int, int], fresh: dict[int, int]) -> Any:
    if not isinstance(value, Tensor):
        return value
    identity = value.untyped_storage()._cdata
    if identity in shared:
        return Result(Form.of(value), shares=shared[identity])
    return Result(Form.of(value), fresh=fresh.setdefault(identity, len(fresh)))


def _named(target: Any) -> Hashable:
    """A key for the target of a call, equal for two layers of the same class, options and shapes."""
    if not isinstance(target, nn.Module):
        return target
    options = tuple((k, _hashable(v)) for k, v in vars(target).items() if k[0] != "_" and not isinstance(v, Tensor))
    stored = tuple((name, Form.of(tensor)) for name, tensor in target.state_dict(keep_vars=True).items())
    return type(target), options, stored


def _hashable(value: Any) -> Hashable:
    """A stand-in for an argument; 1, 1.0 and True are three."""
    if isinstance(value, slice):
        return slice, _hashable(value.start), _hashable(value.stop), _hashable(value.step)
    if isinstance(value, list | tuple):
        return type(value), *map(_hashable, value)
    if isinstance(value, Form | str | torch.dtype | None):
        return value
    return type(value), value if value.__hash__ else repr(value)
