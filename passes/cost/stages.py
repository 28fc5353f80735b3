"""What each stage of a network takes: its modules at one depth, in the order in which they are called."""

from __future__ import annotations

from dataclasses import dataclass

from torch.fx import GraphModule, Node

from .count import Stored, count
from .fragments import fragment_prices


@dataclass(frozen=True)
class Stage:
    """A module with all that lies in it. path: "" for what the network itself computes between its modules.

    params: shared ones count in the first stage that reads them. macs: for one image. weights_bytes: of its tensors in
    the weights file, without the header. memory_bytes: the most that activations take while it runs, with all that is
    held for others. uncounted: calls of operators without a formula.
    """

    path: str
    params: int
    macs: int
    weights_bytes: int
    memory_bytes: int
    uncounted: int


def stages(graph: GraphModule, input_size: tuple[int, ...], depth: int = 1) -> list[Stage]:
    """The stages of a traced graph, modules `depth` names deep. Params and macs add up to the whole network's."""
    counted = count(graph, input_size)
    live = fragment_prices(counted, []).peaks.live.tolist()
    rows: dict[str, list[int]] = {}
    seen: set[Stored] = set()
    for node, cost, bytes_then in zip(counted.program.graph.nodes, counted.costs, live, strict=True):
        if node.op in ("placeholder", "output"):
            continue
        row = rows.setdefault(_stage_of(node, depth), [0, 0, 0, 0, 0])
        new = [tensor for tensor in dict.fromkeys(cost.stored) if tensor not in seen]
        seen.update(new)
        row[0] += sum(tensor.params for tensor in new)
        row[1] += cost.macs
        row[2] += sum(tensor.entry.data_bytes for tensor in new)
        row[3] = max(row[3], bytes_then)
        row[4] += sum(cost.uncounted.values())
    return [Stage(path, *row) for path, row in rows.items()]


def _stage_of(node: Node, depth: int) -> str:
    scopes = node.meta.get("scopes", ())
    path = scopes[-1][0] if scopes else ""
    if node.op == "call_module":
        path = str(node.target)
    elif node.op == "get_attr" and not path:
        path = str(node.target).rpartition(".")[0]
    return ".".join(path.split(".")[:depth])
