"""One node as a rule sees it: what it calls, with what, and what is known of the axes of its operands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.fx import Node

from ..conventions import target_name
from .axes import Axes, Extent, unknown

#: Of a node that returns a tuple: the axes of its i-th value, given that value's shape.
TupleAxes = Callable[[int, tuple[Extent, ...]], Axes]
Rule = Callable[["Call"], "Axes | TupleAxes"]

RULES: dict[str, Rule] = {}


def rule(*names: str) -> Callable[[Rule], Rule]:
    """The rule of the operators (module classes, functions, methods) of these names."""

    def register(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return register


@dataclass(frozen=True)
class Call:
    """A node, the module it calls if any, and what has been found of the nodes before it."""

    node: Node
    module: nn.Module | None
    found: dict[Node, Axes | TupleAxes]

    @property
    def name(self) -> str:
        """Class of the module, or name of the function or method without the mark of an in-place one."""
        if self.module is not None:
            return type(self.module).__name__
        name = target_name(self.node)
        return name if name.startswith("_") or name.endswith("__") else name.removesuffix("_")

    @property
    def shape(self) -> tuple[Extent, ...]:
        """The shape of the result."""
        return self.node.meta["shape"]

    @property
    def given(self) -> bool:
        """Whether the result is one tensor, rather than a tuple or nothing."""
        return "shape" in self.node.meta

    def arg(self, index: int, name: str, default: Any = None) -> Any:
        """The argument of that place or name."""
        return self.node.args[index] if len(self.node.args) > index else self.node.kwargs.get(name, default)

    def option(self, index: int, name: str, default: Any = None) -> Any:
        """An attribute of the module, or the argument of the function."""
        return getattr(self.module, name, default) if self.module is not None else self.arg(index, name, default)

    def numbers(self, index: int, name: str) -> tuple[Any, ...]:
        """Integers given as one sequence or one after another: `permute(0, 2, 1)` and `permute((0, 2, 1))`."""
        first = self.arg(index, name)
        if isinstance(first, tuple | list):
            return tuple(first)
        return tuple(self.node.args[index:]) or (first,)

    def axes(self, value: Any) -> Axes:
        """The axes of an operand; nothing known of a number."""
        found = self.found.get(value) if isinstance(value, Node) else None
        if isinstance(found, tuple):
            return found
        return unknown(value.meta["shape"]) if isinstance(value, Node) and "shape" in value.meta else ()

    @property
    def source(self) -> Axes:
        """The axes of the first operand."""
        return self.axes(self.arg(0, "input"))

    @property
    def source_shape(self) -> tuple[Extent, ...]:
        """The shape of the first operand."""
        return self.arg(0, "input").meta["shape"]

    def operands(self) -> list[Node]:
        """All tensors among the arguments, in order."""
        return [node for node in self.node.all_input_nodes if "shape" in node.meta]

    def axis(self, given: Any, rank: int | None = None) -> int:
        """A dim as a place counted from 0."""
        rank = len(self.source) if rank is None else rank
        return given + rank if given < 0 else given
