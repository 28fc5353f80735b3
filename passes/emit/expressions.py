"""One node of a graph as one Python expression."""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.fx import Node

from ..data.errors import TraceError
from ..graphs.conventions import target_name
from .batch import axis_size
from .simplify import arguments
from .text import Code, Hole, literal

# How tightly Python's operators bind; what binds less than its place asks for goes into parentheses.
_ATOM, _POWER, _UNARY, _PRODUCT, _SUM, _BITS, _COMPARISON = 100, 14, 13, 12, 11, 8, 6
_INFIX: dict[Any, tuple[str, int]] = {
    operator.add: ("+", _SUM),
    operator.sub: ("-", _SUM),
    operator.mul: ("*", _PRODUCT),
    operator.truediv: ("/", _PRODUCT),
    operator.floordiv: ("//", _PRODUCT),
    operator.mod: ("%", _PRODUCT),
    operator.matmul: ("@", _PRODUCT),
    operator.pow: ("**", _POWER),
    operator.and_: ("&", _BITS),
    operator.or_: ("|", _BITS - 2),
    operator.xor: ("^", _BITS - 1),
    operator.eq: ("==", _COMPARISON),
    operator.ne: ("!=", _COMPARISON),
    operator.lt: ("<", _COMPARISON),
    operator.le: ("<=", _COMPARISON),
    operator.gt: (">", _COMPARISON),
    operator.ge: (">=", _COMPARISON),
}
_SAID_INFIX = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv}
_SAID_INFIX |= {"matmul": operator.matmul, "true_divide": operator.truediv}
_PREFIX = {operator.neg: "-", operator.invert: "~"}
_IN_PLACE = {operator.iadd: "add_", operator.isub: "sub_", operator.imul: "mul_", operator.itruediv: "div_"}
# torch functions that read better as methods, and do the same.
_METHODS = frozenset({"permute", "flatten", "transpose", "unsqueeze", "squeeze", "mean", "chunk", "split", "unbind"})
_METHODS |= {"reshape", "roll", "sum", "expand", "unflatten", "movedim"}
_UNPACKED = frozenset({"permute", "reshape", "view", "expand", "repeat"})
# What torch takes when these are left out, of functions that have no Python signature.
_DEFAULTS: dict[str, dict[str, Any]] = {
    "scaled_dot_product_attention": {
        "attn_mask": None,
        "dropout_p": 0.0,
        "is_causal": False,
        "scale": None,
        "enable_gqa": False,
    },
    "gelu": {"approximate": "none"},
    "max_pool2d": {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False},
    "flatten": {"end_dim": -1},
    "softmax": {"dtype": None},
    "contiguous": {"memory_format": torch.contiguous_format},
}
_POSITIONS: dict[str, tuple[str, ...]] = {
    "roll": ("shifts", "dims"),
    "reshape": ("size",) * 9,
    "view": ("size",) * 9,
    "expand": ("size",) * 9,
    "unflatten": ("axis", "sizes"),
    "chunk": ("chunks", "axis"),
    "split": ("sizes", "axis"),
    "getitem": ("index",),
    "mul": ("scale",),
    "truediv": ("scale",),
    "div": ("scale",),
    "pad": ("padding",),
}


@dataclass(frozen=True)
class Ref:
    """The name of a value, whatever it will be."""

    node: Node


@dataclass(frozen=True)
class Expression:
    """parts: text, holes, names. level: how tightly it binds. depth: calls within calls. links: methods in a chain."""

    parts: tuple[Any, ...]
    level: int = _ATOM
    depth: int = 0
    links: int = 0

    def __len__(self) -> int:
        return sum(_length(part) for part in self.parts)

    @property
    def is_formula(self) -> bool:
        """Whether it is made with an operator, so that it needs parentheses before a dot."""
        return self.level < _ATOM

    def at(self, level: int) -> tuple[Any, ...]:
        return self.parts if self.level >= level else ("(", *self.parts, ")")


def _length(part: Any) -> int:
    if isinstance(part, Ref):
        return 2
    # The same for every literal, so that instances that differ in literals alone are broken into the same statements.
    return 5 if isinstance(part, Hole) else len(part)


#: Gives the expression of an operand: a name, or the operand's own expression where it is written in place.
Operand = Callable[[Node], Expression]
#: Gives the text that names a layer or a tensor by its path: `self.layer1[0].conv1`.
Access = Callable[[str], str]


