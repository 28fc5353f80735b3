"""Adapters by name: what turns the value at a front's cut into the value that the back expects.

A third party adds one with `register`; `names()` lists them. Importing this package loads torch on first use only.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING

from ..errors import CutError, did_you_mean

if TYPE_CHECKING:
    from .base import Adapter

_BUILT_IN = {"linear": ".linear:Linear", "conv3x3": ".conv:Conv3x3"}
_ADDED: dict[str, type[Adapter]] = {}

#: What `auto` chooses among, cheapest first.
AUTO = ("linear", "conv3x3")


def names() -> list[str]:
    return [*_BUILT_IN, *_ADDED]


def register(name: str) -> Callable[[type[Adapter]], type[Adapter]]:
    """Class decorator: make an `Adapter` known by `name`."""

    def add(kind: type[Adapter]) -> type[Adapter]:
        kind.name = name
        _ADDED[name] = kind
        return kind

    return add


def get(name: str) -> type[Adapter]:
    """The adapter class of that name.

    Raises:
        CutError: there is none.
    """
    if name in _ADDED:
        return _ADDED[name]
    if name not in _BUILT_IN:
        hint = did_you_mean(name, names()) or f"There are: {', '.join(names())}, and auto."
        raise CutError(f"there is no adapter '{name}'", hint)
    module, kind = _BUILT_IN[name].split(":")
    return getattr(import_module(module, __name__), kind)


def expand(name: str) -> tuple[str, ...]:
    """The adapters that a word stands for: `auto` for several, a name for itself."""
    return AUTO if name == "auto" else (get(name).name,)
