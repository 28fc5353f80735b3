"""Which seams can be part of a chain that is better than a known one: lower bounds of the chains with each seam.

A budget is taken into the amount that is minimised: what a chain takes beyond a limit is charged at a rate, and what it
leaves is paid back (Lagrangian relaxation). At any rates, this sum is at most the amount of a chain within the budget;
and without limits, the chain with each seam that has the least of it is found by passing over the seams a few times.
Good rates are found by trial; each seam keeps the highest of all the bounds that it was given.
"""

from __future__ import annotations

import numpy as np

from .problem import Problem

#: What each rate is multiplied with in turn; the product stays where it raises the lowest bound.
_FACTORS = (1, 0.01, 10, 0.1, 3, 0.3, 2, 0.5, 1.4, 0.7, 1.2, 0.8)


def seams_by_bound(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """The seams of a problem, and of each a lower bound, rising, of what is minimised first in all chains with it that
    meet the budget. Both [seams]. Seams that no chain can have are left out."""
    if problem.fragments == 1 or not len(problem.seams):
        return np.empty(0, dtype=np.int64), np.empty(0)
    seams = problem.seams
    bounds = _through(problem, problem.along[:, 0], problem.across[seams, 0], problem.last[seams, 0])
    limited = np.flatnonzero(np.isfinite(problem.limits))
    limits = problem.limits[limited]
    rates = (bounds.max(initial=0, where=np.isfinite(bounds)) or 1.0) / np.where(limits == 0, 1, np.abs(limits))
    best = -np.inf
    for factor in _FACTORS if len(limited) else ():
        for column in range(len(limited)):
            tried = rates.copy()
            tried[column] *= factor
            along = problem.along[:, 0] + problem.along[:, limited] @ tried
            inner, last = (
                amounts[seams, 0] + amounts[seams][:, limited] @ tried for amounts in (problem.across, problem.last)
            )
            found = _through(problem, along, inner, last) - tried @ limits
            np.maximum(bounds, found, out=bounds)
            if found.min() > best:
                best, rates = found.min(), tried
    rows = np.argsort(bounds, kind="stable")
    rows = rows[np.isfinite(bounds[rows])]
    return problem.seams[rows], bounds[rows]


def _through(problem: Problem, along: np.ndarray, across: np.ndarray, over_last: np.ndarray) -> np.ndarray:
    """[seams]: the least amount of a chain of at most the problem's fragments with each seam.

    along: [points], as in a space. across, over_last: [seams], those of the problem, where another follows and as the
    last.
    """
    space, most = problem.space, problem.fragments - 2
    source, target = space.source[problem.seams], space.target[problem.seams]
    to_end = along[problem.ends] - along
    entered = np.full(len(along), np.inf)
    entered[space.first] = 0
    ending = np.full(len(along), np.inf)
    np.minimum.at(ending, source, over_last + to_end[target])
    before, behind = [_left(problem, entered, along)], [_ahead(problem, ending, along)]
    for _ in range(most):
        entered = entered.copy()
        np.minimum.at(entered, target, before[-1][source] + across)
        before.append(_left(problem, entered, along))
        after = ending.copy()
        np.minimum.at(after, source, across + behind[-1][target])
        behind.append(_ahead(problem, after, along))
    parts = [before[k][source] + across + behind[most - k - 1][target] for k in range(most)]
    return np.minimum.reduce([before[most][source] + over_last + to_end[target], *parts])


def _left(problem: Problem, entered: np.ndarray, along: np.ndarray) -> np.ndarray:
    """[points]: the least amount with which a chain leaves each point, from that with which it enters the points."""
    left = np.full(len(along), np.inf)
    for first, last in zip(problem.space.first, problem.space.last, strict=True):
        least = np.minimum.accumulate(entered[first:last] - along[first:last])
        left[first + 1 : last + 1] = least + along[first + 1 : last + 1]
    return left


def _ahead(problem: Problem, after: np.ndarray, along: np.ndarray) -> np.ndarray:
    """[points]: the least amount from entering each point on, from that on leaving the points."""
    rest = np.full(len(along), np.inf)
    for first, last in zip(problem.space.first, problem.space.last, strict=True):
        least = np.minimum.accumulate((along + after)[last:first:-1])[::-1]
        rest[first:last] = least - along[first:last]
    return rest
