"""What layers that keep the shape of their input make of a fake image, without computing it.

While recording the batch size is a symbol, and torch finds the shape of a BatchNorm or a hardtanh by a dozen smaller
operators, each with rules of its own for symbols: more than half of the time of a recording.
"""

from __future__ import annotations

from collections.abc import Callable
from inspect import signature
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor


def same_shape(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor | None:
    """The output, without numbers, of a call of such a function on a contiguous float32 image as layers of `torch.nn`
    make it; None for any other call, which is to be run."""
    plain = _PLAIN.get(function)
    if plain is None or not args or not _is_plain(args[0]):
        return None
    arguments = dict(zip(_NAMES[function], args, strict=False)) | kwargs
    kind = plain(args[0], arguments)
    if kind is None:
        return None
    return args[0] if kind == "in place" else torch.empty_like(args[0])


def _is_plain(image: Any) -> bool:
    return type(image) is FakeTensor and image.dtype is torch.float32 and image.is_contiguous()


def _batch_norm(image: Tensor, given: dict[str, Any]) -> str | None:
    mean = given.get("running_mean")
    return "new" if not given.get("training") and mean is not None and mean.shape[0] == image.shape[1] else None


def _layer_norm(image: Tensor, given: dict[str, Any]) -> str | None:
    axes = tuple(given.get("normalized_shape", ()))
    return "new" if 0 < len(axes) < image.dim() and tuple(image.shape[-len(axes) :]) == axes else None


def _activation(image: Tensor, given: dict[str, Any]) -> str | None:
    return "in place" if given.get("inplace") else "new"


_PLAIN: dict[Any, Callable[[Tensor, dict[str, Any]], str | None]] = {
    F.batch_norm: _batch_norm,
    F.layer_norm: _layer_norm,
    F.hardtanh: _activation,
    F.hardswish: _activation,
    F.hardsigmoid: _activation,
}
_NAMES = {function: tuple(signature(function).parameters) for function in _PLAIN}
