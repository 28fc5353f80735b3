"""The models on smaller images: members that take no weights of their own, or what members are compared to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

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
    """A model on smaller images. scores: on the probe images that members are scored on, float64 [images]. seen: a plan
    of it alone, with its graph, cuts and prices."""

    seen: Plan = field(repr=False)
    scores: np.ndarray = field(repr=False)

    @property
    def model(self) -> Model:
        return self.seen.models[0]

    @property
    def price(self) -> Price:
        return self.seen.prices[0]

    @property
    def graph(self) -> GraphModule:
        return self.seen.graphs[0]

    @property
    def score(self) -> float:
        """The mean over the images."""
        return float(self.scores.mean())


def with_smaller(plan: Plan, more: Sequence[Smaller]) -> Plan:
    """The plan with further models behind its own."""
    seen = [one.seen for one in more]
    return replace(
        plan,
        models=(*plan.models, *(one.models[0] for one in seen)),
        graphs=(*plan.graphs, *(one.graphs[0] for one in seen)),
        cuts=(*plan.cuts, *(one.cuts[0] for one in seen)),
        prices=(*plan.prices, *(one.prices[0] for one in seen)),
        uncounted=(*plan.uncounted, *(one.uncounted[0] for one in seen)),
    )


def smaller(probe: Probe, look: Sequence[Pass], metric: str, least: float) -> Iterator[Smaller]:
    """Each model at multiples of its stride below its own size, the largest first, down to the first that takes no more
    than `least`.

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
                said = probe.logits(seen.graphs[0], seen.models[0].input)
            except StitchError:
                continue
            yield Smaller(seen, probe.score(said, index))
            if seen.prices[0][metric] <= least:
                break