@dataclass(frozen=True)
class Writer:
    """Writes nodes as expressions."""

    operand: Operand
    access: Access
    leaves: dict[str, nn.Module]
    attends: bool = False  # whether this is a module that computes attention: its reshapes split heads

    def __call__(self, node: Node) -> Expression:
        if node.op == "call_module":
            return self.layer(node)
        if node.op == "call_method":
            return self.method(str(node.target), node)
        return self.function(node)

    def layer(self, node: Node) -> Expression:
        leaf = self.leaves[str(node.target)]
        parameters = list(inspect.signature(type(leaf).forward).parameters.values())[1:]
        tensors = _leading(node, parameters)
        args = [*node.args, *(node.kwargs[name] for name in tensors)]
        while args and len(args) <= len(parameters) and _is_default(args[-1], parameters[len(args) - 1]):
            args.pop()
        defaults = {p.name: p for p in parameters}
        given = {k: v for k, v in node.kwargs.items() if k not in tensors}
        kwargs = {k: v for k, v in given.items() if k not in defaults or not _is_default(v, defaults[k])}
        return self.call(self.access(str(node.target)), args, kwargs, str(node.target))

    def method(self, name: str, node: Node) -> Expression:
        args, kwargs = list(node.args), dict(node.kwargs)
        if name in _SAID_INFIX and len(args) == 2 and not kwargs:
            return self.infix(_SAID_INFIX[name], *args)
        return self.on(args[0], name, args[1:], kwargs)

    def on(self, receiver: Any, name: str, args: list[Any], kwargs: dict[str, Any]) -> Expression:
        """`receiver.name(args)`."""
        if name in _UNPACKED and len(args) == 1 and isinstance(args[0], tuple | list):
            args = list(args[0])
        rank = len(receiver.meta.get("shape", ())) if isinstance(receiver, Node) else 9
        if name in ("reshape", "view") and len(args) > max(3, rank) and self.attends:
            sizes: list[Any] = ["size"] * len(args)
            sizes[-2] = "heads" if args[-2] != args[-1] else "size"  # equal ones are the height and width of a map
            hints = tuple(sizes)
        else:
            hints = _POSITIONS.get(name, ())
        before = receiver if isinstance(receiver, Expression) else self.value(receiver, name)
        call = self.call(f".{name}", args, _without_defaults(name, kwargs), name, hints)
        return Expression((*before.at(_ATOM), *call.parts), _ATOM, max(before.depth, call.depth), before.links + 1)

    def function(self, node: Node) -> Expression:
        target, args, kwargs = node.target, list(node.args), dict(node.kwargs)
        name = target_name(node)
        if target is axis_size:
            owner = self.value(args[0])
            return Expression((*owner.at(_ATOM), f".shape[{args[1]}]"), _ATOM, owner.depth)
        if target is getattr:
            owner = self.value(args[0])
            return Expression((*owner.at(_ATOM), f".{args[1]}"), _ATOM, owner.depth)
        if target is operator.getitem:
            owner = self.value(args[0])
            return Expression((*owner.at(_ATOM), "[", *self.index(args[1]), "]"), _ATOM, owner.depth)
        if target is operator.setitem:
            written, value = self.value(args[0]), self.value(args[2])
            return Expression((*written.at(_ATOM), "[", *self.index(args[1]), "] = ", *value.parts))
        if target in _INFIX and len(args) == 2:
            return self.infix(target, *args)
        if target in _PREFIX:
            inner = self.value(args[0])
            return Expression((_PREFIX[target], *inner.at(_UNARY)), _UNARY, inner.depth)
        if target in _IN_PLACE:
            return self.on(args[0], _IN_PLACE[target], args[1:], {})
        if getattr(torch, name, None) is target:
            if name in _SAID_INFIX and len(args) == 2 and not kwargs:
                return self.infix(_SAID_INFIX[name], *args)
            if name in _METHODS and args and isinstance(args[0], Node):
                return self.on(args[0], name, args[1:], kwargs)
        return self.call(qualified_name(target), *self.sorted_arguments(node), name)

    def sorted_arguments(self, node: Node) -> tuple[list[Any], dict[str, Any]]:
        """Tensors by position, options by name, and no option that says the default."""
        args, kwargs, name = list(node.args), dict(node.kwargs), target_name(node)
        named = arguments(node) if getattr(F, name, None) is node.target else None
        if named is None or not args or _is_dispatch(node.target):
            return args, {k: v for k, v in _without_defaults(name, kwargs).items() if not _is_cpu(k, v)}
        signature = _defaults(node.target)
        kept = {k: v for k, v in named.items() if isinstance(v, Node) or signature.get(k, ...) != v}
        kept.pop("_stacklevel", None)
        order = list(signature)[1:]
        positional = [args[0]]
        for key in order:
            required = signature[key] is ... and key in kept
            if not required and not (key in kept and isinstance(kept[key], Node)):
                break
            positional.append(kept.pop(key))
        return positional, kept

    def infix(self, target: Any, left: Any, right: Any) -> Expression:
        sign, level = _INFIX[target]
        name = getattr(target, "__name__", "")
        a, b = self.value(left, name), self.value(right, name)
        # All but ** group from the left.
        tight = target is operator.pow or (target is operator.matmul and "@" not in "".join(map(str, a.parts)))
        parts = (*a.at(level + tight), f" {sign} ", *b.at(level + (target is not operator.pow)))
        return Expression(parts, level, max(a.depth, b.depth))

    def call(
        self, head: str, args: list[Any], kwargs: dict[str, Any], name: str, hints: tuple[str, ...] | None = None
    ) -> Expression:
        if name == "permute" and args and all(isinstance(a, int) for a in args):
            return Expression((f"{head}(", Hole(tuple(args), "dims", spread=True), ")"), _ATOM, 1)
        parts: list[Any] = []
        depth = 0
        hints = _POSITIONS.get(name, ()) if hints is None else hints
        for i, value in enumerate(args):
            inner = self.value(value, hints[i] if i < len(hints) else name)
            parts += [", ", *inner.parts]
            depth = max(depth, inner.depth)
        for key, value in kwargs.items():
            inner = self.value(value, "axis" if key == "dim" else key)
            parts += [", ", f"{key}=", *inner.parts]
            depth = max(depth, inner.depth)
        return Expression((f"{head}(", *parts[1:], ")"), _ATOM, depth + 1 if parts else 0)

    def value(self, value: Any, hint: str = "value") -> Expression:
        """Any argument: an operand, a literal, or a list of such."""
        if isinstance(value, Node):
            return self.operand(value)
        if isinstance(value, tuple | list):
            inner = [self.value(v, hint) for v in value]
            parts = [part for e in inner for part in (", ", *e.parts)][1:]
            brackets = "[]" if isinstance(value, list) else "()"
            tail = "," if isinstance(value, tuple) and len(value) == 1 else ""
            depth = max((e.depth for e in inner), default=0)
            return Expression((brackets[0], *parts, tail + brackets[1]), _ATOM, depth)
        if isinstance(value, slice):
            return Expression(self.slice(value))
        if isinstance(value, int | float) and not isinstance(value, bool):
            level = _UNARY if value < 0 else _ATOM
            return Expression((Hole(Code(literal(value)) if value != value else value, hint),), level)
        return Expression((literal(value),))

    def index(self, index: Any) -> tuple[Any, ...]:
        if isinstance(index, tuple) and len(index) > 1:
            return tuple(part for i in index for part in (", ", *self.index(i)))[1:]
        return self.value(index[0] if isinstance(index, tuple) and len(index) == 1 else index, "index").parts

    def slice(self, index: slice) -> tuple[Any, ...]:
        def bound(value: Any) -> tuple[Any, ...]:
            return () if value is None else self.value(value, "index").parts

        step = () if index.step in (None, 1) else (":", *bound(index.step))
        start = () if index.start == 0 and index.stop is None else bound(index.start)
        return (*start, ":", *bound(index.stop), *step)


