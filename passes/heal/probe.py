"""Probe images, the values that the parents have for them, and how far a hybrid's classes are from a parent's."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from ..data.chain import Chain
from ..data.healing import Options
from ..data.memory import Memory
from ..data.model import Images, InputSpec
from ..data.plan import Plan
from ..data.values import Price
from ..graphs.attention import written_out
from ..graphs.conventions import by_name, result
from ..graphs.faster import for_any_strides
from ..graphs.live import batch_within
from ..graphs.placement import device_of
from ..numerics.offload import TensorStore
from ..numerics.ridge import moments_bytes, solving_bytes
from ..numerics.scale import best_scale, divergence
from .mirrored import SAME, Mirrored, same_mirrored
from .operators import Operator
from .values import Chunk, Values, chunks


class Probe:
    """Probe images and what the parents compute for them.

    graphs, specs, prices: of the models, by their index in the plan; no prices where none are known. keep: the values
    that a hybrid was healed toward stay for the next one that needs them.

    mirrored: whether mirror images are among the images; where that was asked for, every model must give most of them
    the class of the image.
    """

    def __init__(
        self,
        graphs: Sequence[GraphModule],
        specs: Sequence[InputSpec],
        images: Images,
        options: Options | None = None,
        *,
        prices: Sequence[Price] = (),
        keep: bool = False,
    ):
        options = options or Options()
        self.graphs, self.prices = graphs, prices
        self.mirrored = options.flips and all(
            same_mirrored(graph, spec, images) >= SAME for graph, spec in zip(graphs, specs, strict=True)
        )
        self.images: Images = Mirrored(images) if self.mirrored else images
        self.specs, self.options, self.keep = specs, options, keep
        self.shares = Memory.of(options.max_memory)
        self.memory = TensorStore(self.shares.parent_values, device_of(graphs[0]))
        half = self.shares.running // 2  # the error of an operator's output takes the other
        self.chunks = chunks(len(self.images), min(batch_within(half, graph, options.batch) for graph in graphs))
        self.held_out = [chunk for chunk in self.chunks if chunk.held_out] or list(self.chunks)
        self.parents = [self.values(for_any_strides(written_out(graph)), model) for model, graph in enumerate(graphs)]
        self.nodes = [by_name(parent.graph.graph) for parent in self.parents]
        self._lasting: list[set[Node]] = [set() for _ in graphs]

    @classmethod
    def of(cls, plan: Plan, images: Images, options: Options, *, keep: bool = False) -> Probe:
        """Of the models of a plan."""
        return cls(plan.graphs, [model.input for model in plan.models], images, options, prices=plan.prices, keep=keep)

    def can_solve(self, operator: Operator) -> bool:
        """Whether the normal equations of an operator are small enough to be made."""
        groups, features, channels = operator.unknowns
        needed = 2 * moments_bytes(features, channels, groups) + solving_bytes(features, channels, groups)
        return features <= self.options.features and needed <= self.shares.equations

    def values(self, graph: GraphModule, model: int) -> Values:
        """The values of a graph whose input is that of model number `model`."""
        return Values(graph, self.images, self.specs[model], self.chunks, self.memory)

    def parent(self, model: int, chunk: Chunk, wanted: Sequence[Node], here: int) -> list[Tensor]:
        """Values of a parent. What is read at position `here` of its graph or later is kept."""
        values, lasting = self.parents[model], self._lasting[model]
        if self.keep:
            lasting.update(wanted)
        return values(chunk, wanted, lambda node: values.last[node] >= here or node in lasting)

    def logits(self, chunk: Chunk, models: Sequence[int]) -> Tensor:
        """The outputs of a model, or the mean of those of several, which have one shape."""
        ends = [(model, result(self.parents[model].graph.graph)) for model in models]
        return torch.stack([self.parents[model](chunk, [node])[0] for model, node in ends]).mean(0)


class HeldOutDivergence:
    """The divergence of a hybrid's outputs from those of its last fragment's parent, on the held-out images.

    scaled: at the factor on its logits that makes it least: where they will be multiplied by that in the end.
    """

    def __init__(self, hybrid: Values, probe: Probe, chain: Chain, *, scaled: bool = False):
        self.hybrid, self.scaled = hybrid, scaled
        self.wanted = {chunk: probe.logits(chunk, [chain.back.model]) for chunk in probe.held_out}

    def __call__(self) -> tuple[float, float]:
        """The mean divergence in nats, and the share of images of the same class."""
        end = result(self.hybrid.graph.graph)
        got = torch.cat([self.hybrid(chunk, [end])[0] for chunk in self.wanted]).double()
        want = torch.cat(list(self.wanted.values())).double().log_softmax(-1)
        same = float((got.argmax(-1) == want.argmax(-1)).double().mean())
        return divergence(best_scale(got, want) * got if self.scaled else got, want), same
