"""Which axis of a value is what. For now every value counts as maps."""

from typing import Any


def layouts(graph_module: Any) -> dict[Any, Any]:
    from ..values import Value

    return {n: Value(tuple(n.meta["shape"][1:]), "NCHW") for n in graph_module.graph.nodes if "shape" in n.meta}
