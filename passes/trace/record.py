"""The recording front-end: run the model once on fake tensors and write down every call that torch sees.

The batch size is symbolic, so control flow on shapes runs as Python does and the graph holds for any batch. A
`TorchFunctionMode` records functions and tensor methods; calls of `torch.nn` leaves are recorded as call_module nodes.
Nothing of the model is touched: it is copied with fake parameters, so that caches it fills belong to the copy.
"""

from __future__ import annotations

import builtins
import copy
import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import sympy
import torch
from torch import Tensor, fx, nn
from torch._dispatch.python import enable_python_dispatcher
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from ..data.errors import TraceError, first_line
from ..data.scores import chosen, logits_of
from ..graphs.drops import Drop, depth_rate
from .python_operators import OPERATORS, PROPERTIES, REFLECTED

# The batch size that control flow sees while recording: equal to no usual grid, window, head or channel count.
BATCH = 11

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


def record(model: nn.Module, size: tuple[int, ...]) -> fx.GraphModule:
    """The graph of `model` for float32 images [batch, *size], in eval mode. `graphs/conventions.py` says what it holds.

    The graph shares the model's parameters. Notes on what had to be decided stand in `graph.meta["notes"]`.

    Raises:
        TraceError: the model computes what torch cannot see, or branches on the values of its input.
    """
    shapes = ShapeEnv()
    mode = FakeTensorMode(shape_env=shapes, allow_non_fake_inputs=True)
    with torch.no_grad():
        fake_model, names, kept = _fake_copy(model, mode)
        image = mode.from_tensor(
            torch.empty(BATCH, *size),
            symbolic_context=StatelessSymbolicContext(
                dynamic_sizes=[DimDynamic.DYNAMIC] + [DimDynamic.STATIC] * len(size),
                constraint_sizes=[None] * (1 + len(size)),
            ),
            source=ConstantSource("input"),
        )
        recorder = _Recorder(fake_model, names, kept, image, shapes)
        try:
            with _module_calls(recorder), _lengths(), _no_fast_path(), mode, enable_python_dispatcher(), recorder:
                result = fake_model(image)
            recorder.finish(*logits_of(result, chosen(model)))
        except TraceError:
            raise
        except Exception as error:
            raise TraceError(_reason(error)) from error
        finally:
            # Caches of torch keep hundreds of environments alive; without this, each with all that it has seen.
            getattr(shapes, "fake_tensor_cache", {}).clear()
    return recorder.module(model)


def _reason(error: Exception) -> str:
    if type(error).__name__ in ("GuardOnDataDependentSymNode", "DataDependentOutputException"):
        return "recording stopped: what it computes next depends on the values of its input, not on shapes alone"
    return f"recording stopped: {type(error).__name__}: {first_line(error)}"


def _fake_copy(model: nn.Module, mode: FakeTensorMode) -> tuple[nn.Module, dict[int, str], dict[int, Tensor]]:
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
        raise TraceError(f"recording stopped: the network cannot be copied: {first_line(error)}") from error


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


@contextmanager
def _lengths() -> Iterator[None]:
    """`len(x)` is the batch size as `x.shape[0]` is: Python itself would make a plain number of it."""
    original = builtins.len

    def length(value: Any) -> Any:
        return value.shape[0] if isinstance(value, FakeTensor) and value.dim() else original(value)

    builtins.len = length
    try:
        yield
    finally:
        builtins.len = original


def _fake(tensor: Tensor, mode: FakeTensorMode) -> Tensor:
    """Of a network that lies elsewhere, or on `meta`, a tensor of the processor, like the image that it is shown."""
    if tensor.device.type == "cpu":
        return mode.from_tensor(tensor, static_shapes=True)
    with mode:
        made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype)
    return nn.Parameter(made, requires_grad=False) if isinstance(tensor, nn.Parameter) else made


@contextmanager
def _no_fast_path() -> Iterator[None]:
    """torch.nn.MultiheadAttention's fused path hides its operators."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _module_calls(recorder: _Recorder) -> Iterator[None]:
    original = nn.Module.__call__

    def call(self: nn.Module, *args: Any, **kwargs: Any) -> Any:
        return recorder.call(original, self, args, kwargs)

    nn.Module.__call__ = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        nn.Module.__call__ = original  # type: ignore[method-assign]


class _Recorder(TorchFunctionMode):
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
                    f"show (in module '{self.scopes[-1][0] if self.scopes else ''}')",
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
            raise TraceError(f"recording stopped: the batch size enters a {expr.func.__name__} that has no operator")
        parts = [self.scalar(a) for a in expr.args]
        node = parts[0]
        for part in parts[1:]:
            node = self.emit("call_function", function, (node, part), {})
            node.meta["scalar"] = True
        self.expressions[expr] = node
        return node

    def refuse_one_batch_size(self) -> NoReturn:
        where = f" in module '{self.scopes[-1][0]}'" if self.scopes else ""
        raise TraceError(
            f"recording stopped: the batch size is made a plain number{where} (for row in x, range(x.shape[0]), "
            "x.split(1), int(x.shape[0])), so that what follows holds for that size alone",
            "Compute on all images of the batch at once, and take its size as x.shape[0].",
        )

    # -- what is recorded ------------------------------------------------------------------------------------

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.is_autocast_enabled("cpu"):
            where = f" in module '{self.scopes[-1][0]}'" if self.scopes else ""
            raise TraceError(
                f"recording stopped: it computes in torch.autocast{where}, which a graph does not",
                "Take torch.autocast out of forward: the same network runs in float32.",
            )
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
