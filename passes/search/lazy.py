"""The exact search over losses that are mostly guesses: what its best chains stand on is measured, until it holds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from torch.fx import GraphModule

from ..cost.chains import price_of
from ..data.errors import PipelineError
from ..data.healing import Options
from ..heal.blockwise import heal
from ..heal.probe import Probe as HealProbe
from ..rank.effort import Clock
from ..rank.preselection import union
from ..stitch.join import graph_of
from .chains import Grown, Tree, Tried
from .ensemble import elected
from .losses import Predictor, Trust
from .pool import lost
from .probe import Probe, Progress
from .space import Route, Space

#: The best routes through a space, the best first.
Search = Callable[[Space], Sequence[Route]]


@dataclass(frozen=True, eq=False)
class Found:
    """Chains from a pool.

    tried: those that were stitched, the best first. stitched: how many were, whether they are listed or not. stopped:
    whether the search was interrupted. seams: how well losses of probed seams are predicted from others. chains: how
    well the sum of its seams' losses predicts what a chain scores that has two seams or more. probed, unsettled: seams
    that were probed, and those of the best chains that were not, when that ended. These four are of the exact search
    alone. members: the places of the chains that vote, where an ensemble is asked for, else that of the best; voted:
    the score of the joint vote, where that was taken.
    """

    tried: tuple[Tried, ...]
    stitched: int
    stopped: bool = False
    seams: Trust | None = None
    chains: Trust | None = None
    probed: int | None = None
    unsettled: int | None = None
    members: tuple[int, ...] = (0,)
    voted: float | None = None


@dataclass(eq=False)
class Lazy:
    """One search by probing.

    A seam that was not probed has the loss that is predicted for it. The search finds the best chains; their seams are
    probed; predictions are made anew; and so on until all seams of the best chains are probed, or as many as the effort
    allows. Seams that nothing promising runs through are never probed (lazy evaluation of edges: Dellin and Srinivasa,
    2016). Then the chains are stitched whole, and the best of them healed.

    search: the best routes through a space. heal: what of the best chains is healed, and how; None to leave them.
    budgets: under each of which the best are healed. members: chains that are to vote.
    """

    probe: Probe
    predictor: Predictor
    search: Search
    heal: tuple[str, Options] | None = None
    budgets: Sequence[Mapping[str, float]] = ({},)
    members: int = 1
    progress: Progress | None = None
    tried: list[Tried] = field(default_factory=list)
    _loss: np.ndarray = field(init=False, repr=False)

    def run(self) -> Found:
        """Raises:
        KeyboardInterrupt: before any chain was stitched. Afterwards the best so far is returned.
        """
        routes: Sequence[Route] = ()
        stopped = False
        try:
            self._first()
            routes = self._settled()
            self._stitched(routes)
            self._healed()
        except KeyboardInterrupt:
            if not self.tried:
                raise
            stopped = True
        self.tried.sort(key=lambda one: one.standing, reverse=True)
        long = [one for one in self.tried if len(one.adapters) > 1]
        chains = Trust.of(np.array([one.expected for one in long]), np.array([one.unhealed for one in long]))
        probe = self.probe
        left = {row for route in routes for row in route.seams if not probe.probed(row)}
        seams = self.predictor.trust(probe.loss, probe.r2)
        probed = int((~np.isnan(probe.loss)).sum())
        members, voted = elected(probe, self.tried, self.members) if self.members > 1 else ((0,), None)
        return Found(tuple(self.tried), len(self.tried), stopped, seams, chains, probed, len(left), members, voted)

    def space(self) -> Space:
        """The space, with what is known of losses so far."""
        self._loss = self.predictor.predict(self.probe.loss, self.probe.r2)
        return self.probe.pool.space(self._loss, self.probe.deficit)

    def _first(self) -> None:
        """Probes a shortlist: the best seams by similarity, by equal depth and by R2, in turn."""
        probe, signs = self.probe, self.predictor
        compared = union([signs.similarity, -signs.apart], min(probe.effort.compared, len(probe.pool)))
        self._tell(0, 1, "comparing cuts")
        probe.compare(compared.tolist())
        predictors = [signs.similarity[compared], -signs.apart[compared], probe.r2[compared]]
        chosen = compared[union(predictors, min(probe.effort.first, len(compared)))]
        probe.measure(chosen.tolist(), self.progress, "probing seams")

    def _settled(self) -> Sequence[Route]:
        """The best routes, their seams probed as far as the effort goes."""
        probe, clock = self.probe, Clock(self.probe.effort.seconds)
        while True:
            routes = self.search(self.space())
            open_to = dict.fromkeys(row for route in routes for row in route.seams if not probe.probed(row))
            left = probe.effort.seams - int((~np.isnan(probe.loss)).sum())
            if not open_to or left <= 0 or clock.over():
                return routes
            rows = list(open_to)[:left]
            probe.compare(rows)
            probe.measure(rows, self.progress, self._best(routes))

    def _best(self, routes: Sequence[Route]) -> str:
        """How the best route does that is measured throughout."""
        sure = [self._expected(route) for route in routes if all(map(self.probe.probed, route.seams))]
        return f"probing seams, best chain {max(sure):.3f}" if sure else "probing seams"

    def _expected(self, route: Route) -> float:
        """The score that the losses of a route's seams add up to, as the last space has them."""
        probe, seams = self.probe, list(route.seams)
        last = probe.pool.points[probe.pool.target[seams[-1]]][0] if seams else route.model
        return float(probe.own.max() - lost(self._loss[seams]) - (probe.deficit[route.model] + probe.deficit[last]) / 2)

    def _stitched(self, routes: Sequence[Route]) -> None:
        chosen, space = routes[: self.probe.effort.chains], self.space()
        for grown in Tree(self.probe).grown(chosen):
            self.tried.append(self._told(space, grown))
            best = max(one.score for one in self.tried)
            self._tell(len(self.tried), len(chosen), f"stitching chains, best {best:.3f}")

    def _told(self, space: Space, grown: Grown) -> Tried:
        route, adapters, scores = grown
        chain, (cost, _) = self.probe.pool.chain(route), space.price(route)
        price = price_of(self.probe.pool.plan, chain)
        wrong = [name for name, amount in zip(space.metrics, cost, strict=True) if abs(price[name] - amount) > 0.5]
        if wrong:
            raise PipelineError(f"the {', '.join(wrong)} of a chain are not those of its parts: {space.tell(route)}")
        return Tried(chain, price, adapters, self._expected(route), scores)

    def _healed(self) -> None:
        """Heals the best chains and scores them again: healing improves weak stitches most, so the order may change."""
        self.tried.sort(key=lambda one: one.standing, reverse=True)
        if self.heal is None:
            return
        what, options = self.heal
        healer = healer_of(self.probe, options)
        each = -(-max(self.probe.effort.healed, self.members + 1) // min(2, len(self.budgets)))
        chosen = list(dict.fromkeys(k for budget in self.budgets for k in self._within(budget)[:each]))
        for done, k in enumerate(chosen):
            self._tell(done, len(chosen), "healing the best chains")
            one, graph, scores = self.tried[k], *healed(self.probe, healer, self.tried[k], what)
            self.tried[k] = replace(one, healed=float(scores.mean()), network=graph)

    def _within(self, budget: Mapping[str, float]) -> list[int]:
        """The stitched chains within a budget, in their order."""
        return [
            k
            for k, one in enumerate(self.tried)
            if one.adapters and all(one.price[metric] <= limit for metric, limit in budget.items())
        ]

    def _tell(self, done: int, total: int, said: str) -> None:
        if self.progress:
            self.progress(done, total, said)


def healer_of(probe: Probe, options: Options) -> HealProbe:
    """What chains of a pool are healed with, one after the other: the models' values for the images that chains are
    fitted on are computed once."""
    return HealProbe.of(probe.pool.plan, probe.fit_images, options, keep=True)


def healed(probe: Probe, healer: HealProbe, one: Tried, what: str) -> tuple[GraphModule, np.ndarray]:
    """A chain as a network that was healed, and its score on each image that is shown: float64 [images]."""
    plan = probe.pool.plan
    graph = graph_of(plan, one.chain, one.adapters)
    heal(graph, healer, one.chain, what)
    return graph, probe.score(probe.logits(graph, plan.input_of(one.chain)), one.chain.back.model)
