"""The pass `similarity`: how alike all cuts represent the same images, from one forward pass of each model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

from ..base import Pass
from ..errors import DataError, ModelError
from ..plan import PairSimilarity, Plan

if TYPE_CHECKING:
    from torch import Tensor

    from .metrics import Metric


@dataclass(frozen=True)
class Similarity(Pass):
    """Compares every cut of every model with every cut of every other, each model run once over the images.

    metric: "cka-unbiased" or "cka" (see `metrics`). images: how many of the first to compare, all where there are
    fewer; batch: the size of the blocks that they are compared in; None for what the metric is used with (512 in blocks
    of 64; for "cka" 1,280 in blocks of 256, as ReStNet). The result depends on the images and on these, and on nothing
    else: not on how the images are batched by their loader. progress: called with (blocks done, blocks in all).

    `plan.grams` holds a float32 matrix [cuts, length] for each model, one vector of length one for each cut: the dot
    product of two is their similarity. Cuts whose value is the same for all images, or infinite, get a zero vector, NaN
    and a note.

    Raises:
        InputError: an unknown metric. DataError: fewer than four images. ModelError: values that are not finite.
    """

    name: ClassVar[str] = "similarity"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "images")
    adds: ClassVar[tuple[str, ...]] = ("grams",)

    metric: str = "cka-unbiased"
    images: int | None = None
    batch: int | None = None
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def __call__(self, plan: Plan) -> Plan:
        from . import metrics

        metric = metrics.get(self.metric)
        assert plan.images is not None  # `requires` holds it
        images = min(len(plan.images), self.images or metric.images)
        if images < 4:
            raise DataError(
                f"similarity needs four images at least, and '{plan.images.name}' gives {images}",
                "Show more images; some hundreds make a stable estimate.",
            )
        sizes = metrics.block_sizes(images, max(4, self.batch or metric.block))
        grams = tuple(self._vectors(plan, index, metric, sizes) for index in range(len(plan.models)))
        pairs = tuple(
            PairSimilarity(a, b, metric.name, images, metrics.similarity(grams[a], grams[b]))
            for a, b in combinations(range(len(grams)), 2)
        )
        notes = tuple(note for index, vectors in enumerate(grams) for note in _undefined(plan, index, vectors))
        return replace(plan, grams=grams, similarity=pairs, notes=plan.notes + notes)

    def _vectors(self, plan: Plan, index: int, metric: Metric, sizes: list[int]) -> Tensor:
        """The vectors of all cuts of one model, float32 [cuts, length]."""
        import torch

        from .gram import GramRunner, regroup
        from .metrics import join_blocks, unit_vectors

        assert plan.images is not None
        model, graph = plan.models[index], plan.graphs[index]
        nodes = [cut.node for cut in plan.cuts[index].cuts]
        if not nodes:
            return torch.empty(0, sum(n * (n + 1) // 2 for n in sizes))
        runner, device = GramRunner(graph, nodes), next((p.device for p in graph.parameters()), None)
        units, norms = [], []
        for block in regroup(plan.images.batches(model.input, max(sizes), 0, sum(sizes)), sizes):
            matrices, energies = runner.grams(block.to(device))
            finite = _finite(model.name, nodes, energies)
            unit, norm = unit_vectors(matrices.where(finite[:, None, None], 0.0), energies.where(finite, 0.0), metric)
            units.append(unit)
            norms.append(norm)
            if self.progress:
                self.progress(index * len(sizes) + len(units), len(plan.models) * len(sizes))
        return join_blocks(units, norms, metric)


def _finite(model: str, nodes: list[str], energies: Tensor) -> Tensor:
    """Which cuts have finite values: bool [cuts]. Padding with minus infinity before a max-pool is no harm, and its
    cut is left out; what is not finite at the last cut is.

    Raises:
        ModelError: the values at the last cut are not finite.
    """
    finite = energies.isfinite()
    if not finite[-1]:
        broken = nodes[int((~finite).nonzero()[0])]
        raise ModelError(
            f"{model}: the values at the cut '{broken}', and those at the end, are not finite",
            "Check the model's weights, and that its input is normalised as it was in training (?mean=...&std=...).",
        )
    return finite


def _undefined(plan: Plan, index: int, vectors: Tensor) -> list[str]:
    from .metrics import undefined

    nodes = [cut.node for cut, none in zip(plan.cuts[index].cuts, undefined(vectors).tolist(), strict=True) if none]
    if not nodes:
        return []
    cuts = ", ".join(f"'{node}'" for node in nodes)
    name = plan.models[index].name
    return [f"{name}: at {cuts} the values are the same for all images, or infinite; similarity is undefined there"]
