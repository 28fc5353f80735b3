"""Values that depend on no image, no batch size and no parameter become buffers, beside the code that reads them.

Tracing folds values that have no input. A value made with `x.new_zeros(...)` has the image as an argument but does not
depend on it; folded here, the twenty lines that compute a shifted window's mask become one buffer.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Node

from ..graphs.constants import become_buffers, evaluated, is_random
from ..graphs.conventions import target_name
from .program import Memory, Program, scopes, writes

# Methods and functions that take from their first argument nothing but dtype, device and sometimes shape.
_FACTORIES = {"new_zeros": torch.zeros, "new_ones": torch.ones, "new_full": torch.full}
_LIKE = {"zeros_like": 0, "ones_like": 1}
# What differs in training, or is uninitialised.
_UNSETTLED = ("dropout", "empty")
# More elements than this stay code: a table that large is no longer a detail of the weights file.
MOST_ELEMENTS = 1 << 20


def fold_constants(program: Program) -> None:
    """Replace such values by buffers; in-place writes to them are carried out. Changes `program`."""

    def register(node: Node, value: Tensor) -> str:
        name = f"_folded.{node.name}"  # moved beside its readers by `place_constants`
        program.tensors[name] = value
        return name

    become_buffers(program.graph, _constant_values(program), register)
    program.drop_unused()


def _constant_values(program: Program) -> dict[Node, Any]:
    """The value of every foldable node. Memory that is ever written with something else is not foldable."""
    memory = Memory(program)
    tainted: set[Node] = set()
    while True:
        values: dict[Node, Any] = {}
        bad: set[Node] = set()
        for node in program.graph.nodes:
            root = memory.root[node]
            if root in tainted or node.op in ("placeholder", "output", "call_module"):
                constant = False
            elif node.op == "get_attr":
                constant = _is_made(node) and root not in memory.writers
            else:
                constant = _is_constant(node, values)
            if constant:
                try:
                    values[node] = _value(node, values, program)
                except (TypeError, RuntimeError):
                    constant = False
                else:
                    value = values[node]
                    if isinstance(value, Tensor) and value.numel() > MOST_ELEMENTS:
                        bad.add(root)
            if not constant and node.all_input_nodes and writes(node, program.leaves):
                bad.add(root)
        if bad <= tainted:
            return values
        tainted |= bad


def _is_made(node: Node) -> bool:
    """Whether tracing made this buffer; the model's own buffers stay what they are."""
    return str(node.target).rpartition(".")[2].startswith("_constant")


def _is_constant(node: Node, values: dict[Node, Any]) -> bool:
    name = target_name(node)
    if is_random(node) or name.startswith(_UNSETTLED) or (name.endswith("_like") and name not in _LIKE):
        return False
    if name in _LIKE:
        return all(isinstance(n, int) for n in node.meta.get("shape", ("N",)))
    inputs = node.all_input_nodes[1:] if name in _FACTORIES else node.all_input_nodes
    return all(n in values for n in inputs)


def _value(node: Node, values: dict[Node, Any], program: Program) -> Any:
    name = target_name(node)
    if node.op == "get_attr":
        return program.tensors[str(node.target)].clone()
    if name in _LIKE:
        return torch.full(node.meta["shape"], _LIKE[name], dtype=node.meta["dtype"])
    if name in _FACTORIES:
        size = [int(n) for n in node.meta["shape"]]
        fill = [node.args[2] if len(node.args) > 2 else node.kwargs["fill_value"]] if name == "new_full" else []
        return _FACTORIES[name](size, *fill, dtype=node.meta["dtype"])  # type: ignore[operator]
    return evaluated(node, values)


def place_constants(program: Program) -> None:
    """Give each made buffer a path beside its readers and a name that says what it is: `front.layer1.0.attn.mask`."""
    taken = set(program.tensors) | set(program.leaves)
    for node in [n for n in program.graph.nodes if n.op == "get_attr"]:
        if not (_is_made(node) or str(node.target).startswith("_folded.")):
            continue
        tensor = program.tensors[str(node.target)]
        stem = "".join(f"{path}." for path in _shared_scopes(node)[-1:])
        path = base = stem + _describe(tensor)
        count = 1
        while path in taken:
            count += 1
            path = f"{base}{count}"
        taken.add(path)
        program.tensors[path] = tensor if not isinstance(tensor, nn.Parameter) else tensor.detach()
        node.target = path
    program.drop_unused()


def _shared_scopes(node: Node) -> list[str]:
    """Paths of the scopes that all readers of a value are in, outermost first."""
    steps = zip(*([path for path, _ in scopes(user)] for user in node.users), strict=False)
    return [paths[0] for paths in takewhile(lambda paths: len(set(paths)) == 1, steps)]


def _describe(tensor: Tensor) -> str:
    if tensor.dtype == torch.bool:
        return "mask"
    if not tensor.is_floating_point():
        return "index"
    found = tensor.unique() if tensor.numel() < MOST_ELEMENTS else tensor.new_zeros(9)
    return "mask" if len(found) == 2 and found[1] == 0 and found[0] <= -100 else "constant"
