"""Logits of many stitched networks for the same images, with everything that they share computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.chain import End
from ..data.memory import Memory
from ..data.model import Images
from ..data.plan import Plan
from ..fit.closed_form import Fitted
from ..graphs.compose import fragment, values_at
from ..graphs.faster import overwriting
from ..graphs.live import forward_batch
from ..graphs.outputs import outputs
from ..stitch.join import folded

# A suffix runs on this many images at once, of several fronts together.
_SUFFIX = 64


class Stitched:
    """Runs candidates whose adapters are fitted. Fragments are cut out of the parents' graphs once.

    graphs: of the plan's models, or copies of them that run faster; None for the plan's own."""

    def __init__(self, plan: Plan, max_memory: int | None = None, graphs: Sequence[GraphModule] | None = None):
        self._plan, self._memory, self._graphs = plan, Memory.of(max_memory), graphs or plan.graphs
        self._suffixes: dict[End, GraphModule] = {}

    @torch.inference_mode()
    def logits(self, fitted: Sequence[Fitted], images: Images) -> list[Tensor]:
        """Of each candidate, float32 [images, classes].

        A front runs once for all cuts and backs; backs run on the values of several fronts at once.
        """
        found: list[list[Tensor]] = [[] for _ in fitted]
        for model in sorted({f.seam.leaves.model for f in fitted}):
            mine = [index for index, f in enumerate(fitted) if f.seam.leaves.model == model]
            for values in self._front_values(model, sorted({fitted[i].seam.leaves for i in mine}), images):
                for index, said in self._continued([(i, fitted[i]) for i in mine], values):
                    found[index].append(said)
        return [torch.cat(batches) for batches in found]

    def parent(self, model: int, images: Images) -> Tensor:
        """The logits of a parent: float32 [images, classes]."""
        return outputs(self._plan.graphs[model], images, self._plan.models[model].input, self._memory)

    def _front_values(self, model: int, ends: Sequence[End], images: Images) -> Iterator[dict[End, Tensor]]:
        cuts = [self._plan.cuts[model][cut] for _, cut in ends]
        head = overwriting(values_at(self._graphs[model], [cut.node for cut in cuts]))
        size = forward_batch(self._memory.running, head, _SUFFIX)
        size = max(1, min(size, self._memory.values // (4 * sum(prod(cut.value.shape) for cut in cuts))))
        for batch in images.batches(self._plan.models[model].input, size):
            yield dict(zip(ends, head(batch), strict=True))

    def _continued(
        self, fitted: Sequence[tuple[int, Fitted]], values: dict[End, Tensor]
    ) -> Iterator[tuple[int, Tensor]]:
        """(index, logits) of each for one batch of images, back by back."""
        for end in sorted({f.seam.enters for _, f in fitted}):
            mine = [(index, f) for index, f in fitted if f.seam.enters == end]
            batch = len(next(iter(values.values())))
            at_once = forward_batch(self._memory.running, self._suffix(end), _SUFFIX)
            for suffix, group in self._groups(end, mine, max(1, at_once // batch)):
                entering = torch.cat([f.adapter(values[f.seam.leaves]) for _, f in group])
                said = torch.cat([suffix(part) for part in entering.split(at_once)])
                yield from zip([index for index, _ in group], said.split(batch), strict=True)

    def _groups(
        self, end: End, mine: Sequence[tuple[int, Fitted]], together: int
    ) -> Iterator[tuple[GraphModule, Sequence[tuple[int, Fitted]]]]:
        """What comes behind a cut, with those that run through it at once; an adapter that folds into what reads the
        cut has a network of its own there."""
        shared = [one for one in mine if not one[1].adapter.kind.folds]
        for first in range(0, len(shared), together):
            yield self._suffix(end), shared[first : first + together]
        model, cut = end
        node = self._plan.cuts[model][cut].node
        for one in mine:
            if one[1].adapter.kind.folds:
                yield fragment(folded(self._plan.graphs[model], node, one[1].adapter), start=node), [one]

    def _suffix(self, end: End) -> GraphModule:
        if end not in self._suffixes:
            model, cut = end
            behind = fragment(self._graphs[model], start=self._plan.cuts[model][cut].node)
            self._suffixes[end] = overwriting(behind)
        return self._suffixes[end]
