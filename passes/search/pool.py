"""The space of a pool of real models: the cuts of each as points, every way to stitch two of them as a seam."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ..cost.adapter_prices import AdapterPrice, folded
from ..cost.table import Adapters
from ..data import metrics
from ..data.chain import Chain, End, Fragment, Seam
from ..data.plan import Plan
from ..data.values import Price, Value
from ..fit.limits import tried
from .space import Route, Space

#: The adapter between two values of one shape of the same model, where that is asked for beside others.
IDENTITY = "identity"
#: Of what a seam loses as the last of a chain, what it loses where another follows: with 0.3 to 0.5 the sum was nearest
#: to what 560 chains over two real pools scored (docs/searching_measured.md).
INNER = 0.4


@dataclass(frozen=True, eq=False)
class Pool:
    """The space of a plan's models, and what its rows stand for.

    Of each model the points are its input, its cuts in order, and its output. A row of `source`, `target`, `adapter` is
    a seam: the points that it joins, and the index of its adapter in `adapters`. All int64 [seams].
    """

    plan: Plan
    adapters: tuple[str, ...]
    source: np.ndarray
    target: np.ndarray
    adapter: np.ndarray
    seam_cost: np.ndarray

    @classmethod
    def of(
        cls, plan: Plan, adapters: Sequence[str], *, repeats: bool = False, min_share: float = 0.0,
        max_memory: int | None = None,
    ) -> Pool:  # fmt: skip
        """Every seam from a cut of any model to a cut of any model that an adapter of these can join. The plan needs
        cuts and parts.

        A fragment with no parameters at either end of the network would make it a model behind an adapter, so no seam
        leaves the one or enters the other. Of one model, a seam leads forward: the layers between are left out, and
        take multiply-adds. repeats: also back, so that layers run twice. min_share: of two models, a seam leaves the
        one with at least so much of its own MACs behind it, and enters the other with as much before it; without, the
        best chains may be one model with the stem of another. max_memory: bytes that fitting an adapter may take; those
        that take more are left out.
        """
        ways = _Ways(plan, adapters, max_memory)
        found = [rows for a in range(len(plan.models)) for b in range(len(plan.models))
                 for rows in [_seams(plan, a, b, ways, repeats=repeats, min_share=min_share)]]  # fmt: skip
        source, target, adapter = np.concatenate([rows for rows, _ in found], axis=1)
        return cls(plan, tuple(adapters), source, target, adapter, np.concatenate([costs for _, costs in found]))

    def __len__(self) -> int:
        return len(self.source)

    @cached_property
    def points(self) -> tuple[tuple[int, int | None], ...]:
        """Of each point its model, and its cut; None for the model's own ends."""
        return tuple(
            (model, cut) for model, cuts in enumerate(self.plan.cuts) for cut in (None, *range(len(cuts)), None)
        )

    def space(self, loss: np.ndarray, deficit: np.ndarray) -> Space:
        """The space with a loss for each seam, float64 [seams], and what each model itself loses, float64 [models].

        A chain loses half of what the models lose in which it begins and ends, so a model alone loses what it does, and
        the fragments between two seams nothing: see `losses`. A seam may gain something, which is a loss below zero. As
        losses of a space are not, every seam is charged as much more as brings the least of them to zero.
        """
        own = np.concatenate([
            np.array([0.0, *[lost / 2] * len(cuts), lost]) for lost, cuts in zip(deficit, self.plan.cuts, strict=True)
        ])  # fmt: skip
        return Space(
            model=np.array([model for model, _ in self.points], dtype=np.int64),
            work=_columns(work(self.plan)),
            metrics=columns(),
            source=self.source,
            target=self.target,
            seam_cost=_columns(self.seam_cost),
            loss=loss + surcharge(loss),
            inner_loss=INNER * loss + surcharge(loss),
            own_loss=own,
            names=tuple(self._names()),
        )

    def _names(self) -> Iterator[str]:
        for model, cuts in zip(self.plan.models, self.plan.cuts, strict=True):
            yield f"{model.name}:input"
            yield from (f"{model.name}:{cut.node}" for cut in cuts.cuts)
            yield f"{model.name}:output"

    def seam(self, row: int) -> Seam:
        """The seam in a row."""
        return Seam(self.end(self.source[row]), self.adapters[self.adapter[row]], self.end(self.target[row]))

    def point(self, model: int, cut: int | None, *, last: bool = False) -> int:
        """The point of a cut; None for the model's input, or its output where `last`."""
        mine = [point for point, (own, _) in enumerate(self.points) if own == model]
        return mine[-1 if last else 0] if cut is None else mine[cut + 1]

    def end(self, point: int) -> End:
        """The cut that a point is."""
        model, cut = self.points[point]
        assert cut is not None, "a seam lies at cuts"
        return End(model, cut)

    def chain(self, route: Route) -> Chain:
        """The chain of a route."""
        seams = [self.seam(row) for row in route.seams]
        models = [route.model, *(seam.enters.model for seam in seams)]
        starts = [None, *(seam.enters.cut for seam in seams)]
        ends = [*(seam.leaves.cut for seam in seams), None]
        return Chain(tuple(map(Fragment, models, starts, ends)), tuple(seam.adapter for seam in seams))


