"""What every traced graph guarantees, and the few questions that all passes ask of one.

A graph is a `torch.fx.GraphModule` with one placeholder, named `input`, and one output that is a single tensor. Its
nodes are `torch.nn` leaves (call_module), functions of torch and `operator` (call_function), tensor methods
(call_method) and parameters, buffers or constants (get_attr); any torch runs it. Modules keep the dotted path that
they have in the model; constants that the model makes in `forward` from nothing are buffers named `_constant<i>`.
The batch axis is axis 0 of the input and its size is free; an integer computed from it is a node of its own.

Each node carries in `meta`:

    shape       of a tensor value: a tuple of integers and, where the batch size is in it, text: ("N", 64, 56, 56),
                ("64*N", 49, 96)
    dtype       of a tensor value
    scalar      True when the value is an integer that depends on the batch size alone
    scopes      ((path, class name), ...) of the modules whose call encloses the node, outermost first, root left out;
                of a call_module node, without the leaf itself
    inplace     True of a call_module node whose leaf overwrites its argument (`nn.ReLU(inplace=True)`)
    drops       what training drops at random of the value, where the model hands it on (see `passes/graphs/drops.py`)
    outputs_of  paths of the modules whose output the value is, innermost first; a leaf's own path included
    origin      of a node of a composed graph: (name of its part, name of the node in the graph that the part is of)
"""

from __future__ import annotations

import operator
from collections.abc import Iterator

from torch._ops import OpOverload
from torch.fx import Graph, GraphModule, Node

# Methods and functions that return a tensor on the same memory: a write to it is a write to their first argument.
VIEWS = frozenset(
    {
        *("view", "view_as", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze", "expand", "expand_as"),
        *("permute", "transpose", "t", "adjoint", "movedim", "swapaxes", "diagonal", "unfold", "as_strided"),
        *("select", "narrow", "slice", "chunk", "split", "unbind", "getitem", "getattr", "real", "imag"),
        *("detach", "contiguous", "to"),
    }
)


def target_name(node: Node) -> str:
    """The bare name of what a node calls, of aten operators too: "permute", "conv2d", "getitem"; a leaf's own path."""
    if isinstance(node.target, str):
        return node.target
    if isinstance(node.target, OpOverload):
        return node.target._schema.name.rpartition("::")[2]
    return getattr(node.target, "__name__", str(node.target))


def is_scalar(node: Node) -> bool:
    """Whether the node's value is an integer that depends on the batch size alone."""
    return bool(node.meta.get("scalar"))


def is_tensor(node: Node) -> bool:
    """Whether the node's value is a tensor."""
    return "shape" in node.meta


def writes_in_place(node: Node) -> bool:
    """Whether the node changes the memory of its first argument and later readers of that memory depend on it."""
    if node.op == "call_function":
        name = target_name(node)
        inplace = node.target in (operator.setitem, operator.iadd, operator.imul, operator.isub, operator.itruediv)
        return inplace or (name.endswith("_") and not name.endswith("__")) or node.kwargs.get("inplace") is True
    if node.op == "call_method":
        return target_name(node).endswith("_") and not target_name(node).endswith("__")
    return bool(node.meta.get("inplace"))


def writes_input(graph: Graph) -> bool:
    """Whether a node changes the memory of the image."""
    same = {placeholder(graph)}
    for node in graph.nodes:
        if node.args and node.args[0] in same:
            if writes_in_place(node):
                return True
            if target_name(node) in VIEWS:
                same.add(node)
    return False


def dependencies(graph: Graph) -> dict[Node, tuple[Node, ...]]:
    """What each node needs: its arguments, and every earlier in-place write to memory that it reads.

    A write through a view (`mask[:, 4:] = 1`) has no user in fx; here whoever reads the mask afterwards depends on it.
    """
    memory: dict[Node, Node] = {}  # the node that allocated the memory a value lies in, as far as views tell
    writers: dict[Node, list[Node]] = {}
    needs: dict[Node, tuple[Node, ...]] = {}
    position = {node: i for i, node in enumerate(graph.nodes)}
    for node in graph.nodes:
        arguments = node.all_input_nodes
        # What was written before an argument was made has been seen to when that was.
        written = [w for a in arguments for w in writers.get(memory[a], ()) if position[w] > position[a]]
        needs[node] = tuple(dict.fromkeys([*arguments, *written]))
        shares = arguments and (writes_in_place(node) or target_name(node) in VIEWS)
        memory[node] = memory[arguments[0]] if shares else node
        if arguments and writes_in_place(node):
            writers.setdefault(memory[node], []).append(node)
    return needs


def reachable(start: Node, needs: dict[Node, tuple[Node, ...]]) -> set[Node]:
    """All nodes that `start` needs, itself included."""
    seen, stack = {start}, [start]
    while stack:
        for node in needs[stack.pop()]:
            if node not in seen:
                seen.add(node)
                stack.append(node)
    return seen


def reads_input(graph: Graph, needs: dict[Node, tuple[Node, ...]]) -> set[Node]:
    """Nodes whose value depends on the image, not merely on the batch size. The rest can be computed from nothing."""
    found: set[Node] = set()
    for node in graph.nodes:
        if node.op == "placeholder" or (not is_scalar(node) and any(n in found for n in needs[node])):
            found.add(node)
    return found


def placeholder(graph: Graph) -> Node:
    """The input node."""
    return next(n for n in graph.nodes if n.op == "placeholder")


def output(graph: Graph) -> Node:
    """The output node."""
    return next(n for n in reversed(graph.nodes) if n.op == "output")


def result(graph: Graph) -> Node:
    """The node whose value the graph returns."""
    (node,) = output(graph).all_input_nodes
    return node


def by_name(graph: Graph) -> dict[str, Node]:
    """The nodes of a graph by name."""
    return {n.name: n for n in graph.nodes}


def tensors(graph: Graph) -> Iterator[Node]:
    """The nodes whose values are tensors, in order."""
    return (n for n in graph.nodes if is_tensor(n))


def preactivation(graph: GraphModule, name: str) -> str:
    """The node whose value the ReLU at node `name` reads; `name` itself where it is no ReLU."""
    node = by_name(graph.graph)[name]
    kind = type(graph.get_submodule(str(node.target))).__name__ if node.op == "call_module" else target_name(node)
    if kind in ("ReLU", "relu", "relu_") and isinstance(node.args[0], Node):
        return node.args[0].name
    return name
