"""Calls of layers, functions and methods: each distinct one is run once, on tensors without numbers.

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
    """A tensor without its numbers."""

    shape: tuple[int, ...]
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, tensor: Tensor) -> Form:
        return cls(tuple(tensor.shape), tuple(tensor.stride()), tensor.dtype)

    @property
    def size_bytes(self) -> int:
        return prod(self.shape) * self.dtype.itemsize

    def make(self, device: str) -> Tensor:
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
    """What one call takes. value: what it gives, with a Result for each tensor. allocated: bytes of each piece of
    memory that its value lies in. peak_bytes: the most that it has allocated at one moment, those included."""

    value: Any
    macs: int
    uncounted: Mapping[str, int]
    allocated: tuple[int, ...]
    peak_bytes: int


class Calls:
    """Calls that were run before. To be used inside `counting`, whose operators it is given."""

    def __init__(self) -> None:
        self.known: dict[Hashable, Call] = {}

    def __call__(self, operators: Operators, target: nn.Module | Callable | str, args: Any, kwargs: Any) -> Call:
        """What calling `target` takes; a string is the name of a method of the first argument. Tensors among the
        arguments are given as Forms."""
        given, structure = tree_flatten((args, kwargs))
        key = (_named(target), structure, tuple(map(_hashable, given)))
        if key not in self.known:
            self.known[key] = _take(operators, target, given, structure)
        return self.known[key]


def _take(operators: Operators, target: Any, given: list[Any], structure: Any) -> Call:
    """On `meta`, several times as fast as fake tensors; on those where the processor has a say in what is computed, in
    which kernel of attention it has and in how a convolution lays out its maps, and where `meta` refuses."""
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
    """What a call calls, the same for two layers of equal make."""
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
