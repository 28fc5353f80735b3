"""Layers of `torch.nn` as the constructor calls that make them again."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from ..data.errors import TraceError
from ..graphs.drops import DropPath
from .text import Call, Code, Hole, Piece, literal

_SKIPPED = frozenset({"device", "dtype", "_weight", "_freeze"})
# Constructor arguments that a layer stores under another name, or does not store as such.
_STORED = {
    "num_parameters": lambda m: m.num_parameters,
    "bias": lambda m: _has_bias(m),
    "kdim": lambda m: None if m.kdim == m.embed_dim else m.kdim,
    "vdim": lambda m: None if m.vdim == m.embed_dim else m.vdim,
    "add_bias_kv": lambda m: m.bias_k is not None,
}


def constructor(layer: nn.Module, path: str) -> Piece:
    """The call that makes a layer with the same shapes and options.

    Raises:
        TraceError: no call of its class does.
    """
    if isinstance(layer, DropPath):
        return Call("DropPath", (("", Hole(layer.p, "drop_rate")),))
    call = Call(f"nn.{type(layer).__name__}", tuple(_arguments(layer, path)))
    _check(layer, call, path)
    if _is_activation(layer):
        return Hole(Code(_text(call)), "act")
    return call


def _arguments(layer: nn.Module, path: str) -> list[tuple[str, Hole]]:
    found = []
    for name, default in _parameters(type(layer)):  # type: ignore[arg-type]  # mypy: a class is hashable
        try:
            value = _plain(_STORED[name](layer) if name in _STORED else getattr(layer, name), name)
        except AttributeError as error:
            raise _refusal(layer, path, f"it does not say its '{name}'") from error
        # Required arguments go by position, the others by name.
        if default is ...:
            found.append(("", Hole(value, name)))
        else:
            found.append((name, Hole(_as_default(value, default), name, default)))
    dtype = next((p.dtype for p in layer.parameters() if p.is_floating_point()), torch.float32)
    if dtype != torch.float32:
        found.append(("dtype", Hole(dtype, "dtype", None)))
    return found


@cache
def _parameters(kind: type) -> tuple[tuple[str, Any], ...]:
    # LSTM and GRU take `*args` and hand them on.
    signature = inspect.signature(nn.RNNBase if issubclass(kind, nn.RNNBase) else kind)
    skipped = _SKIPPED | {"mode"} if issubclass(kind, nn.RNNBase) else _SKIPPED
    return tuple(
        (p.name, ... if p.default is p.empty else p.default)
        for p in signature.parameters.values()
        if p.name not in skipped and p.kind is p.POSITIONAL_OR_KEYWORD
    )


def _has_bias(layer: nn.Module) -> Any:
    if isinstance(layer, nn.MultiheadAttention):
        return layer.in_proj_bias is not None
    if isinstance(layer, nn.RNNBase):
        return layer.bias
    return layer.bias is not None


def _plain(value: Any, name: str) -> Any:
    """(3, 3) as 3: what a person writes for a square kernel."""
    if isinstance(value, tuple | list):
        value = tuple(value)
        collapses = len(value) == 1 or name not in ("normalized_shape", "unflattened_size")
        if value and len(set(value)) == 1 and isinstance(value[0], int | float) and collapses:
            return value[0]
    return value


def _as_default(value: Any, default: Any) -> Any:
    """The default itself where the value equals it and has the same type, so that False is not taken for 0."""
    return default if value == default and type(value) is type(default) else value


def _is_activation(layer: nn.Module) -> bool:
    return type(layer).__module__ == "torch.nn.modules.activation" and not any(True for _ in layer.parameters())


def _text(call: Call) -> str:
    said = [
        literal(hole.value) if not name else f"{name}={literal(hole.value)}"
        for name, hole in call.args
        if isinstance(hole, Hole) and (hole.default is ... or hole.value != hole.default)
    ]
    return f"{call.head}({', '.join(said)})"


def _check(layer: nn.Module, call: Call, path: str) -> None:
    """Make the layer by that call, without memory, and compare."""
    if getattr(nn, type(layer).__name__, None) is not type(layer):
        raise _refusal(layer, path, "it is no layer of torch.nn")
    try:
        with torch.device("meta"):
            again = eval(_text(call), {"nn": nn, "torch": torch})  # noqa: S307 # what would be written into model.py
    except Exception as error:
        raise _refusal(layer, path, str(error)) from error
    if _arguments(again, path) != list(call.args) or _shapes(again) != _shapes(layer):
        raise _refusal(layer, path, f"`{_text(call)}` makes another one")


def _shapes(layer: nn.Module) -> dict[str, Any]:
    return {name: tensor.shape for name, tensor in layer.state_dict().items() if isinstance(tensor, Tensor)}


def _refusal(layer: nn.Module, path: str, why: str) -> TraceError:
    return TraceError(
        f"the layer '{path}' ({type(layer).__name__}) cannot be written as a constructor call: {why}",
        "Compile the model through torch.export (`frontend='export'`), which needs no constructors.",
    )
