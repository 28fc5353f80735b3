"""What members of a family are compared to: the models on smaller images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch.fx import GraphModule

from ..data.errors import StitchError
from ..data.model import Model
from ..data.plan import Plan
from ..data.values import Price
from ..pipeline import Pass, Pipeline
from ..rivals.sizes import multiples_below, stride_of
from ..search.probe import Probe

#: Sizes of a model that are tried at most.
SIZES = 4


@dataclass(frozen=True, eq=False)
class Smaller:
    """A model on smaller images. scores: on the probe images that members are scored on, float64 [images]."""

    model: Model
    price: Price
    graph: GraphModule = field(repr=False)
    scores: np.ndarray = field(repr=False)

    @property
    def score(self) -> float:
        """The mean over the images."""
        return float(self.scores.mean())


def smaller(probe: Probe, look: Sequence[Pass], metric: str, least: float) -> Iterator[Smaller]:
    """Each model at multiples of its stride below its own size, the largest first, that take `least` or more.

    look: the passes that take a model to its graph, cuts and prices. A size that a model does not run at is left out.
    """
    plan = probe.pool.plan
    for index, model in enumerate(plan.models):
        size = model.input.size
        for _, smaller_size in zip(
            range(SIZES), multiples_below(size, stride_of(plan.cuts[index], size)), strict=False
        ):
            try:
                seen = Pipeline(look)(Plan((model.at(smaller_size),), plan.seed, images=plan.images))
                if seen.prices[0][metric] < least:
                    break
                said = probe.logits(seen.graphs[0], seen.models[0].input)
            except StitchError:
                continue
            yield Smaller(seen.models[0], seen.prices[0], seen.graphs[0], probe.score(said, index))
