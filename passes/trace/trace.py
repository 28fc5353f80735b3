"""The pass `trace`: from modules to graphs, checked against the modules."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import nn
from torch.fx import GraphModule

from ..data.errors import TraceError, unknown
from ..data.model import Model
from ..data.pass_options import TraceOptions
from ..data.plan import Plan, behind
from ..graphs.constants import fold_constants
from ..pipeline import Pass
from .export import export, is_exported
from .logits import logits_of
from .record import record

FRONTENDS = ("auto", "record", "export")

_SUPPORTED = (
    "What can be traced: networks that take images [batch, channels, height, width] and return one tensor (of several, "
    "the first is taken; of a dict, 'logits' or 'out'), without branches on the values of pixels. Detectors do not."
)


@dataclass(frozen=True)
class Trace(Pass, TraceOptions):
    """A graph of every model.

    frontend: "record" (readable, module level), "export" (torch.export, aten level) or "auto": the first that works.
    check: compare each graph with its model on seeded random images at these batch sizes; () to trust it.
    """

    name: ClassVar[str] = "trace"
    requires: ClassVar[tuple[str, ...]] = ("models",)
    ensures: ClassVar[tuple[str, ...]] = ("graphs",)
    drops: ClassVar[tuple[str, ...]] = behind("graphs")

    check: tuple[int, ...] = (1, 3)

    def run(self, plan: Plan) -> Plan:
        graphs, notes = [], list(plan.notes)
        done: dict[int, GraphModule] = {}
        for model in plan.models:
            if id(model.module) not in done:
                done[id(model.module)] = graph = trace(_module(model), model.input.size, self.frontend, model.name)
                if self.check:
                    check(graph, _module(model), model, self.check, plan.seed)
                notes += [f"{model.name}: {note}" for note in graph.meta["notes"]]
            graphs.append(done[id(model.module)])
        return replace(plan, graphs=tuple(graphs), notes=tuple(notes))


def trace(module: nn.Module, size: tuple[int, ...], frontend: str = "auto", name: str = "the model") -> GraphModule:
    """The graph of `module` for images [batch, *size].

    Raises:
        TraceError: no front-end can, or the one that was asked for cannot; with the reason of each.
    """
    if frontend not in FRONTENDS:
        raise unknown(frontend, "front-end", FRONTENDS)
    fronts = {"record": record, "export": export}
    wanted = ["export"] if is_exported(module) else list(fronts) if frontend == "auto" else [frontend]
    reasons, hints = [], []
    for front in wanted:
        try:
            graph = fold_constants(fronts[front](module, size))
        except TraceError as error:
            reasons.append(f"{front}: {error.message}")
            hints.append(error.hint)
        else:
            graph.meta["frontend"] = front
            return graph
    raise TraceError(f"{name} cannot be traced. " + "; ".join(reasons), next(filter(None, hints), _SUPPORTED))


@torch.no_grad()  # not inference_mode: a model may keep what it computes here
def check(graph: GraphModule, module: nn.Module, model: Model, batches: tuple[int, ...], seed: int) -> None:
    """Compare graph and module on random images.

    Raises:
        TraceError: they differ by more than rounding.
    """
    generator = torch.Generator().manual_seed(seed)
    for batch in batches:
        images = torch.randn(batch, *model.input.size, generator=generator)
        try:
            want, _ = logits_of(module(images.clone()))
            got = graph(images)
        except Exception as error:
            raise TraceError(
                f"{model.name}: running it on {batch} images of {model.input.size} fails: {error}"
            ) from error
        if got.shape != want.shape:
            raise TraceError(f"{model.name}: the graph returns {tuple(got.shape)}, the model {tuple(want.shape)}")
        scale = want.abs().max().clamp_min(1e-12)
        difference = ((got - want).abs().max() / scale).item()
        if not difference <= 1e-5:
            raise TraceError(
                f"{model.name}: the graph differs from the model by {difference:.2g} (relative) on {batch} images",
                "The model does something at random or depends on its own state; it cannot be compiled.",
            )


def _module(model: Model) -> nn.Module:
    if model.module is None:
        raise TraceError(
            f"{model.name} was read from a record and has no module", "Load the model again by its source."
        )
    return model.module
