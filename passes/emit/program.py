"""What is emitted: a graph of its own, with the layers and tensors that it names. Also: which values share memory."""

from __future__ import annotations

from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from torch import Tensor, nn
from torch.fx import Graph, GraphModule, Node

from ..graphs.conventions import VIEWS, target_name, writes_in_place
from ..graphs.drops import DROPOUTS, DropPath


@dataclass
class Program:
    """A graph that may be rewritten without touching the plan's, and what its nodes name by path.

    leaves: the `torch.nn` layers of call_module nodes. tensors: parameters and buffers of get_attr nodes.
    A node's meta has the name of the node of the plan's graph whose value it computes, as `origin`.
    """

    graph: Graph
    leaves: dict[str, nn.Module]
    tensors: dict[str, Tensor]

    @classmethod
    def of(cls, graph_module: GraphModule) -> Program:
        graph = Graph()
        copies: dict[Node, Node] = {}
        for node in graph_module.graph.nodes:
            copies[node] = copy = graph.node_copy(node, copies.__getitem__)
            copy.meta = dict(node.meta) | {"origin": node.name}
        leaves = {n.target: graph_module.get_submodule(n.target) for n in graph.nodes if n.op == "call_module"}
        tensors = {n.target: attrgetter(n.target)(graph_module) for n in graph.nodes if n.op == "get_attr"}
        return cls(graph, leaves, tensors)

    def state_dict(self) -> dict[str, Tensor]:
        """Every tensor that the generated module holds, by its key there."""
        state = dict(self.tensors)
        for path, leaf in self.leaves.items():
            state |= {f"{path}.{name}": tensor for name, tensor in leaf.state_dict(keep_vars=True).items()}
        return state

    def drop_unused(self) -> None:
        """Forget layers and tensors that no node names any more."""
        for node in reversed(self.graph.nodes):
            if node.op == "get_attr" and not node.users:
                self.graph.erase_node(node)
        used = {n.target for n in self.graph.nodes if n.op in ("call_module", "get_attr")}
        self.leaves = {path: leaf for path, leaf in self.leaves.items() if path in used}
        self.tensors = {path: tensor for path, tensor in self.tensors.items() if path in used}


def scopes(node: Node) -> tuple[tuple[str, str], ...]:
    """The modules whose calls enclose the node: (path, class name), outermost first."""
    return node.meta.get("scopes", ())


def writes(node: Node, leaves: dict[str, nn.Module]) -> bool:
    """Whether the node changes the memory of its first argument; `nn.ReLU(inplace=True)` does too."""
    if node.op == "call_module":
        return bool(getattr(leaves[str(node.target)], "inplace", False))
    return writes_in_place(node)


def drops(node: Node, leaves: dict[str, nn.Module]) -> bool:
    """Whether the node returns its argument itself outside training."""
    return node.op == "call_module" and isinstance(leaves[str(node.target)], (*DROPOUTS, DropPath))


class Memory:
    """Which values lie in the same memory, and who writes there."""

    def __init__(self, program: Program):
        self.position = {node: i for i, node in enumerate(program.graph.nodes)}
        self.writers: dict[Node, list[Node]] = {}
        self.root: dict[Any, Node] = {}
        for node in program.graph.nodes:
            inputs = node.all_input_nodes
            write = bool(inputs) and writes(node, program.leaves)
            shares = inputs and (write or target_name(node).rpartition(".")[2] in VIEWS or drops(node, program.leaves))
            self.root[node] = self.root[inputs[0]] if shares else node
            if write:
                self.writers.setdefault(self.root[node], []).append(node)

    def read_later(self, node: Node) -> bool:
        """Whether the memory that `node` lies in is read after it by anyone who does not go through `node`."""
        root, here = self.root[node], self.position[node]
        others = (n for n, r in self.root.items() if r is root and self.position[n] < here)
        return any(self.position[user] > here for n in others for user in n.users)
