"""The pass `trace`: from modules to graphs, checked against the modules."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from ..data.errors import ModelError, TraceError, first_line, unknown
from ..data.model import Model
from ..data.pass_options import TraceOptions
from ..data.plan import Plan, fields_after
from ..data.scores import eagerly, ready, scores
from ..graphs.constants import fold_constants
from ..pipeline import Pass
from .export import export, is_exported
from .fake_copy import plain_tensors
from .observe import BATCH, IMAGES, observe
from .record import record

FRONTENDS = ("auto", "record", "export")

CHECK = (1, BATCH)  # sizes of batches

# What another order of summation does to the outputs, relative to the largest.
_ROUNDING = 1e-5

_SUPPORTED = (
    "What can be traced: networks that take images [batch, channels, height, width] and return one tensor (of several, "
    "the one with a row of scores for each image), without branches on the values of pixels. Detectors do not."
)


@dataclass(frozen=True)
class Trace(Pass, TraceOptions):
    """A graph of every model, at the size of its input.

    frontend: "record" (readable, module level), "export" (torch.export, aten level) or "auto": the first that works.
    check: compare each graph with its model as it really runs, on batches of these sizes; () to trust it.
    """

    name: ClassVar[str] = "trace"
    requires: ClassVar[tuple[str, ...]] = ("models",)
    ensures: ClassVar[tuple[str, ...]] = ("graphs",)
    drops: ClassVar[tuple[str, ...]] = fields_after("graphs")

    check: tuple[int, ...] = CHECK

    def run(self, plan: Plan) -> Plan:
        graphs, notes = [], list(plan.notes)
        done: dict[tuple[int, tuple[int, ...]], GraphModule] = {}
        for model in plan.models:
            key = id(model.module), model.input.size
            if key not in done:
                done[key] = graph = trace_model(model, frontend=self.frontend, check=self.check, seed=plan.seed)
                notes += [f"{model.name}: {note}" for note in graph.meta["notes"]]
            graphs.append(done[key])
        return replace(plan, graphs=tuple(graphs), notes=tuple(notes))


def trace_model(
    model: Model,
    size: tuple[int, int, int] | None = None,
    *,
    frontend: str = "auto",
    check: Sequence[int] = CHECK,
    seed: int = 0,
) -> GraphModule:
    """The graph of a model for images of `size` (channels, height, width); by default that of its own input.

    The same weights have another graph at every size that the network works at: other shapes, other prices. With
    `check` the network is run first, on seeded random images, one and several; it is refused where it has no scores of
    its own for an image (see `observe`), and the graph must give what it gave, on batches of these sizes.

    Raises:
        TraceError: it does not run at that size, cannot be traced, or its graph differs by more than rounding.
    """
    size = size or model.input.size
    module, note = in_float32(_refuse_opaque(_network(model), model.name), size, model.name)
    images = torch.randn(max(IMAGES, *check, 0), *size, generator=torch.Generator().manual_seed(seed))
    seen = observe(_sharing(module), images[:IMAGES], model.name).scores if check else {}
    graph = trace(module, size, frontend, model.name)
    for batch in check:
        want = seen[batch] if batch in seen else scores(module, images[:batch].clone(), model.name)
        _compare(graph, images[:batch], want, model.name)
    graph.meta["notes"] = (*((note,) if note else ()), *graph.meta["notes"])
    return graph


def trace(module: nn.Module, size: tuple[int, ...], frontend: str = "auto", name: str = "the model") -> GraphModule:
    """The graph of `module` for images [batch, *size], unchecked.

    Raises:
        TraceError: no front-end can, or the one that was asked for cannot; with the reason of each.
    """
    if frontend not in FRONTENDS:
        raise unknown(frontend, "front-end", FRONTENDS)
    module = _refuse_opaque(ready(module, name), name)
    _check_names(module)
    fronts = {"record": record, "export": export}
    wanted = ["export"] if is_exported(module) else list(fronts) if frontend == "auto" else [frontend]
    reasons, hints = [], []
    for front in wanted:
        try:
            with eagerly():
                graph = fold_constants(fronts[front](module, size))
        except TraceError as error:
            reasons.append(f"{front}: {error.message}")
            hints.append(error.hint)
        else:
            graph.meta["frontend"] = front
            return graph
    raise TraceError(f"{name} cannot be traced. " + "; ".join(reasons), next(filter(None, hints), _SUPPORTED))


def in_float32(module: nn.Module, size: tuple[int, ...], name: str) -> tuple[nn.Module, str]:
    """The network itself where its weights are float32; else a copy in float32, and a note that says so. A stitch of
    two networks computes in one precision.

    Raises:
        TraceError: the copy does not run: the network converts what it computes to another precision itself.
    """
    other = {p.dtype for p in module.parameters() if p.is_floating_point()} - {torch.float32}
    if not other:
        return module, ""
    kinds = ", ".join(sorted(str(dtype).removeprefix("torch.") for dtype in other))
    try:
        module = copy.deepcopy(module).float()
        with torch.no_grad(), eagerly():
            module(torch.zeros(BATCH, *size))
    except Exception as error:
        raise TraceError(
            f"{name}: its weights are {kinds}, and in float32 it does not run: {first_line(error)}",
            "Take the conversions (x.half(), x.to(...)) out of forward: a stitch computes in float32.",
        ) from error
    return module, f"its weights are {kinds}; it is compiled in float32"


def _refuse_opaque(module: nn.Module, name: str) -> nn.Module:
    """Layers that hide what they compute, or their weights."""
    for path, part in module.named_modules():
        where = repr(path) if path else "it"
        if isinstance(part, torch.jit.ScriptModule):
            raise TraceError(
                f"{name}: {where} is scripted or traced by torch.jit, which hides what it computes",
                "Give the Python module that it was made from, or torch.export.save(torch.export.export(...)).",
            )
        if ".quantized." in type(part).__module__:  # torch.ao.nn's; those of torch.ao.nn.qat are in floats
            raise TraceError(
                f"{name}: {where} ({type(part).__name__}) is quantised: its weights are packed integers, which cannot "
                "be stitched, fitted or exported",
                "Give the network in floats, and quantise what comes of it.",
            )
    return module


@torch.no_grad()  # not inference_mode: a model may keep what it computes here
def _compare(graph: GraphModule, images: Tensor, want: Tensor, name: str) -> None:
    hint = (
        "Does forward go another way for some batch sizes (if x.shape[0] == 1), or compute in torch.autocast? Such a "
        "network cannot be compiled."
    )
    try:
        got = graph(images.clone())
    except Exception as error:
        raise TraceError(f"{name}: its graph fails on {len(images)} images: {first_line(error)}", hint) from error
    if got.shape != want.shape:
        raise TraceError(f"{name}: the graph returns {tuple(got.shape)}, the model {tuple(want.shape)}", hint)
    difference = ((got - want).abs().max() / want.abs().max().clamp_min(1e-12)).item()
    if not difference <= _ROUNDING:
        raise TraceError(
            f"{name}: the graph differs from the model by {difference:.2g} (relative) on {len(images)} images", hint
        )


def _sharing(module: nn.Module) -> nn.Module:
    """A copy with the same tensors, so that what forward keeps in attributes stays with it: a graph of a network that
    has kept what it computed of a parameter would read the parameter no more. The network itself, if it cannot be
    copied."""
    tensors = [*module.parameters(), *module.buffers(), *plain_tensors(module, set())]
    try:
        return copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    except Exception:  # locks, open files, handles: whatever hangs on a model
        return module


def _network(model: Model) -> nn.Module:
    try:
        return model.network
    except TraceError:
        raise
    except ModelError as error:
        raise TraceError(error.message, error.hint) from error


def _check_names(module: nn.Module) -> None:
    """torch writes names of modules and tensors into code as they are, and runs that."""
    kinds = module.named_modules, module.named_parameters, module.named_buffers
    for name in (name for kind in kinds for name, _ in kind()):
        if not name.isprintable() or '"' in name or "\\" in name:
            raise TraceError(f"a part of the network is called {name!r}, which no code can name", "Rename it.")
