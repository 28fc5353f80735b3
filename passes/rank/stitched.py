"""What many stitched networks say of the same images, with everything that they share computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.chain import End
from ..data.model import Images, InputSpec
from ..data.plan import Plan
from ..fit.closed_form import Fitted
from ..graphs.compose import fragment, values_at

# The values kept of one batch take at most this much memory.
_BYTES = 256 << 20
# A suffix runs on this many images at once, of several fronts together.
_SUFFIX = 64


@dataclass(frozen=True)
class Part:
    """Some of a set of images, start to stop, as a set of its own."""

    whole: Images
    start: int
    stop: int

    @property
    def name(self) -> str:
        return self.whole.name

    @property
    def noise(self) -> bool:
        return self.whole.noise

    @property
    def labels(self) -> Tensor | None:
        return None if self.whole.labels is None else self.whole.labels[self.start : self.stop]

    def __len__(self) -> int:
        return self.stop - self.start

    def batches(self, spec: InputSpec, size: int, start: int = 0, stop: int | None = None) -> Iterator[Tensor]:
        last = self.stop if stop is None else min(self.stop, self.start + stop)
        return self.whole.batches(spec, size, self.start + start, last)


class Stitched:
    """Runs candidates whose adapters are fitted. Fragments are cut out of the parents' graphs once."""

    def __init__(self, plan: Plan):
        self._plan = plan
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

    @torch.inference_mode()
    def parent(self, model: int, images: Images) -> Tensor:
        """float32 [images, classes]: what a parent says."""
        batches = images.batches(self._plan.models[model].input, _SUFFIX)
        return torch.cat([self._plan.graphs[model](batch) for batch in batches])

    def _front_values(self, model: int, ends: Sequence[End], images: Images) -> Iterator[dict[End, Tensor]]:
        cuts = [self._plan.cuts[model][cut] for _, cut in ends]
        size = max(1, min(_SUFFIX, _BYTES // (4 * sum(prod(cut.value.shape) for cut in cuts))))
        head = values_at(self._plan.graphs[model], [cut.node for cut in cuts])
        for batch in images.batches(self._plan.models[model].input, size):
            yield dict(zip(ends, head(batch), strict=True))

    def _continued(
        self, fitted: Sequence[tuple[int, Fitted]], values: dict[End, Tensor]
    ) -> Iterator[tuple[int, Tensor]]:
        """(index, logits) of each for one batch of images, back by back."""
        for end in sorted({f.seam.enters for _, f in fitted}):
            mine = [(index, f) for index, f in fitted if f.seam.enters == end]
            batch = len(next(iter(values.values())))
            together = max(1, _SUFFIX // batch)
            for first in range(0, len(mine), together):
                group = mine[first : first + together]
                entering = torch.cat([f.adapter(values[f.seam.leaves]) for _, f in group])
                yield from zip([index for index, _ in group], self._suffix(end)(entering).split(batch), strict=True)

    def _suffix(self, end: End) -> GraphModule:
        if end not in self._suffixes:
            model, cut = end
            self._suffixes[end] = fragment(self._plan.graphs[model], start=self._plan.cuts[model][cut].node)
        return self._suffixes[end]
