"""What frequent layers make of a fake image, without torch's finding it out.

While recording the batch size is a symbol, and torch finds the shape of a BatchNorm, a hardtanh or a product by a dozen
smaller operators, each with rules of its own for symbols: more than half of the time of a recording.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any, TypeGuard

import torch
import torch.nn.functional as F
from torch import SymInt, Tensor
from torch._subclasses.fake_tensor import FakeTensor


def known_output(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The output, without numbers, of a call of such a function on float32 tensors as layers of `torch.nn` make it;
    None for any other call, which is to be run."""
    known = _KNOWN.get(function)
    if known is None or not args or not _is_fake(args[0]):
        return None
    names, output = known
    return output(args[0], dict(zip(names, args, strict=False)) | kwargs)


def _is_fake(value: Any) -> TypeGuard[FakeTensor]:
    return type(value) is FakeTensor and value.dtype is torch.float32


def _batch_norm(image: Tensor, given: dict[str, Any]) -> Tensor | None:
    mean = given.get("running_mean")
    if given.get("training") or mean is None or mean.shape[0] != image.shape[1] or not image.is_contiguous():
        return None
    return torch.empty_like(image)


def _layer_norm(image: Tensor, given: dict[str, Any]) -> Tensor | None:
    axes = tuple(given.get("normalized_shape", ()))
    fits = 0 < len(axes) < image.dim() and tuple(image.shape[-len(axes) :]) == axes
    return torch.empty_like(image) if fits and image.is_contiguous() else None


def _activation(image: Tensor, given: dict[str, Any]) -> Tensor | None:
    if not image.is_contiguous():
        return None
    return image if given.get("inplace") else torch.empty_like(image)


def _linear(image: Tensor, given: dict[str, Any]) -> Tensor | None:
    weight = given.get("weight")
    if not _is_fake(weight) or weight.dim() != 2 or image.dim() < 2 or not image.is_contiguous():
        return None
    outputs, inputs = weight.shape
    return image.new_empty((*image.shape[:-1], outputs)) if _same(image.shape[-1], inputs) else None


def _matmul(a: Tensor, given: dict[str, Any]) -> Tensor | None:
    b = given.get("other")
    if not _is_fake(b) or not a.dim() == b.dim() > 2 or not _same(a.shape[-1], b.shape[-2]):
        return None
    if not all(map(_same, a.shape[:-2], b.shape[:-2])):
        return None
    return a.new_empty((*a.shape[:-1], b.shape[-1]))


def _same(a: int | SymInt, b: int | SymInt) -> bool:
    """Whether two extents are the same for every batch size, without asking about any."""
    if isinstance(a, int) and isinstance(b, int):
        return a == b
    return isinstance(a, SymInt) and isinstance(b, SymInt) and bool(a.node.expr == b.node.expr)


def _named(function: Any) -> tuple[str, ...]:
    return tuple(signature(function).parameters)


_PRODUCT = (("input", "other"), _matmul)
#: The names of a function's arguments, and what makes its output from the first and all of them.
_KNOWN: dict[Any, tuple[tuple[str, ...], Callable[[Tensor, dict[str, Any]], Tensor | None]]] = {
    F.batch_norm: (_named(F.batch_norm), _batch_norm),
    F.layer_norm: (_named(F.layer_norm), _layer_norm),
    F.hardtanh: (_named(F.hardtanh), _activation),
    F.hardswish: (_named(F.hardswish), _activation),
    F.hardsigmoid: (_named(F.hardsigmoid), _activation),
    F.linear: (("input", "weight", "bias"), _linear),
    torch.matmul: _PRODUCT,
    Tensor.matmul: _PRODUCT,
    Tensor.__matmul__: _PRODUCT,
}
