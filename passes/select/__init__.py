"""The pass `select`: which of the candidates to stitch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np

from .. import adapters as registry
from ..data import metrics
from ..data.budget import Limit, as_limits, format_apart
from ..data.candidates import Candidate, Candidates
from ..data.cut_names import find_cut, no_such_cut
from ..data.errors import CutError, Infeasible, PipelineError, QuantityError, unknown
from ..data.mac_shares import amounts_at, smaller_share
from ..data.pass_options import ChainOptions, CutOptions, ShareOptions, UncountedOptions
from ..data.plan import Plan
from ..data.values import Cut, listed
from ..pipeline import Pass

#: Rules by name: from the table to sort keys, most important first, smallest first.
RANKS: dict[str, Callable[[Candidates], tuple[np.ndarray, ...]]] = {
    "cka": lambda table: (-np.round(table.similarity, 6),),
}

#: The share of the multiply-adds that either side should have, unless something else is asked for.
LEAST_SHARE = 0.1


@dataclass(frozen=True)
class Select(Pass, ChainOptions, CutOptions, ShareOptions, UncountedOptions):
    """Ranks the candidates that meet every budget and chooses the first pair of cuts.

    budget: limits by metric, `{"flops": 12e6}` or `{"macs": "60%"}`, or `Limit`s; none leaves all. rank: "cka", by
    similarity, to six decimals, as ReStNet; among equals the cheaper (see `metrics.ties`), then the earlier cuts.
    adapter: a name, or "auto" for all that were priced. front, back: choose that cut yourself, by its node, its path or
    its index; with both given no similarity is needed.

    A candidate has parameters on both sides of the seam: with none before the front's cut, or none after the back's, it
    would be one of the parents behind an adapter. Only a cut that was asked for by name is exempt.

    min_share: of the stitched network's MACs, what each side must have to count as a real mix. Similarity alone prefers
    the first layers, where the hybrid is one parent with the other's stem; such candidates come last, whatever their
    similarity, and are chosen only when nothing else meets the budget. None for 10 %; 0 ranks by similarity alone, as
    the papers do.

    allow_uncounted: let a budget in macs or flops pass over operators that have no formula, which count as 0.
    Without it such a budget is refused, since the true cost would be unknown.

    chain: a chain of any length that is stated by hand (see `stitch.stated`). Nothing is ranked then: the choice is the
    chain, once for each way to join its fragments that is within budget.

    Fills the candidates' similarity, feasible, order and rank, and `plan.budget`. The choice is the best pair once for
    each adapter that is within budget, the most expensive first, since it fits best; `fit` decides between them.

    Raises:
        Infeasible: nothing meets the budget. CutError: a cut that does not exist or cuts that cannot be joined.
        QuantityError: a budget that cannot be parsed, or in macs or flops over operators that have no formula.
        InputError: an unknown rank. PipelineError: no similarity.
    """

    name: ClassVar[str] = "select"
    requires: ClassVar[tuple[str, ...]] = ("cuts", "prices", "candidates")
    ensures: ClassVar[tuple[str, ...]] = ("choice",)
    drops: ClassVar[tuple[str, ...]] = ("budget", "timed", "stages", "hybrids", "rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("candidates",)

    budget: Mapping[str, float | str | Limit] | Iterable[Limit] = field(default_factory=dict)
    rank: str = "cka"
    adapter: str = "auto"

    def run(self, plan: Plan) -> Plan:
        if self.rank not in RANKS:
            raise unknown(self.rank, "rank", RANKS)
        assert plan.candidates is not None  # `requires` holds it
        limits = {limit.metric: limit.resolve(plan.prices) for limit in as_limits(self.budget)}
        if not self.allow_uncounted:
            refuse_uncounted(plan, limits)
        if self.chain is not None:
            return self._stated(plan, limits)
        table = replace(plan.candidates, similarity=self._similarity(plan, plan.candidates), rank=self.rank)

        eligible = self._eligible(plan, table)
        for metric in limits:
            if np.isnan(table.metric(metric)).all():
                by = metrics.get(metric).computed_by
                raise PipelineError(
                    f"a budget of {metric} needs the pass '{by}', which has not run before 'select'",
                    f"Put the pass '{by}' before it, or limit another metric.",
                )
        within = {metric: table.metric(metric) <= limit for metric, limit in limits.items()}
        feasible = np.logical_and.reduce([eligible, *within.values()])
        if not feasible.any():
            raise _infeasible(plan, table, eligible, within, limits)
        least = LEAST_SHARE if self.min_share is None else self.min_share
        nearly_whole = smaller_share(plan, table) < least
        order = _order(table, np.flatnonzero(feasible), nearly_whole)
        notes = plan.notes
        if nearly_whole[order[0]] and self.front is None and self.back is None:
            notes += (f"Within the budget every stitch has less than {least:.0%} of its MACs from one parent.",)
        table = replace(table, feasible=feasible, order=order)
        return replace(plan, candidates=table, budget=limits, choice=_choice(table), notes=notes)

    def _stated(self, plan: Plan, limits: Mapping[str, float]) -> Plan:
        """The plan with the stated chain for its choice, in all ways that are within budget.

        Raises:
            Infeasible: none is. QuantityError: a budget of what is only known of pairs.
        """
        from ..stitch.stated import stated

        assert self.chain is not None
        ways = stated(plan, self.chain, self.adapter)
        for metric in limits:
            if ways[0].price.get(metric) is None:
                raise QuantityError(
                    f"a budget of {metric} holds for pairs only, and the chain is stated by hand",
                    "Leave the budget out, and measure the network that is written.",
                )
        within = [c for c in ways if all(c.price[m] <= limit for m, limit in limits.items())]
        if not within:
            nearest = {m: min(c.price[m] for c in ways) for m in limits}
            said = [format_apart(nearest[metric], limit, metric) for metric, limit in limits.items()]
            least, asked = (" and ".join(amounts) for amounts in zip(*said, strict=True))
            raise Infeasible(
                f"the chain '{self.chain}' takes at least {least}, more than {asked}",
                "Raise the budget, or state a smaller chain.",
                nearest,
            )
        return replace(plan, budget=dict(limits), choice=tuple(within))

    def _similarity(self, plan: Plan, table: Candidates) -> np.ndarray:
        """Of each row; NaN throughout where both cuts are given and nothing was compared."""
        column = np.full(len(table), np.nan)
        if not plan.similarity and len(table) and (self.front is None or self.back is None):
            raise PipelineError(
                "the pass 'select' needs similarity, unless front and back are both given",
                "Put the pass 'similarity' before it.",
            )
        for pair in plan.similarity:
            ahead = (table.front_model == pair.a) & (table.back_model == pair.b)
            column[ahead] = pair.matrix[table.front_cut[ahead], table.back_cut[ahead]]
            behind = (table.front_model == pair.b) & (table.back_model == pair.a)
            column[behind] = pair.matrix[table.back_cut[behind], table.front_cut[behind]]
        return column

    def _eligible(self, plan: Plan, table: Candidates) -> np.ndarray:
        """Rows with the asked-for cuts and adapter, and with parameters on both sides of the seam."""
        if not len(table):
            raise CutError(
                f"no two cuts of {' and '.join(m.name for m in plan.models)} can be joined by {_list(table.adapters)}",
                "`inspect` lists the cuts of a model, and why its other values are none. Or try another `adapter`.",
            )
        asked = _asked_cut(plan, self.front, table.front_model, table.front_cut)
        asked &= _asked_cut(plan, self.back, table.back_model, table.back_cut)
        asked &= _asked_adapter(self.adapter, table)
        if not asked.any():
            raise _cannot_join(plan, self.front, self.back, table, self.adapter)
        if self.front is None:
            asked &= amounts_at(plan, table.front_model, table.front_cut, "before", "params", unknown=1) > 0
        if self.back is None:
            asked &= amounts_at(plan, table.back_model, table.back_cut, "after", "params", unknown=1) > 0
        if not asked.any():
            raise CutError(
                "every pair of cuts that can be joined has no parameters on one side, and would give one parent and an "
                "adapter",
                "Choose the cuts yourself with `front` and `back` to make one nevertheless.",
            )
        return asked


def refuse_uncounted(plan: Plan, limits: Mapping[str, float]) -> None:
    """Refuses a budget in what operators of the plan's models have no formula for.

    Raises:
        QuantityError: it is one.
    """
    asked = [metric for metric in limits if metrics.get(metric).by_formula]
    without = [
        f"{model.name} calls {listed(uncounted)}"
        for model, uncounted in zip(plan.models, plan.uncounted, strict=True)
        if uncounted
    ]
    if asked and without:
        others = [metric.name for metric in metrics.every() if not metric.by_formula]
        raise QuantityError(
            f"a budget in {' and '.join(asked)} cannot be held: {'; '.join(without)}, for which there is no formula",
            f"Give a budget in {' or '.join(others)}, or count these operators as nothing with `allow_uncounted=True`.",
        )


def _order(table: Candidates, rows: np.ndarray, last: np.ndarray | None = None) -> np.ndarray:
    """`rows` from best to worst, those marked in `last` behind all others. The last keys leave no two rows equal, so
    that the order depends on nothing else."""
    first = () if last is None else (last,)
    ties = (table.metric(metric.name) for metric in metrics.ties())
    place = (table.front_model, table.front_cut, table.back_model, table.back_cut, table.adapter)
    keys = [key[rows] for key in (*first, *RANKS[table.rank](table), *ties, *place)]
    return rows[np.lexsort(keys[::-1])]


def _choice(table: Candidates) -> tuple[Candidate, ...]:
    """The best row's pair of cuts with each adapter that is feasible."""
    columns = (table.front_model, table.front_cut, table.back_model, table.back_cut)
    pair = np.logical_and.reduce([table.feasible, *(column == column[table.order[0]] for column in columns)])
    choice = [table[int(row)] for row in np.flatnonzero(pair)]
    choice.sort(key=lambda one: table.adapters.index(one.chain.adapters[0]))
    return tuple(sorted(choice, key=lambda one: one.price.ordering(), reverse=True))


