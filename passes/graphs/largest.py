"""The largest of the models that a chain is made of: of whom, without labels, most may be learned."""

from __future__ import annotations

from collections.abc import Sequence

from torch.fx import GraphModule

from ..data.chain import Chain
from ..data.values import Price
from .conventions import result


def largest(graphs: Sequence[GraphModule], prices: Sequence[Price], chain: Chain) -> int:
    """Of the models that a chain has fragments of, and that have as many outputs as it has, the one with the most
    multiply-adds; the last where none is priced, or where others have no more.

    graphs, prices: of the models, by their index in the plan; no prices where none are known.
    """
    models = dict.fromkeys([chain.back.model, *(fragment.model for fragment in chain.fragments)])
    shapes = [result(graph.graph).meta.get("shape") for graph in graphs]
    able = [model for model in models if shapes[model] == shapes[chain.back.model]]
    return max(able, key=lambda model: prices[model].get("macs", 0) if prices else 0)