def lost(seams: np.ndarray) -> float:
    """What the seams of a chain lose together. seams: float64 [seams], the loss of each, in order."""
    return float(INNER * seams[:-1].sum() + seams[-1:].sum())


def surcharge(loss: np.ndarray) -> float:
    """What each seam of a space is charged beside its loss, so that none is below zero."""
    return max(0.0, -float(loss.min(initial=0)))


def columns() -> tuple[str, ...]:
    """The metrics that a space has: those that are sums, and those that are derived from sums alone, which are taken to
    be linear in them, as the FLOPs are in the MACs. (Every chain that is found is priced again.)"""
    one = {metric.name: np.ones(1) for metric in metrics.sums()}
    derived = [m.name for m in metrics.every() if m.combine == "derived" and metrics.amount(m.name, one) is not None]
    return (*one, *derived)


def _columns(sums: np.ndarray) -> np.ndarray:
    """Columns of sums, and those derived from them."""
    known = {metric.name: column for metric, column in zip(metrics.sums(), sums.T, strict=True)}
    found = [metrics.amount(name, known) for name in columns()]
    return np.stack([column for column in found if column is not None], axis=1)


def work(plan: Plan) -> np.ndarray:
    """What each model has computed, and holds, before each of its points: [points, metrics that are sums]."""
    rows = []
    for cuts, whole in zip(plan.cuts, plan.prices, strict=True):
        rows += [Price(), *(cut.before or Price() for cut in cuts.cuts), whole]
    return np.array([[row.get(metric.name, 0) for metric in metrics.sums()] for row in rows], dtype=np.float64)


def twice(plan: Plan, model: int) -> np.ndarray:
    """What a fragment that starts at a cut holds although it was needed before the cut as well, such as a tensor that
    layers on both sides share: [cuts, metrics that are sums].

    The price of a fragment is the difference of the model's `work` at its ends, and this at its start.
    """
    whole = plan.prices[model]
    around = [((cut.before or Price()), (cut.after or Price())) for cut in plan.cuts[model].cuts]
    return np.array(
        [[b.get(m.name, 0) + a.get(m.name, 0) - whole.get(m.name, 0) for m in metrics.sums()] for b, a in around]
    ).reshape(len(around), len(metrics.sums()))