def _asked_adapter(name: str, table: Candidates) -> np.ndarray:
    if name == "auto":
        return np.ones(len(table), dtype=bool)
    words = registry.get(name).notation
    if words not in table.adapters:
        raise CutError(
            f"the candidates were priced with {_list(table.adapters)}, not with '{name}'",
            f"Price them with it: Cost(adapters=('{name}',)).",
        )
    return table.adapter == table.adapters.index(words)


def _asked_cut(plan: Plan, word: str | int | None, models: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    """Which rows have the cut that `word` names; all without a word."""
    if word is None:
        return np.ones(len(models), dtype=bool)
    found = {int(model): find_cut(plan.cuts[model].cuts, word) for model in np.unique(models)}
    if all(index is None for index in found.values()):
        raise no_such_cut(plan, word, list(found))
    return np.logical_or.reduce([(models == m) & (cuts == index) for m, index in found.items() if index is not None])


def _cannot_join(
    plan: Plan, front: str | int | None, back: str | int | None, table: Candidates, adapter: str
) -> CutError:
    """Why no row is left, by the adapters' own words where both cuts are named."""
    names = table.adapters if adapter == "auto" else (adapter,)
    pairs = sorted({*zip(table.front_model.tolist(), table.back_model.tolist(), strict=True)})
    for a, b in pairs:
        i, j = (None if w is None else find_cut(plan.cuts[m].cuts, w) for m, w in ((a, front), (b, back)))
        if i is not None and j is not None:
            x, y = plan.cuts[a][i], plan.cuts[b][j]
            reasons = {name: registry.get(name).price(x.value, y.value) for name in names}
            said = "; ".join(f"{name}: {reason}" for name, reason in reasons.items() if isinstance(reason, str))
            return CutError(
                f"'{x.node}' of {plan.models[a].name} {x.value.shape} cannot be joined to '{y.node}' of "
                f"{plan.models[b].name} {y.value.shape}: {said}",
                "Leave one of the two out to see what it can be joined to.",
            )
    words = _list([f"'{w}'" for w in (front, back) if w is not None])
    return CutError(f"{_list(names)} can join nothing to {words or 'any cut'}", "Choose another cut or adapter.")


def _infeasible(
    plan: Plan, table: Candidates, eligible: np.ndarray, within: Mapping[str, np.ndarray], limits: Mapping[str, float]
) -> Infeasible:
    """Which budget binds, the least that can be had of each metric while the other budgets hold, and who has it."""
    least: dict[str, int] = {}  # the row that has the least, of several the one ranked best
    for metric in limits:
        others = np.logical_and.reduce([eligible, *(rows for m, rows in within.items() if m != metric)])
        rows = _order(table, np.flatnonzero(others if others.any() else eligible))
        least[metric] = int(rows[np.argmin(table.metric(metric)[rows])])
    nearest = {metric: table.metric(metric)[row].item() for metric, row in least.items()}
    alone = [metric for metric, rows in within.items() if not (rows & eligible).any()]

    said = {metric: format_apart(nearest[metric], limit, metric) for metric, limit in limits.items()}
    asked = " and ".join(limit for _, limit in said.values())
    names = " and ".join(m.name for m in plan.models)
    together = len(limits) > 1 and not alone
    message = f"no stitch of {names} takes at most {asked}"
    if together:
        message += "; each budget can be met alone, but not together"
    for metric in alone or limits:
        scope = " within the other budgets" if together else ""
        message += f"; the least{scope} is {said[metric][0]} ({_told(plan, table[least[metric]])})"
    needed = " or " if together else " and "  # of budgets that nothing meets alone every one must be raised
    reachable = needed.join(f"{metric}={_above(nearest[metric], metric)}" for metric in alone or limits)
    return Infeasible(message, f"Raise the budget to {reachable} at least, or give other models or cuts.", nearest)


def _above(value: float, metric: str) -> str:
    """A quantity that a budget can be raised to; a measured one with a little room."""
    asked = metrics.get(metric)
    if asked.combine != "measured":
        return str(value)
    return f"{value * 1.01:.3g}{asked.unit.symbol if asked.unit.symbol in asked.unit.suffixes else ''}"


def _told(plan: Plan, candidate: Candidate) -> str:
    (a, i), (b, j) = candidate.front, candidate.back
    front, back = plan.cuts[a][i], plan.cuts[b][j]
    return f"{plan.models[a].name} up to '{front.node}', {candidate.adapter}, {plan.models[b].name} from '{back.node}'"


def _list(words: Sequence[str]) -> str:
    return ", ".join(words)
