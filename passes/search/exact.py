"""The best chains of a space, proved best: all of a front, the one under a budget, several that differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ..data.errors import Infeasible, InputError
from .dominance import nondominated
from .labels import best_routes
from .problem import LOSS, Problem
from .space import Repeats, Route, Space


@dataclass(frozen=True)
class Found:
    """A chain that a search has found, with what it costs in each metric of its space and what it loses, as the space
    prices it."""

    route: Route
    cost: Mapping[str, float]
    loss: float

    def amount(self, name: str) -> float:
        """The loss, or the cost in a metric."""
        return self.loss if name == LOSS else self.cost[name]


def price(space: Space, route: Route) -> Found:
    """A chain with its price."""
    cost, loss = space.price(route)
    return Found(route, dict(zip(space.metrics, cost.tolist(), strict=True)), loss)


def front(
    space: Space, over: Sequence[str], *, fragments: int = 3, budget: Mapping[str, float] | None = None,
    repeats: Repeats = "none", tell: Callable[[int, list[Found]], None] | None = None,
) -> list[Found]:  # fmt: skip
    """All chains within the budget that no other is at least as good as in all of `over`, rising in the first of them.

    Of chains that are equal in all of `over`, one with the fewest fragments stands for all. Whole numbers are compared
    exactly, others as float64 adds them up.

    over: the amounts that are minimised: `loss`, and metrics of the space. budget: the most of each amount.
    tell: called with each number of fragments below the most and the front of the chains of at most so many, before
        longer ones are tried: whoever stops the search there has a result that is proved for shorter chains.

    Raises:
        Infeasible: no chain meets the budget; carries the least of each amount of it.
        InputError: as `Problem`.
    """
    return _solve(Problem(space, tuple(over), fragments, budget, repeats), tell)


def best(
    space: Space, *, fragments: int = 3, budget: Mapping[str, float] | None = None, repeats: Repeats = "none"
) -> Found:
    """The chain of the least loss within the budget. Errors as `front`."""
    return front(space, (LOSS,), fragments=fragments, budget=budget, repeats=repeats)[0]


def diverse(
    space: Space, count: int, differ: int, *, fragments: int = 3, budget: Mapping[str, float] | None = None,
    repeats: Repeats = "none",
) -> list[Found]:  # fmt: skip
    """The best chain, then the best of those that differ from it, then the best of those that differ from both, and so
    on: `count` chains, or fewer where there are no more.

    differ: the longer of each two chains has at least so many fragments more than they share.

    Raises:
        Infeasible, InputError: as `front`; or a count or difference below one.
    """
    if count < 1 or differ < 1:
        raise InputError(f"diverse chains are one or more and differ in one fragment or more, not {count} and {differ}")
    chosen = [best(space, fragments=fragments, budget=budget, repeats=repeats)]
    while len(chosen) < count:
        apart = [space.fragments(found.route) for found in chosen]
        routes = best_routes(Problem(space, (LOSS,), fragments, budget, repeats, apart, differ))
        if not routes:
            break
        chosen.append(price(space, routes[0]))
    return chosen


def _solve(problem: Problem, tell: Callable[[int, list[Found]], None] | None) -> list[Found]:
    def tell_priced(fragments: int, routes: list[Route]) -> None:
        if tell:
            tell(fragments, _priced(problem, routes))

    found = _priced(problem, best_routes(problem, tell_priced))
    if not found:
        raise _infeasible(problem)
    return found


def _priced(problem: Problem, routes: list[Route]) -> list[Found]:
    """The front of some chains as the space prices them, rising in what is minimised first."""
    found = [price(problem.space, route) for route in routes]
    values = np.array([[chain.amount(name) for name in problem.over] for chain in found]).reshape(-1, len(problem.over))
    rows = nondominated(values)
    return [found[row] for row in rows[np.lexsort(values[rows].T[::-1])]]


def _infeasible(problem: Problem) -> Infeasible:
    nearest = {}
    for name in problem.budget or {}:
        alone = best_routes(Problem(problem.space, (name,), problem.fragments, None, problem.repeats))
        nearest[name] = price(problem.space, alone[0]).amount(name)
    above = [f"{name} of {limit:g}, where {nearest[name]:g} is the least of any chain"
             for name, limit in (problem.budget or {}).items() if nearest[name] > limit]  # fmt: skip
    said = f"no chain of at most {problem.fragments} fragments meets the budget: "
    return Infeasible(
        said + (" and ".join(above) or "each limit can be met, and not all at once"),
        "Allow more, or more fragments.",
        nearest,
    )
