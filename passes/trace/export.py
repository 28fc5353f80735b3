"""The second front-end: torch.export, at the level of aten operators, for models that cannot be recorded.

The graph of a program that was saved by `torch.export.save` comes in the same way.
"""

from __future__ import annotations

import io
import logging
import operator
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import sympy
import torch
import torch.utils._pytree as pytree
from torch import fx, nn
from torch.fx import GraphModule, Node
from torch.fx.node import map_arg

from ..data.errors import TraceError, first_line
from ..data.kept_by_torch import mortal_exports
from ..data.scores import choose, chosen, logits_of

# Checks on sizes that the exporter leaves behind; they compute nothing.
_CHECKS = ("_assert", "sym_constrain", "_check", "_guards_fn")


def export(model: nn.Module, size: tuple[int, ...]) -> GraphModule:
    """The aten graph of `model` for images [batch, *size] (see `graphs/conventions.py`), with the model's parameters.

    Raises:
        TraceError: torch.export refuses the model, or fixes the batch size.
    """
    if is_exported(model):
        return from_exported(model)  # type: ignore[arg-type]
    images = torch.zeros(2, *size)
    try:
        with _quiet(), mortal_exports():
            program = torch.export.export(
                model, (images,), dynamic_shapes=({0: torch.export.Dim("batch")},), strict=False
            ).module()
    except Exception as error:
        raise TraceError(f"torch.export stopped: {first_line(error)}") from error
    return from_exported(choose(program, chosen(model)))  # type: ignore[arg-type]


@contextmanager
def _quiet() -> Iterator[None]:
    """Before it raises, the exporter prints the graph that it has so far, and logs its own view of the error."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.disable(disabled)


def is_exported(model: nn.Module) -> bool:
    """Whether a module is what `torch.export` makes: a graph of aten operators already."""
    return isinstance(model, GraphModule) and any(
        isinstance(node.target, torch._ops.OpOverload) for node in model.graph.nodes
    )


def from_exported(program: GraphModule) -> GraphModule:
    """The graph of an exported program's module, with what all passes expect of a graph."""
    images = [n for n in program.graph.nodes if n.op == "placeholder"]
    if len(images) != 1:
        raise TraceError(
            f"the program takes {len(images)} inputs; only networks of images alone can be stitched",
            "Export a module whose forward takes the images and nothing else.",
        )
    graph = fx.Graph()
    holders: dict[str, Any] = {}
    made: dict[Node, Node] = {}
    symbol = _batch_symbol(images[0])
    last_of_scope: dict[str, Node] = {}
    wanted, note = _logits(program)
    for node in program.graph.nodes:
        if any(check in str(node.target) for check in _CHECKS):
            continue
        if node.op == "output":
            graph.output(made[wanted])
            continue
        if node.op == "placeholder":
            new = graph.placeholder("input")
        elif node.target is torch.ops.aten.sym_size.int:  # a size is asked for in one way, whatever the front-end
            new = graph.call_method("size", map_arg(node.args, made.__getitem__))
        elif node.target is torch.ops.aten.squeeze.default:  # would take the axis of a single image too
            given = node.args[0].meta["val"].shape
            axes = [axis for axis, n in enumerate(given) if isinstance(n, int) and n == 1]
            new = graph.call_function(torch.ops.aten.squeeze.dims, (made[node.args[0]], axes))
        else:
            new = graph.node_copy(node, made.__getitem__)
        made[node] = new
        new.meta = _meta(node, symbol)
        if node.op == "get_attr":
            holders[str(node.target)] = held = operator.attrgetter(str(node.target))(program)
            if isinstance(held, GraphModule):
                caller = next(iter(node.users), node)
                raise TraceError(
                    f"the program holds a graph within the graph ({caller.target}): a branch, a loop or torch.autocast",
                    "Export the network without it.",
                )
        for path, _ in new.meta["scopes"]:
            last_of_scope[path] = new
    for path, node in sorted(last_of_scope.items(), key=lambda item: -item[0].count(".")):
        node.meta["outputs_of"] = (*node.meta.get("outputs_of", ()), path)
    for node in reversed(graph.nodes):
        if node.op == "get_attr" and not node.users:
            graph.erase_node(node)
    result = GraphModule(holders, graph, class_name=program._get_name())
    result.meta["notes"] = (note,) if note else ()
    return result


def _batch_symbol(image: Node) -> sympy.Expr:
    batch = image.meta["val"].shape[0]
    if isinstance(batch, int):
        raise TraceError(
            f"the program was exported for a batch of exactly {batch}",
            'Export it with dynamic_shapes=({0: torch.export.Dim("batch")},).',
        )
    return batch.node.expr


def _logits(program: GraphModule) -> tuple[Node, str]:
    """The node that holds the class scores, and a note for the user when there are other outputs."""
    (given,) = next(n for n in program.graph.nodes if n.op == "output").args
    nodes = [n for n in given if isinstance(n, Node)] if isinstance(given, tuple | list) else [given]
    values = {id(n.meta.get("val")): n for n in nodes}
    shape = getattr(getattr(program.graph._codegen, "pytree_info", None), "out_spec", None)
    flat = [
        n.meta.get("val") if isinstance(n, Node) else n for n in (given if isinstance(given, tuple | list) else [given])
    ]
    scores, note = logits_of(pytree.tree_unflatten(flat, shape) if shape else flat[0], chosen(program))
    return values[id(scores)], note


def _meta(node: Node, symbol: sympy.Expr) -> dict[str, Any]:
    value = node.meta.get("val")
    meta: dict[str, Any] = {"scopes": _scopes(node)}
    if isinstance(value, torch.Tensor):
        meta |= {"shape": tuple(_extent(n, symbol) for n in value.shape), "dtype": value.dtype}
    elif isinstance(value, torch.SymInt):
        meta["scalar"] = True
    return meta


def _extent(n: int | torch.SymInt, symbol: sympy.Expr) -> int | str:
    if isinstance(n, int):
        return n
    expr = n.node.expr
    return int(expr) if expr.is_Integer else str(expr.subs(symbol, sympy.Symbol("N", integer=True)))


def _scopes(node: Node) -> tuple[tuple[str, str], ...]:
    stack = node.meta.get("nn_module_stack") or {}
    pairs = ((path, kind if isinstance(kind, str) else kind.__name__) for path, kind in stack.values())
    return tuple((path, kind.rpartition(".")[2]) for path, kind in pairs if path and not path.startswith("_"))
