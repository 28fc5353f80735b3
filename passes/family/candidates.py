"""Chains of a pool that may be members of a family, with what they are worth on probe images."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..cost.chains import seam_price
from ..data import metrics
from ..data.budget import format_quantity
from ..data.chain import Chain
from ..data.errors import Infeasible
from ..data.healing import Options
from ..data.hybrid import Hybrid
from ..data.plan import Plan
from ..data.values import Price
from ..heal.blockwise import heal
from ..search.chains import Tried
from ..search.dominance import nondominated
from ..search.exact import Found, front
from ..search.lazy import Lazy, healer_of
from ..search.losses import Predictor, similarities
from ..search.probe import Probe
from ..search.problem import LOSS
from ..search.space import Repeats, Route, Space
from ..stitch.join import adapter_use, graph_of
from .choose import Offer
from .fit import beginnings

#: Bytes of a weight.
WEIGHT = 4
# By how much worse than the best a chain of other seams may be to be tried too: about the error of predicted losses.
_AWAY = 0.02
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, eq=False)
class Network:
    """A network with its score on each image that nothing was fitted on, float64 [images].

    own: the chain that it is at its models' own sizes, whose weights it has. adds: what the file holds for it beyond
    the weights of the models, with its bytes. given: it is one of the models at its own size, as which it is a member
    anyhow.
    """

    hybrid: Hybrid
    own: Chain
    scores: np.ndarray = field(repr=False)
    adds: Mapping[Any, int]
    given: bool = False

    @property
    def chain(self) -> Chain:
        return self.hybrid.chain

    @property
    def price(self) -> Price:
        assert self.hybrid.price is not None
        return self.hybrid.price

    @property
    def whole(self) -> bool:
        """Whether it is one of the models as it is, at whatever size."""
        return len(self.chain.fragments) == 1

    @property
    def score(self) -> float:
        """The mean over the images."""
        return float(self.scores.mean())

    def offer(self, timed: Mapping[str, Callable[[Chain], float]] | None = None) -> Offer:
        """The same as numbers alone. timed: further amounts, each as a function of the chain, known at the models' own
        sizes alone."""
        known = {name: self.price[name] for name in metrics.names() if self.price.get(name) is not None}
        more = {name: of(self.chain) if self.chain == self.own else np.inf for name, of in (timed or {}).items()}
        return Offer(known | more, self.score, self.adds, self.given)


@dataclass(frozen=True)
class Looking:
    """How candidates are found.

    budgets: that members are wanted for; what does not add up along a chain is held where chains are chosen, not where
    they are searched for. metric: that networks are compared by. each: chains that are stitched for each of them.
    price: the score that a byte must gain. fragments, repeats: as of `search.exact`. tried: how many chains are healed
    on few images and compared. heal: what of them is, None for nothing.
    """

    budgets: Sequence[Mapping[str, float]]
    metric: str
    each: int
    price: float
    fragments: int
    repeats: Repeats
    tried: int
    heal: str | None
    max_memory: int | None = None
    progress: Progress | None = None


def candidates(probe: Probe, looking: Looking) -> list[Hybrid]:
    """The chains of the pool that may serve a budget, as networks: fitted and, where that is asked for, healed on few
    images.

    For each budget the best chains by the exact search over probed losses: once with the bytes of every adapter as a
    loss, once more with those of the best chains of all budgets as nothing, since the file holds them then, and once
    away from the seams that were found. All are stitched and scored; those that few others dominate are healed, in
    closed form on the images that they were fitted on.

    Raises:
        Infeasible: no budget is met by any chain.
    """
    pool = probe.pool
    toll = looking.price * WEIGHT * np.array([max(0.0, row) for row in _params(probe)])
    predictor = Predictor(pool, similarities(pool.plan))
    search = Lazy(
        probe, predictor, lambda space: _routes(space, toll, looking), budgets=looking.budgets,
        progress=looking.progress,
    )  # fmt: skip
    tried = [one for one in search.run().tried if one.adapters]
    values = np.array([[one.price[looking.metric], -(one.unhealed or 0.0)] for one in tried]).reshape(-1, 2)
    return list(_networks(probe, [tried[k] for k in promising(values, looking.tried)], looking))


def _params(probe: Probe) -> np.ndarray:
    """Parameters of the adapter of each seam."""
    column = [metric.name for metric in metrics.sums()].index("params")
    return probe.pool.seam_cost[:, column]


def _routes(space: Space, toll: np.ndarray, looking: Looking) -> list[Route]:
    """The best routes for each budget, those that share the seams of the best among them, and others that are near."""
    charged = _best(replace(space, loss=space.loss + toll), looking)
    if not any(charged):
        raise _infeasible(space, looking)
    taken = np.zeros(len(toll), dtype=bool)
    taken[[seam for routes in charged if routes for seam in routes[0].seams]] = True
    shared = _best(replace(space, loss=space.loss + np.where(taken, 0.0, toll)), looking)
    taken[[seam for routes in (*charged, *shared) for route in routes for seam in route.seams]] = True
    others = _best(replace(space, loss=space.loss + toll + np.where(taken, _AWAY, 0.0)), looking)
    # In turn, so that the best of every budget come first.
    found = [*charged, *shared, *others]
    most = max(map(len, found))
    return list(dict.fromkeys(routes[k] for k in range(most) for routes in found if k < len(routes)))


def _best(space: Space, looking: Looking) -> list[list[Route]]:
    """For each budget the best chains of the front of loss and all that is limited, as far as it adds up."""
    limits = [_limits(space, budget) for budget in looking.budgets]
    over = dict.fromkeys([LOSS, looking.metric, "params", *(name for limit in limits for name in limit)])
    found = _front(space, looking, tuple(over))
    stitched = sorted((one for one in found if one.route.seams), key=lambda one: one.loss)
    return [
        [one.route for one in stitched if all(one.cost[name] <= most for name, most in limit.items())][: looking.each]
        for limit in limits
    ]


def _front(space: Space, looking: Looking, over: Sequence[str]) -> list[Found]:
    return front(space, over, fragments=looking.fragments, repeats=looking.repeats)


def _infeasible(space: Space, looking: Looking) -> Infeasible:
    """That no budget is met, with the least that any chain takes of what is limited."""
    names = dict.fromkeys(name for budget in looking.budgets for name in _limits(space, budget))
    least = {name: _front(space, looking, (name,))[0].amount(name) for name in names}
    said = " and ".join(format_quantity(amount, name) for name, amount in least.items())
    return Infeasible(
        f"no chain of at most {looking.fragments} fragments meets any of the budgets: the least that any takes is "
        f"{said}",
        "Raise them, or allow more fragments.",
        least,
    )


def _limits(space: Space, budget: Mapping[str, float]) -> dict[str, float]:
    """Of a budget what holds of a sum along a chain."""
    found = {name: limit for name, limit in budget.items() if name in space.metrics}
    if "size" in budget:  # the file holds the weights, and little else
        found["params"] = min(found.get("params", np.inf), budget["size"] / WEIGHT)
    return found


def adds(plan: Plan, chain: Chain) -> dict[Hashable, int]:
    """The adapters of a chain, each by the chain up to it, which it is fitted on, with its bytes."""
    return {
        key: WEIGHT * max(0, int(seam_price(plan, seam)["params"]))
        for key, seam in zip(beginnings(chain), chain.seams(), strict=True)
    }


def _networks(probe: Probe, tried: Sequence[Tried], looking: Looking) -> Iterator[Hybrid]:
    plan = probe.pool.plan
    healer = healer_of(probe, Options(sweeps=1, max_memory=looking.max_memory)) if looking.heal else None
    for done, one in enumerate(tried):
        if looking.progress:
            looking.progress(done, len(tried), "healing candidates")
        graph = graph_of(plan, one.chain, one.adapters)
        if healer is not None and looking.heal is not None:
            heal(graph, healer, one.chain, looking.heal)
        uses = tuple(adapter_use(plan, seam) for seam in one.chain.seams())
        yield Hybrid("hybrid", one.chain, one.price, uses, graph=graph)


def promising(values: np.ndarray, most: int) -> list[int]:
    """Up to `most` rows: those of the front, then those of the front of the rest, and so on.

    values: [rows, 2], less being better.
    """
    left, found = np.arange(len(values)), list[int]()
    while len(left) and len(found) < most:
        front = left[nondominated(values[left])]
        found += front.tolist()
        left = left[~np.isin(left, front)]
    return found[:most]
