"""The steps that a model is taken through, in its own process. See `record.STEPS`."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.fx import GraphModule

from ..passes.cost import Cost
from ..passes.data.errors import ModelError, StitchError, TraceError, VerificationError
from ..passes.data.hybrid import Hybrid
from ..passes.data.model import Model
from ..passes.data.plan import Plan
from ..passes.data.values import Cuts, Value
from ..passes.emit import Codegen
from ..passes.emit.load import load_module, load_onnx
from ..passes.emit.onnx import ExportOnnx
from ..passes.graphs.layouts import layouts
from ..passes.partition import partition
from ..passes.trace import trace
from .liven import liven
from .record import STEPS

#: The sizes of the batches that are compared, and how far outputs may be apart, relative to the largest output; where
#: rounding alone moves them further, ten times that, up to the last.
BATCHES, EXACT, CLOSE, LOOSE = (1, 2), 1e-5, 1e-4, 2e-2
_LONGEST_REASON = 300


@dataclass(frozen=True)
class Task:
    """A model to check. words: MODEL. folder: where its code may be written. until: the last step.
    max_params: larger ones skip ONNX. frontend: as of the pass `trace`."""

    words: str
    folder: Path
    seed: int = 0
    until: str = STEPS[-1]
    max_params: float = float("inf")
    frontend: str = "auto"


#: What is told while a model is checked: the step that begins, or what is known more by now.
Tell = Callable[[str, dict[str, Any]], None]


def run(task: Task, tell: Tell) -> None:
    """Takes a model through all steps and tells of each; the first that fails is the last."""
    examination = _Examination(task)
    seconds: dict[str, float] = {}
    for step in examination.steps():
        tell("begin", {"step": step})
        start = time.process_time()  # on a machine that does other work too, the only time that can be compared
        try:
            found = getattr(examination, step)()
        except Exception as error:
            seconds[step] = time.process_time() - start
            tell("found", {"steps": _rounded(seconds), "failed": step, "reason": _reason(error, task.folder)})
            return
        seconds[step] = time.process_time() - start
        tell("found", {**found, "steps": _rounded(seconds)})


class _Examination:
    """What one step leaves to the next."""

    def __init__(self, task: Task):
        self.task = task
        self.plan: Plan
        self.differences: dict[str, float] = {}
        self.wanted: list[Tensor] = []
        self.images = [torch.empty(0)] * len(BATCHES)

    def steps(self) -> Iterator[str]:
        for step in STEPS[: STEPS.index(self.task.until) + 1]:
            if step == "onnx" and self.plan.prices[0]["params"] > self.task.max_params:
                return
            yield step

    @property
    def model(self) -> Model:
        return self.plan.models[0]

    @property
    def graph(self) -> GraphModule:
        return self.plan.graphs[0]

    def load(self) -> dict[str, Any]:
        from ..zoo import load

        model = load(self.task.words)
        assert model.module is not None
        self.plan = Plan((model,), seed=self.task.seed)
        return {"params": sum(p.numel() for p in model.module.parameters())}

    def trace(self) -> dict[str, Any]:
        assert self.model.module is not None
        graph = trace(self.model.module, self.model.input.size, self.task.frontend, self.model.name)
        self.plan = replace(self.plan, graphs=(graph,))
        found = {"frontend": graph.meta["frontend"], "nodes": len(graph.graph.nodes)}
        return found | ({"notes": graph.meta["notes"]} if graph.meta["notes"] else {})

    @torch.no_grad()
    def equal(self) -> dict[str, Any]:
        module = self.model.module
        assert module is not None
        generator = torch.Generator().manual_seed(self.task.seed)
        images = _images(max(BATCHES), self.model.input.size, generator)
        self.images = [images[:n] for n in BATCHES]
        liven(module, images, generator)  # the graph shares its parameters
        self.wanted = [self.graph(images.clone()) for images in self.images]
        eager = [self.model.scores(images.clone()) for images in self.images]
        _must_tell(eager[-1])
        difference = max(map(_difference, eager, self.wanted))
        if not difference <= EXACT:
            raise TraceError(f"the graph differs from the model by {difference:.2g}, relative to the largest output")
        return self._differs("graph", difference)

    def cuts(self) -> dict[str, Any]:
        found = partition(self.graph)
        self.plan = replace(self.plan, cuts=(found,))
        return {
            "cuts": len(found),
            "stitchnet_cuts": len(partition(self.graph, "stitchnet")),
            "layouts": dict(Counter(_layout(cut.value) for cut in found.cuts).most_common()),
            "unstitchable": _unstitchable(self.graph, found),
        }

    def cost(self) -> dict[str, Any]:
        self.plan = Cost(adapters=())(self.plan)
        return {name: self.plan.prices[0][name] for name in ("params", "macs")}

    def emit(self) -> dict[str, Any]:
        self.plan = Codegen(self.task.folder)(self.plan.with_hybrid(Hybrid.whole(self.graph)))
        with (self.task.folder / "model.py").open(encoding="utf-8") as text:
            return {"lines": sum(1 for _ in text)}

    def run(self) -> dict[str, Any]:
        return self._agrees("module", load_module(self.task.folder))

    def onnx(self) -> dict[str, Any]:
        # What onnxsim makes is taken only where it computes the same, so it decides nothing here.
        ExportOnnx(simplify=False)(self.plan)
        return {}

    def ort(self) -> dict[str, Any]:
        return self._agrees("onnx", load_onnx(self.task.folder / "model.onnx"))

    @torch.no_grad()
    def _agrees(self, name: str, network: Callable[[Tensor], Tensor]) -> dict[str, Any]:
        for images, want in zip(self.images, self.wanted, strict=True):
            difference = _difference(want, network(images.clone()))
            if not difference <= CLOSE and not difference <= min(LOOSE, 10 * self._rounding(images, want)):
                raise VerificationError(
                    f"the outputs at batch {len(images)} differ from the graph's by {difference:.2g}, relative to the "
                    "largest output"
                )
            self._differs(name, max(difference, self.differences.get(name, 0.0)))
        return {"differences": self.differences}

    def _rounding(self, images: Tensor, want: Tensor) -> float:
        """How far outputs move when every pixel moves by about as much as float32 rounds it."""
        generator = torch.Generator().manual_seed(self.task.seed)
        moved = images * (1 + 1e-7 * torch.randn(images.shape, generator=generator))
        return _difference(want, self.graph(moved))

    def _differs(self, name: str, difference: float) -> dict[str, Any]:
        self.differences[name] = float(f"{difference:.2g}")
        return {"differences": self.differences}


def _images(batch: int, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Noise with patches in it: means over an image of white noise would hardly differ from another's."""
    channels, *sides = size
    patches = torch.randn(batch, channels, 4, 4, generator=generator)
    return F.interpolate(patches, size=sides) + 0.5 * torch.randn(batch, *size, generator=generator)


