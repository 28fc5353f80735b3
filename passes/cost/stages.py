"""The cost of each stage of a network: its modules at one depth, in the order in which they are called."""

from __future__ import annotations

from dataclasses import dataclass, field

from torch.fx import GraphModule, Node

from ..data import metrics
from ..data.metrics import CountedCall
from ..data.values import Price
from ..data.weights_file import Stored
from .count import count
from .fragments import fragment_prices


@dataclass(frozen=True)
class Stage:
    """The cost of a module with everything inside it. path: "" for what the network computes between its modules.

    sums: its amount of every metric that is a sum, for one image; a stored tensor counts in the first stage that reads
    it. weights_bytes: of its tensors in the weights file, without the header. memory_bytes: peak activations while it
    runs, those held for other stages included. uncounted: calls of operators without a formula.
    """

    path: str
    sums: Price
    weights_bytes: int
    memory_bytes: int
    uncounted: int


def stages(graph: GraphModule, input_size: tuple[int, ...], depth: int = 1) -> list[Stage]:
    """The stages of a traced graph, modules `depth` names deep. Their sums add up to the whole network's."""
    counted = count(graph, input_size)
    live = fragment_prices(counted, []).peaks.live.tolist()
    found: dict[str, _Stage] = {}
    seen: set[Stored] = set()
    for node, cost, bytes_then in zip(counted.program.graph.nodes, counted.costs, live, strict=True):
        if node.op in ("placeholder", "output"):
            continue
        stage = found.setdefault(_stage_of(node, depth), _Stage())
        new = [tensor for tensor in dict.fromkeys(cost.stored) if tensor not in seen]
        seen.update(new)
        stage.stored += new
        stage.calls += [cost.call] if cost.call else []
        stage.memory_bytes = max(stage.memory_bytes, bytes_then)
        stage.uncounted += sum(cost.uncounted.values())
    return [stage.whole(path) for path, stage in found.items()]


@dataclass
class _Stage:
    """What is known of a stage so far."""

    calls: list[CountedCall] = field(default_factory=list)
    stored: list[Stored] = field(default_factory=list)
    memory_bytes: int = 0
    uncounted: int = 0

    def whole(self, path: str) -> Stage:
        sums = {metric.name: sum(metric.amounts(self.calls, self.stored)) for metric in metrics.sums()}
        weights = sum(tensor.entry.data_bytes for tensor in self.stored)
        return Stage(path, Price(sums), weights, self.memory_bytes, self.uncounted)


def _stage_of(node: Node, depth: int) -> str:
    scopes = node.meta.get("scopes", ())
    path = scopes[-1][0] if scopes else ""
    if node.op == "call_module":
        path = str(node.target)
    elif node.op == "get_attr" and not path:
        path = str(node.target).rpartition(".")[0]
    return ".".join(path.split(".")[:depth])
