"""Scores of chains that are asked for in any order: what was measured is kept, and predicts the rest."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np

from .chains import Tree
from .effort import SearchEffort
from .losses import Predictor
from .pool import Pool
from .probe import Probe, Progress
from .space import Route


class Scores:
    """What chains of a pool score, what they are expected to, and how alike the values at their seams are.

    similarity: gives that of the values at any two points, float64 [points, points]; called when it is first needed.
    """

    def __init__(
        self,
        pool: Pool,
        similarity: Callable[[], np.ndarray],
        effort: SearchEffort,
        rule: str,
        max_memory: int | None = None,
    ):
        self._pool, self._ask, self._effort, self._rule, self._max_memory = pool, similarity, effort, rule, max_memory
        self._known: dict[Route, float] = {}
        self._predicted: tuple[int, np.ndarray] | None = None

    @cached_property
    def _probe(self) -> Probe:
        return Probe(self._pool, self._effort, self._rule, self._max_memory)

    @cached_property
    def _similarity(self) -> np.ndarray:
        return self._ask()

    def similarity(self, routes: Sequence[Route]) -> np.ndarray:
        """The least similarity at a seam of each chain, float64 [chains]; 1 of a model alone, NaN where undefined."""
        of_seams = self._similarity[self._pool.source, self._pool.target]
        return np.array([of_seams[list(route.seams)].min() if route.seams else 1.0 for route in routes])

    def score(self, routes: Sequence[Route], progress: Progress | None = None) -> np.ndarray:
        """The mean score of each chain over the images that are shown, unhealed: float64 [chains]."""
        new = [route for route in dict.fromkeys(routes) if route not in self._known]
        self._probe.measure([route.seams[0] for route in new if route.seams], progress, "probing seams")
        # What the two models score that are stitched at a seam follows from its loss, which was measured by it.
        self._known |= {one: self._sum(one, self._probe.loss) for one in new if len(one.seams) < 2}
        for route, _, scores in Tree(self._probe).grown([route for route in new if len(route.seams) > 1]):
            self._known[route] = float(scores.mean())
        return np.array([self._known[route] for route in routes])

    def expected(self, routes: Sequence[Route]) -> np.ndarray:
        """The score that the losses of each chain's seams add up to, float64 [chains]; losses that are not known are
        predicted from those that are."""
        loss = self._losses()
        return np.array([self._sum(route, loss) for route in routes])

    def _losses(self) -> np.ndarray:
        """Of all seams, as they are known or predicted: float64 [seams]."""
        probed = int((~np.isnan(self._probe.loss)).sum())
        if self._predicted is None or self._predicted[0] != probed:
            self._predicted = probed, self._predictor.predict(self._probe.loss, self._probe.r2)
        return self._predicted[1]

    @cached_property
    def _predictor(self) -> Predictor:
        return Predictor(self._pool, self._similarity)

    def _sum(self, route: Route, loss: np.ndarray) -> float:
        probe, pool = self._probe, self._pool
        last = pool.points[pool.target[route.seams[-1]]][0] if route.seams else route.model
        lost = loss[list(route.seams)].sum()
        return float(probe.own.max() - lost - (probe.deficit[route.model] + probe.deficit[last]) / 2)