def _difference(want: Tensor, got: Tensor) -> float:
    if want.shape != got.shape:
        raise VerificationError(f"the output is {tuple(got.shape)} where it should be {tuple(want.shape)}")
    return ((got - want).abs().max() / want.abs().max().clamp_min(1e-12)).item()


def _must_tell(outputs: Tensor) -> None:
    """Outputs that are infinite, or the same for two different images, would make every comparison empty."""
    if not torch.isfinite(outputs).all():
        raise ModelError("with random weights its outputs are infinite or undefined, so nothing can be compared")
    spread = (outputs[0] - outputs[1]).abs().max() / outputs.abs().max().clamp_min(1e-12)
    if not spread > 10 * CLOSE:
        raise ModelError("with random weights its outputs hardly depend on the image, so nothing can be compared")


def _layout(value: Value) -> str:
    return f"{value.layout}+{value.tokens}" if value.tokens else value.layout


def _unstitchable(graph: GraphModule, cuts: Cuts) -> int:
    reasons = {node.name: said for node, said in layouts(graph).items()}
    return sum(reasons.get(value.node) == value.reason for value in cuts.rejected)


def _rounded(seconds: dict[str, float]) -> dict[str, float]:
    return {step: round(s, 3) for step, s in seconds.items()}


def _reason(error: Exception, folder: Path) -> str:
    if isinstance(error, StitchError):
        text = error.message
    else:
        first = next(iter(str(error).strip().splitlines()), "")
        text = f"{type(error).__name__}: {first}" if first else type(error).__name__
    text = text.replace(f"{folder.resolve()}/", "").replace(f"{folder}/", "")
    return text if len(text) <= _LONGEST_REASON else text[: _LONGEST_REASON - 3] + "..."