class _Ways:
    """The adapters that can join two values and can be fitted, with their prices; asked once for each two values."""

    def __init__(self, plan: Plan, adapters: Sequence[str], max_memory: int | None):
        self._plan, self._max_memory = plan, max_memory
        self._ask = Adapters(adapters)
        self._known: dict[tuple[Value, Value, bool], list[tuple[int, AdapterPrice]]] = {}

    def __call__(self, leaves: End, enters: End) -> list[tuple[int, AdapterPrice]]:
        """Each as its index among the adapters, and its price."""
        front, back = self._plan.value_at(leaves), self._plan.value_at(enters)
        key = front, back, leaves.model == enters.model
        if key not in self._known:
            self._known[key] = self._found(leaves, enters, front, back)
        return self._known[key]

    def _found(self, leaves: End, enters: End, front: Value, back: Value) -> list[tuple[int, AdapterPrice]]:
        names = self._ask.names
        same = leaves.model == enters.model and front == back
        prices = {name: self._ask(kind, front, back) for kind, name in enumerate(names)}
        able = [n for n, at in prices.items() if at >= 0 and (n != IDENTITY or same or len(names) == 1)]
        if not able:
            return []
        kept, _ = tried(self._plan, [Seam(leaves, name, enters) for name in able], self._max_memory)
        return [(names.index(seam.adapter), self._ask.found[prices[seam.adapter]]) for seam in kept]


def _seams(
    plan: Plan, a: int, b: int, ways: _Ways, *, repeats: bool, min_share: float
) -> tuple[np.ndarray, np.ndarray]:
    """Seams from model a to model b: int64 [3, seams], source, target and adapter; and their costs.

    Where no layer may run twice, a seam inside a model leaves something out, and its adapter takes less than that in
    one metric at least: else the model itself is as good and no dearer.
    """
    offset = [sum(len(cuts) + 2 for cuts in plan.cuts[:model]) + 1 for model in (a, b)]
    keep = np.outer(_holds(plan, a, "before"), _holds(plan, b, "after"))
    if a == b:
        done = np.array([(cut.before or Price()).get("macs", 0) for cut in plan.cuts[a].cuts])
        keep &= (done[:, None] != done) if repeats else (done[:, None] < done)
    else:
        keep &= np.outer(_share(plan, a, "before") >= min_share, _share(plan, b, "after") >= min_share)
    found, costs, more = [], [], twice(plan, b)
    names = [metric.name for metric in metrics.sums()]
    for i, j in np.argwhere(keep).tolist():
        for kind, own in ways(End(a, i), End(b, j)):
            price = folded(own, plan.parts[b].readers[j], plan.value_at((a, i)), plan.value_at((b, j)))
            if a == b and not repeats and not _saves(plan, a, i, j, price):
                continue
            found.append((offset[0] + i, offset[1] + j, kind))
            costs.append([price[metric] for metric in names] + more[j])
    return np.array(found, dtype=np.int64).reshape(-1, 3).T, np.array(costs, dtype=np.float64).reshape(-1, len(names))


def _saves(plan: Plan, model: int, leaves: int, enters: int, price: Price) -> bool:
    """Whether an adapter takes less of one metric than what lies between two cuts of a model."""
    first, last = ((plan.cuts[model][cut].before or Price()) for cut in (leaves, enters))
    return any(price[m.name] < last.get(m.name, 0) - first.get(m.name, 0) for m in metrics.sums())


def _share(plan: Plan, model: int, side: str) -> np.ndarray:
    """The share of a model's MACs on that side of each cut: float64 [cuts]."""
    macs = [(getattr(cut, side) or Price()).get("macs", 0) for cut in plan.cuts[model].cuts]
    return np.array(macs, dtype=np.float64) / max(plan.prices[model]["macs"], 1)


def _holds(plan: Plan, model: int, side: str) -> np.ndarray:
    """Whether there are parameters on that side of each cut: bool [cuts]. Where nothing was priced, there are."""
    prices = [getattr(cut, side) for cut in plan.cuts[model].cuts]
    return np.array([price is None or price["params"] > 0 for price in prices], dtype=bool)
