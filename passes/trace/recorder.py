"""What is recorded of a model that runs on fake tensors: every call that torch sees, as nodes of a graph."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, NoReturn

import sympy
import torch
from torch import Tensor, fx, nn
from torch._subclasses.fake_tensor import FakeTensor
from torch.fx.experimental.symbolic_shapes import ShapeEnv
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from ..data.errors import TraceError
from ..graphs.drops import Drop, depth_rate
from .known_output import known_output
from .python_operators import OPERATORS, PROPERTIES, REFLECTED

# Functions that do nothing at all outside training.
_TRAINING_ONLY = frozenset({"dropout", "dropout_", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout"})
_CONVERSIONS = frozenset({"to", "type", "type_as", "float", "cpu", "requires_grad_"})


def is_leaf(module: nn.Module) -> bool:
    """Whether a call of the module is one node: a class of `torch.nn` itself that computes as torch made it, without
    children that a cut could lie between, and without hooks or methods put in its place, whose work would be lost."""
    kind = type(module)
    if getattr(nn, kind.__name__, None) is not kind or isinstance(
        module, nn.Sequential | nn.ModuleList | nn.ModuleDict
    ):
        return False
    if module._forward_hooks or module._forward_pre_hooks or not kind.forward.__module__.startswith("torch."):
        return False
    if any(callable(value) and callable(getattr(kind, name, None)) for name, value in vars(module).items()):
        return False
    return isinstance(module, nn.MultiheadAttention) or not any(True for _ in module.children())


class Recorder(TorchFunctionMode):
    """While entered, writes every call that torch sees down as a node of `graph`.

    root: the copy of the model that runs. names, kept: as `fake_copy` gives them. image: what the model is given.
    shapes: where the symbol of its batch size is from.
    """

    def __init__(
        self, root: nn.Module, names: dict[int, str], kept: dict[int, Tensor], image: FakeTensor, shapes: ShapeEnv
    ):
        super().__init__()
        self.shapes = shapes
        self.graph = fx.Graph()
        self.notes: list[str] = []
        self.paths = {id(m): path for path, m in root.named_modules()}
        self.names = names
        self.kept = kept
        self.constants: dict[str, Tensor] = {}
        self.nodes: dict[int, fx.Node] = {}  # of a tensor, by identity
        self.alive: list[Any] = []  # identities are only unique among the living
        self.scopes: list[tuple[str, str]] = []
        self.inside_leaf = False
        batch = image.shape[0]
        assert isinstance(batch, torch.SymInt)
        self.symbol: sympy.Expr = batch.node.expr
        node = self.graph.placeholder("input")
        self.bind(image, node)
        self.batch = self.graph.call_method("size", (node, 0))
        self.batch.meta["scalar"] = True
        self.expressions: dict[sympy.Expr, fx.Node] = {self.symbol: self.batch}

    # -- values and their nodes ------------------------------------------------------------------------------

    def bind(self, value: Tensor, node: fx.Node) -> None:
        self.nodes[id(value)] = node
        self.alive.append(value)
        node.meta["shape"] = tuple(self.extent(n) for n in value.shape)
        node.meta["dtype"] = value.dtype

    def extent(self, n: int | torch.SymInt) -> int | str:
        if isinstance(n, int):
            return n
        expr = n.node.expr
        return int(expr) if expr.is_Integer else str(expr.subs(self.symbol, sympy.Symbol("N", integer=True)))

    def bind_result(self, value: Any, node: fx.Node) -> None:
        """Bind a tensor, or every tensor inside a tuple, list or dict by getitem nodes."""
        if isinstance(value, Tensor):
            self.bind(value, node)
            return
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if _holds_tensor(item):
                self.bind_result(item, self.emit("call_function", operator.getitem, (node, key), {}))

    def emit(self, op: str, target: Any, args: Any, kwargs: Any) -> fx.Node:
        if self.symbol in self.shapes.replacements:
            self.refuse_one_batch_size()
        node = self.graph.create_node(op, target, args, kwargs)
        node.meta["scopes"] = tuple(self.scopes)
        return node

    def argument(self, value: Any) -> Any:
        """`value` as an argument of a node."""
        if isinstance(value, Tensor):
            return self.nodes.get(id(value)) or self.attribute(value)
        if isinstance(value, torch.SymInt | torch.SymFloat):
            return self.scalar(value.node.expr)
        if isinstance(value, tuple):
            items = [self.argument(item) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
        if isinstance(value, list):
            return [self.argument(item) for item in value]
        if isinstance(value, dict):
            return {key: self.argument(item) for key, item in value.items()}
        if isinstance(value, slice):
            return slice(self.argument(value.start), self.argument(value.stop), self.argument(value.step))
        return value

    def attribute(self, value: Tensor) -> fx.Node:
        """A parameter or buffer by its name; a real tensor that the model made itself as a constant."""
        name = self.names.get(id(value))
        if name is None:
            value_of = self.kept.get(id(value), value)
            if isinstance(value_of, FakeTensor):
                raise TraceError(
                    f"recording stopped: a tensor of shape {tuple(value.shape)} comes from a call that torch does not "
                    f"show{self.where}",
                    "Compiled or scripted functions cannot be recorded; use the plain Python version.",
                )
            name = f"_constant{len(self.constants)}"
            with _disable_current_modes():  # under them it would be a copy without numbers
                self.constants[name] = value_of.detach().clone()
        node = self.emit("get_attr", name, (), {})
        self.bind(value, node)
        return node

    def scalar(self, expr: Any) -> Any:
        """An integer computed from the batch size, as nodes."""
        expr = sympy.sympify(expr)
        if expr in self.expressions:
            return self.expressions[expr]
        if expr.is_Integer:
            return int(expr)
        if expr.is_number:
            return float(expr)
        kinds = {"Mul": operator.mul, "Add": operator.add, "FloorDiv": operator.floordiv, "CleanDiv": operator.floordiv}
        kinds |= {"Mod": operator.mod, "PythonMod": operator.mod, "Pow": operator.pow}
        function = kinds.get(expr.func.__name__)
        if function is None:
            raise TraceError(
                f"recording stopped: the batch size enters a {expr.func.__name__} that has no operator",
                "Take the batch size as x.shape[0], and compute with it by +, -, *, // and % alone.",
            )
        parts = [self.scalar(a) for a in expr.args]
        node = parts[0]
        for part in parts[1:]:
            node = self.emit("call_function", function, (node, part), {})
            node.meta["scalar"] = True
        self.expressions[expr] = node
        return node

    @property
    def where(self) -> str:
        """The module that runs, for a message; empty outside of all."""
        return f" in module '{self.scopes[-1][0]}'" if self.scopes else ""

    def refuse_one_batch_size(self) -> NoReturn:
        raise TraceError(
            f"recording stopped: the batch size is made a plain number{self.where} (for row in x, range(x.shape[0]), "
            "x.split(1), int(x.shape[0])), so that what follows holds for that size alone",
            "Compute on all images of the batch at once, and take its size as x.shape[0].",
        )

    # -- what is recorded ------------------------------------------------------------------------------------

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_autocast_enabled("cpu"):
            raise TraceError(
                f"recording stopped: it computes in torch.autocast{self.where}, which a graph does not",
                "Take torch.autocast out of forward: the same network runs in float32.",
            )
        out = known_output(function, args, kwargs)
        if out is None:
            out = function(*args, **kwargs)
        if self.inside_leaf:
            return out
        name = "__pow__" if function is Tensor.__pow__ else getattr(function, "__name__", str(function))
        if name == "__get__":
            return self.property(function, args, out)
        writes = name in ("__setitem__", "setitem") or (name.endswith("_") and not name.endswith("__"))
        if name == "__set__" or not (_holds_tensor(out) or writes):
            return out
        if name in _TRAINING_ONLY and isinstance(out, Tensor):
            same = self.same(args[0] if args else kwargs["input"], out)
            if name in ("dropout", "dropout_"):
                p = args[1] if len(args) > 1 else kwargs.get("p", 0.5)
                self.note_drop(same, f"{self.scopes[-1][0]}.dropout" if self.scopes else "dropout", p, whole=False)
            return same
        if name in _CONVERSIONS and args and out is args[0]:
            return out
        if name == "squeeze" and not (args[1:] or "dim" in kwargs):
            return self.squeeze(args[0] if args else kwargs["input"], out)
        self.bind_call(function, name, args, kwargs, out)
        return out

    def bind_call(self, function: Any, name: str, args: Any, kwargs: Any, out: Any) -> None:
        given, options = self.argument(tuple(args)), self.argument(dict(kwargs))
        if name in OPERATORS:
            node = self.emit("call_function", OPERATORS[name], given, options)
        elif name in REFLECTED:
            node = self.emit("call_function", REFLECTED[name], given[::-1], options)
        elif _is_method(function, name):
            node = self.emit("call_method", name, given, options)
        else:
            node = self.emit("call_function", function, given, options)
        if out is not None:
            self.bind_result(out, node)

    def squeeze(self, value: Tensor, out: Tensor) -> Tensor:
        """`squeeze()` as axes that are named: without, it would take the axis of a single image too."""
        node = self.argument(value)
        for axis in reversed([axis for axis, n in enumerate(value.shape) if isinstance(n, int) and n == 1]):
            value = value.squeeze(axis)
            node = self.emit("call_method", "squeeze", (node, axis), {})
            self.bind(value, node)
        return self.same(value, out)

    def property(self, function: Any, args: Any, out: Any) -> Any:
        name = function.__self__.__name__
        if not isinstance(out, Tensor) or name in ("grad", "_base"):
            return out
        method, rest = PROPERTIES.get(name, (None, ()))
        if method:
            self.bind(out, self.emit("call_method", method, (self.argument(args[0]), *rest), {}))
        else:
            self.bind(out, self.emit("call_function", getattr, (self.argument(args[0]), name), {}))
        return out

    def same(self, before: Tensor, after: Tensor) -> Tensor:
        """`after` is `before` under another identity."""
        if after is not before:
            self.nodes[id(after)] = self.argument(before)
            self.alive.append(after)
        return after

    def note_drop(self, value: Any, path: str, p: float, whole: bool) -> None:
        """That training drops `value` at random here, where it does."""
        if p > 0 and id(value) in self.nodes:
            meta = self.nodes[id(value)].meta
            meta["drops"] = (*meta.get("drops", ()), Drop(path, round(p, 6), whole, tuple(self.scopes)))

    def call(self, original: Callable[..., Any], module: nn.Module, args: Any, kwargs: Any) -> Any:
        """Calls a module as `original` would: a leaf is one node, any other is entered."""
        path = self.paths.get(id(module))
        if self.inside_leaf or path is None:
            return original(module, *args, **kwargs)
        if not is_leaf(module):
            if path:
                self.scopes.append((path, type(module).__name__))
            try:
                out = original(module, *args, **kwargs)
            finally:
                if path:
                    self.scopes.pop()
            if args and out is args[0] and path:
                self.note_drop(out, path, depth_rate(module), whole=True)
        else:
            self.inside_leaf = True
            try:
                out = original(module, *args, **kwargs)
            finally:
                self.inside_leaf = False
            node = self.emit("call_module", path, self.argument(tuple(args)), self.argument(dict(kwargs)))
            node.meta["inplace"] = bool(getattr(module, "inplace", False))
            self.bind_result(out, node)
        if path and isinstance(out, Tensor) and id(out) in self.nodes:
            meta = self.nodes[id(out)].meta
            meta["outputs_of"] = (*meta.get("outputs_of", ()), path)
        return out

    # -- the end ---------------------------------------------------------------------------------------------

    def finish(self, logits: Tensor, note: str) -> None:
        """Ends the graph with its output, without what nothing reads. note: what was decided of the output, if any."""
        if note:
            self.notes.append(note)
        self.scopes.clear()
        if self.symbol in self.shapes.replacements:
            self.refuse_one_batch_size()
        self.graph.output(self.argument(logits))
        for node in reversed(self.graph.nodes):
            pure = node.op == "get_attr" or node.target is operator.getitem or node.meta.get("scalar")
            if pure and not node.users:
                self.graph.erase_node(node)

    def module(self, model: nn.Module) -> fx.GraphModule:
        """The graph over the real model's modules, parameters and buffers."""
        holders: dict[str, Any] = {}
        for node in self.graph.nodes:
            if node.op == "call_module":
                holders[node.target] = model.get_submodule(node.target)
        for node in self.graph.nodes:
            if node.op == "get_attr" and node.target not in self.constants:
                holders[node.target] = operator.attrgetter(node.target)(model)
        holders |= {name: value for name, value in self.constants.items()}
        graph_module = fx.GraphModule(holders, self.graph, class_name=type(model).__name__)
        graph_module.meta["notes"] = tuple(self.notes)
        return graph_module.eval()


def _is_method(function: Any, name: str) -> bool:
    if (
        type(function).__name__ in ("method_descriptor", "wrapper_descriptor")
        or getattr(Tensor, name, None) is function
    ):
        return True
    return getattr(function, "__module__", "") == "torch._tensor" and hasattr(Tensor, name)


def _holds_tensor(value: Any) -> bool:
    if isinstance(value, Tensor):
        return True
    if isinstance(value, dict):
        return any(_holds_tensor(v) for v in value.values())
    return isinstance(value, tuple | list) and any(_holds_tensor(v) for v in value)
