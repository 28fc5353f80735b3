"""The pass `recalibrate`: the statistics of the back's BatchNorms, estimated anew on what now reaches them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from operator import attrgetter
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx import GraphModule, Interpreter, Node

from ..data.plan import Plan
from ..graphs.compose import part_of
from ..graphs.conventions import target_name
from ..numerics.held_out import held_out, measured
from ..pipeline import Pass

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@dataclass(frozen=True)
class Recalibrate(Pass):
    """Means and variances of every BatchNorm behind the adapter, from the probe images: each norm sees what those
    before it make with their new statistics. Every fifth image is held out; the new statistics stay only if the
    output on those images comes nearer to the back's own. A note says what they gained.

    batch: images a forward pass. progress: called with (images done, images in all).
    """

    name: ClassVar[str] = "recalibrate"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "hybrids", "images")
    drops: ClassVar[tuple[str, ...]] = ("rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("hybrids",)

    batch: int = 64
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    @torch.no_grad()
    def run(self, plan: Plan) -> Plan:
        assert plan.images is not None  # `requires` holds it
        hybrid = plan.hybrid
        later = {part.name: part.fragment.model for part in hybrid.chain.parts()[1:] if part.fragment is not None}
        back = " and ".join(dict.fromkeys(plan.models[model].name for model in later.values()))
        stitched = copy.deepcopy(hybrid.network)
        norms = _Norms(stitched, later)
        if not norms.nodes:
            return replace(plan, notes=(*plan.notes, f"There is no BatchNorm in {back} to recalibrate."))
        images, done = len(plan.images), 0
        for shown, _, held in self._batches(plan):
            norms.run(shown[~held])
            done += len(shown)
            if self.progress:
                self.progress(done, images)
        norms.settle()

        before, after = (self._agreement(plan, network) for network in (hybrid.network, stitched))
        better = after[0] < before[0]
        kept = "" if better else "; they were left as they were"
        note = (
            f"Recalibrating {len(norms.nodes)} BatchNorms of {back}: the class that it gives itself on {before[1]:.1%} "
            f"of the probe images held out before, on {after[1]:.1%} after{kept}."
        )
        plan = replace(plan, notes=(*plan.notes, note))
        return plan.with_hybrid(replace(hybrid, graph=stitched, verified=None)) if better else plan

    def _batches(self, plan: Plan) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The images as the front and as the back see them, and which of them are held out."""
        assert plan.images is not None
        chain = plan.hybrid.chain
        front, back = (plan.models[fragment.model].input for fragment in (chain.front, chain.back))
        done = 0
        for x, y in zip(*(plan.images.batches(spec, self.batch) for spec in (front, back)), strict=True):
            yield x, y, held_out(done, len(x))
            done += len(x)

    def _agreement(self, plan: Plan, stitched: GraphModule) -> tuple[float, float]:
        """On the images held out: the mean squared distance from the back's own output, and how often its class is the
        same."""
        own = plan.graphs[plan.hybrid.chain.back.model]
        distance = same = count = 0.0
        assert plan.images is not None
        for x, y, held in self._batches(plan):
            mask = measured(held, len(plan.images))
            if not mask.any():
                continue
            made, wanted = stitched(x[mask]), own(y[mask])
            distance += float((made - wanted).double().square().flatten(1).mean(1).sum())
            same += float((made.flatten(1).argmax(1) == wanted.flatten(1).argmax(1)).sum())
            count += len(made)
        return distance / count, same / count


class _Norms(Interpreter):
    """Runs a stitched graph with the BatchNorms of some parts in training, and keeps the statistics that they see."""

    def __init__(self, graph: GraphModule, parts: Container[str]):
        """parts: the names of those whose norms they are."""
        super().__init__(graph, garbage_collect_values=True)
        self.nodes = {n.name: n for n in graph.graph.nodes if part_of(n) in parts and _is_norm(graph, n)}
        self.counts = dict.fromkeys(self.nodes, 0)
        self.sums: dict[str, Tensor] = {}
        self.squares: dict[str, Tensor] = {}

    def run_node(self, n: Node) -> Any:
        if n.name not in self.nodes:
            return super().run_node(n)
        with self._set_current_node(n):
            args, kwargs = self.fetch_args_kwargs_from_env(n)
            x = args[0] if args else kwargs["input"]
            self._see(n.name, x)
            if n.op == "call_module":
                norm = self.fetch_attr(str(n.target))
                return F.batch_norm(x, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)
            given = dict(
                zip(("input", "mean", "var", "weight", "bias", "training", "momentum", "eps"), args, strict=False)
            )
            given |= kwargs
            return F.batch_norm(
                x, None, None, given.get("weight"), given.get("bias"), training=True, eps=given.get("eps", 1e-5)
            )

    def _see(self, name: str, x: Tensor) -> None:
        rows = x.double().transpose(0, 1).flatten(1)
        self.counts[name] += rows.shape[1]
        self.sums[name] = self.sums.get(name, 0) + rows.sum(1)
        self.squares[name] = self.squares.get(name, 0) + rows.square().sum(1)

    def settle(self) -> None:
        """Write the statistics into the graph's modules and buffers."""
        for name, node in self.nodes.items():
            mean = self.sums[name] / self.counts[name]
            variance = (self.squares[name] / self.counts[name] - mean.square()).clamp_min(0)
            for buffer, value in zip(self._buffers(node), (mean, variance), strict=True):
                buffer.copy_(value)

    def _buffers(self, node: Node) -> tuple[Tensor, Tensor]:
        if node.op == "call_module":
            norm = self.fetch_attr(str(node.target))
            return norm.running_mean, norm.running_var
        read = attrgetter(*(str(argument.target) for argument in node.args[1:3]))  # type: ignore[union-attr]
        return read(self.module)


def _is_norm(graph: GraphModule, node: Node) -> bool:
    if node.op == "call_module":
        norm = graph.get_submodule(str(node.target))
        return isinstance(norm, _NORMS) and norm.running_mean is not None
    # As timm's BatchNormAct2d is recorded: a function whose statistics are buffers of the graph.
    given = node.args[1:3] if node.op == "call_function" and target_name(node) == "batch_norm" else ()
    return len(given) == 2 and all(isinstance(x, Node) and x.op == "get_attr" for x in given)