def reads_as_method(node: Node) -> bool:
    """Whether the node is written after its first argument: `x.flatten(1)`, `x[0]`, `x.shape[0]`."""
    name = target_name(node)
    if node.op == "call_method":
        return not (name in _SAID_INFIX and len(node.args) == 2 and not node.kwargs)
    return node.target in (operator.getitem, getattr, axis_size) or (
        node.op == "call_function" and name in _METHODS and getattr(torch, name, None) is node.target
    )


def _leading(node: Node, parameters: list[inspect.Parameter]) -> list[str]:
    """Keywords of a layer's call that go on where its positional arguments stop, and are tensors."""
    found = []
    for parameter in parameters[len(node.args) :]:
        if not isinstance(node.kwargs.get(parameter.name), Node):
            break
        found.append(parameter.name)
    return found


def _is_default(value: Any, parameter: inspect.Parameter) -> bool:
    return not isinstance(value, Node) and type(value) is type(parameter.default) and value == parameter.default


def _without_defaults(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    known = _DEFAULTS.get(name, {})
    return {k: v for k, v in kwargs.items() if isinstance(v, Node) or k not in known or known[k] != v}


def _is_cpu(key: str, value: Any) -> bool:
    return key == "device" and str(value) == "cpu"


def _is_dispatch(target: Any) -> bool:
    """F.max_pool2d and its like hide their signature behind one of their own."""
    return getattr(target, "__name__", "") == "fn" or "boolean_dispatch" in getattr(target, "__qualname__", "")


def _defaults(target: Any) -> dict[str, Any]:
    try:
        parameters = inspect.signature(target).parameters.values()
    except (TypeError, ValueError):  # F.linear and F.conv2d, which `arguments` knows too
        options = {"bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
        return {"input": ..., "weight": ...} | options
    return {p.name: ... if p.default is p.empty else p.default for p in parameters}


def qualified_name(target: Any) -> str:
    """How generated code names a function: `F.relu`, `torch.cat`, `torch.linalg.norm`.

    Raises:
        TraceError: no name that `import torch` reaches gives this function.
    """
    name = getattr(target, "__name__", str(target))
    for prefix, home in (("F", F), ("torch", torch), ("torch.special", torch.special), ("torch.linalg", torch.linalg)):
        if getattr(home, name, None) is target:
            return f"{prefix}.{name}"
    path = f"{getattr(target, '__module__', '')}.{name}"
    if path.startswith("torch."):
        found: Any = torch
        for part in path.split(".")[1:]:
            found = getattr(found, part, None)
        if found is target:
            return path
    return _dispatched(target)


def _dispatched(target: Any) -> str:
    for name in dir(F):
        if getattr(F, name) is target:
            return f"F.{name}"
    if str(target).startswith("aten."):
        return f"torch.ops.{target}"
    raise TraceError(
        f"the function {target} cannot be named in a file that imports torch alone",
        "Report the model; as a way out, compile it through torch.export (`frontend='export'`).",
    )
