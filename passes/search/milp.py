"""The best chain under rules that do not add up along it, by an integer program on HiGHS whose answers are checked."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from ..data.errors import Infeasible
from .exact import Found, price
from .labels import best_routes
from .problem import LOSS, Problem
from .program import Program
from .reduced import seams_by_bound
from .rules import Rules
from .space import Repeats, Space

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

log = logging.getLogger("stitchc")

#: Seams of the first program; more come in where the best chain might need them.
_FIRST_SEAMS = 1000
_MORE = 4
#: What the solver may miss of the best amount, of the largest that a seam or a model adds.
TOLERANCE = 1e-6
_DONE, _LIMIT, _INFEASIBLE = 0, 1, 2  # the solver's words for how it ended


@dataclass(frozen=True)
class Solved:
    """The best chain under rules. proved: no chain is better, but for the solver's tolerance; or else the time was up.
    at_least: no chain within the budget and the rules is better than this."""

    found: Found
    proved: bool
    at_least: float


def solve(
    space: Space, rules: Rules | None = None, *, over: str = LOSS, fragments: int = 3,
    budget: Mapping[str, float] | None = None, repeats: Repeats = "none", seconds: float | None = None,
) -> Solved:  # fmt: skip
    """The chain of at most `fragments` fragments that has the least of one amount within the budget and the rules.

    The program begins with the seams whose chains could be best, and takes in more until none that is left out could
    be part of a better chain. The chain found is priced by the space and held to budget and rules; where the solver's
    tolerance let one through that exceeds a limit, it is excluded and the rest solved again. That there is none is
    confirmed by exact search as far as it knows the rules: `without` and `switches_at_most`. Where the others matter,
    it is the solver's word, given twice, with and without its presolve, and the error says so. Where exact search finds
    the best chain to break no rule, that chain is the answer, whatever the solver says.

    seconds: for each run of the solver; no limit by default. When it is up, the best chain so far is not proved best.

    Raises:
        Infeasible: no chain meets budget and rules, or none was found in time; the message says which.
        InputError: as `Problem` and `Rules.check`.
    """
    rules = rules or Rules()
    rules.check(space)
    problem = Problem(space, (over,), fragments, budget, repeats)
    solved = _sift(problem, rules, over, seconds)
    without_some = _relaxed(problem, rules)
    if without_some is None:
        raise _infeasible(problem, "as exact search confirms")
    if not rules.broken(space, without_some.route):
        least = without_some.amount(over)
        if solved is None or solved.found.amount(over) > least + TOLERANCE * abs(least):
            log.warning("HiGHS missed the best chain, which exact search finds: %s", space.tell(without_some.route))
            solved = Solved(without_some, True, least)
    if solved is None:
        broken = ", ".join(rules.broken(space, without_some.route))
        time_up = f"in {seconds:g} s for each run" if seconds is not None else "with and without its presolve"
        raise _infeasible(problem, f"as the solver says, {time_up}; exact search, which leaves {broken} out, finds one")
    return solved


def _infeasible(problem: Problem, said: str) -> Infeasible:
    return Infeasible(
        f"no chain of at most {problem.fragments} fragments meets the budget and the rules, {said}",
        "Allow more, or leave a rule out.",
    )


def _sift(problem: Problem, rules: Rules, over: str, seconds: float | None) -> Solved | None:
    """The best chain, from programs over more and more of the seams."""
    seams, bounds = seams_by_bound(problem)
    count, solved = min(_FIRST_SEAMS, len(seams)), None
    while True:
        now = _solve(Program(problem, rules, seams[:count]), over, seconds)
        if solved is None or (now and now.found.amount(over) <= solved.found.amount(over)):
            solved = now
        else:  # the chain of the smaller program is one of the larger too: the time was up
            return replace(solved, proved=False, at_least=-np.inf)
        best = np.inf if solved is None else solved.found.amount(over)
        if count == len(seams) or bounds[count] >= best:
            return solved
        count = min(_MORE * count, int(np.searchsorted(bounds, best)))


def _solve(program: Program, over: str, seconds: float | None) -> Solved | None:
    """The best chain of a program, within the limits as the space prices it; None where there is none, or none in
    time."""
    problem = program.problem
    while True:
        done, scale = _run(program, seconds)
        if done.x is None:
            return None
        found = price(problem.space, program.route(done.x))
        if not _holds(program, found):
            log.debug("HiGHS exceeds a limit by its tolerance: %s", problem.space.tell(found.route))
            program.exclude(found.route)
            continue
        proved = done.status == _DONE
        at_least = found.amount(over) if proved else scale * (done.mip_dual_bound or -np.inf)
        return Solved(found, proved, at_least)


def _holds(program: Program, found: Found) -> bool:
    problem, route = program.problem, found.route
    within = all(found.amount(name) <= limit for name, limit in (problem.budget or {}).items())
    is_chain = problem.space.is_chain(route, problem.repeats) and len(route.seams) < problem.fragments
    return within and is_chain and not program.rules.broken(problem.space, route)


def _run(program: Program, seconds: float | None) -> tuple[OptimizeResult, float]:
    """What the solver says, and the factor by which amounts were divided for it."""
    from scipy.optimize import Bounds, LinearConstraint, milp

    amount = program.amount(0)
    scale = float(np.abs(amount).max(initial=0)) or 1.0
    matrix, low, high = program.matrix()
    options: dict[str, Any] = {"mip_rel_gap": 0} | ({} if seconds is None else {"time_limit": seconds})
    whole = np.arange(len(amount)) < program.whole
    for presolve in (True, False):
        done = milp(
            amount / scale, integrality=whole, bounds=Bounds(0, program.upper),
            constraints=LinearConstraint(matrix, low, high), options={**options, "presolve": presolve},
        )  # fmt: skip
        if done.status != _INFEASIBLE:
            break
    return done, scale


def _relaxed(problem: Problem, rules: Rules) -> Found | None:
    """The best chain as exact search finds it, by the rules that it can hold to: models that are left out and switches
    are counted as costs."""
    space, metrics = problem.space, problem.space.metrics
    banned = np.isin(space.model, rules.without) * np.arange(len(space.model))
    switch = space.model[space.source] != space.model[space.target]
    counted = replace(
        space,
        work=np.column_stack([space.work, np.zeros(len(banned)), banned]),
        seam_cost=np.column_stack([space.seam_cost, switch, np.zeros(len(switch))]),
        metrics=(*metrics, "switches of a rule", "steps in models left out"),
    )
    limits = {counted.metrics[-1]: 0.0}
    if rules.switches_at_most is not None:
        limits[counted.metrics[-2]] = rules.switches_at_most
    asked = Problem(counted, problem.over, problem.fragments, {**(problem.budget or {}), **limits}, problem.repeats)
    routes = best_routes(asked)
    return price(space, routes[0]) if routes else None
