"""A written family, loaded again, as the graphs of its members: to be cut out, or to be written anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn
from torch.fx import GraphModule

from ..data.errors import VerificationError
from ..graphs.compose import Part, compose
from ..trace.record import record
from .pieces import Span, Step


def spans_again(module: nn.Module, steps: Mapping[str, Sequence[Step]]) -> dict[str, list[Span]]:
    """What each member of a loaded family does, as it was cut before it was written. steps: of each, by its name.

    Raises:
        VerificationError: the family has no module of that name.
    """
    graphs: dict[str, GraphModule] = {}
    found = {}
    for name, run in steps.items():
        shape: tuple[int, ...] = tuple(module.input_size)  # type: ignore[arg-type]
        spans = []
        for step in run:
            graph = graphs.get(step.module) or _graph(module, step.module, shape)
            graphs[step.module] = graph
            spans.append(Span(step.piece, graph, "", step.part, step.about))
            shape = _shape_after(module, step.module, shape)
        found[name] = spans
    return found


def member_graph(spans: Sequence[Span]) -> GraphModule:
    """The graph of one member, its modules under the names of the parts of its chain, as a compile leaves it. What its
    images go through before its chain is left out."""
    parts = [Part(span.part, span.part.capitalize(), span.graph) for span in spans if span.part != "input"]
    return compose(parts)


def whole_graph(spans: Sequence[Span]) -> GraphModule:
    """The graph of one member for images as the family takes them."""
    return compose([Part(f"piece{k}", f"Piece{k}", span.graph) for k, span in enumerate(spans)])


def _graph(module: nn.Module, name: str, shape: tuple[int, ...]) -> GraphModule:
    return record(_named(module, name), shape)


@torch.no_grad()
def _shape_after(module: nn.Module, name: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(_named(module, name)(torch.zeros(1, *shape)).shape[1:])


def _named(module: nn.Module, name: str) -> nn.Module:
    found = dict(module.named_children()).get(name)
    if found is None:
        raise VerificationError(f"the family's model.py has no module '{name}', which its plan.json names")
    return found
