"""The integer program finds what exact search finds, and under rules what trying every chain finds."""

import logging

import numpy as np
import pytest
from search_spaces import all_prices, all_routes, random_space

from stitchc.passes.data.errors import Infeasible, InputError
from stitchc.passes.search import milp
from stitchc.passes.search.exact import best, front
from stitchc.passes.search.milp import solve
from stitchc.passes.search.problem import Problem
from stitchc.passes.search.reduced import seams_by_bound
from stitchc.passes.search.rules import Rules
from stitchc.passes.search.space import Route

REPEATS = ("none", "forward", "loops")


@pytest.fixture(autouse=True)
def few_seams(monkeypatch):
    """Programs begin with few seams, so that more must be taken in."""
    monkeypatch.setattr(milp, "_FIRST_SEAMS", 5)


@pytest.fixture
def solver_alone(caplog):
    """No answer of the solver has to be put right: none breaks a rule, and none is worse than that of exact search."""
    caplog.set_level(logging.DEBUG, "stitchc")
    yield
    assert not caplog.get_records("call")


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("seed", range(10))
def test_without_rules_it_is_the_best_chain(seed, repeats, solver_alone):
    space = random_space(seed, models=3, stages=3 + seed % 3, density=0.25)
    for over in ("loss", "params"):
        frugal = front(space, ("macs",), fragments=3, repeats=repeats)[0].cost["macs"]
        for budget in ({}, {"macs": frugal + 4}, {"macs": frugal}, {"macs": frugal - 1}):
            asked = {"fragments": 2 + seed % 2, "budget": budget, "repeats": repeats}
            try:
                truth = front(space, (over,), **asked)[0].amount(over)
            except Infeasible:
                with pytest.raises(Infeasible, match="as exact search confirms"):
                    solve(space, over=over, **asked)
                continue
            solved = solve(space, over=over, **asked)
            assert solved.proved and solved.found.amount(over) == truth == solved.at_least


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("seed", range(12))
def test_under_rules_it_is_the_best_of_all_chains(seed, repeats, solver_alone):
    space = random_space(seed, models=4, stages=3, density=0.2)
    first = int(space.first[seed % 4])
    rules = (
        Rules(models_at_least=3),
        Rules(switches_at_most=1, models_at_least=2),
        Rules(keep=((first + 1, first + 3),), models_at_least=2),
        Rules(without=(0, 2)),
        Rules(not_together=((0, 1), (1, 2, 3)), models_at_least=2),
        Rules(keep=((first, first + 1), (int(space.first[0]) + 2, int(space.first[0]) + 3)), switches_at_most=2),
    )[seed % 6]
    routes = list(all_routes(space, 3, repeats))
    prices = all_prices(space, routes)
    for share in (1, 0.1):
        limit = float(np.quantile(prices["macs"], share))
        losses = [
            loss
            for route, loss, macs in zip(routes, prices["loss"], prices["macs"], strict=True)
            if macs <= limit and not rules.broken(space, route)
        ]
        if not losses:
            with pytest.raises(Infeasible):
                solve(space, rules, budget={"macs": limit}, repeats=repeats)
            continue
        solved = solve(space, rules, budget={"macs": limit}, repeats=repeats)
        assert solved.proved and solved.found.loss == min(losses) and solved.found.cost["macs"] <= limit
        assert not rules.broken(space, solved.found.route) and space.is_chain(solved.found.route, repeats)


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("seed", range(6))
def test_no_chain_within_the_budget_is_better_than_the_bounds_of_its_seams(seed, repeats):
    space, fragments = random_space(seed, density=0.25), 2 + seed % 3
    routes = list(all_routes(space, fragments, repeats))
    prices = all_prices(space, routes)
    budget = {"macs": float(np.quantile(prices["macs"], 0.3)), "reads": float(np.quantile(prices["reads"], 0.5))}
    seams, bounds = seams_by_bound(Problem(space, ("loss",), fragments, budget, repeats))
    bound = dict(zip(seams.tolist(), bounds.tolist(), strict=True))
    within = (prices["macs"] <= budget["macs"]) & (prices["reads"] <= budget["reads"])
    for row in np.flatnonzero(within):
        assert all(bound[seam] <= prices["loss"][row] + 1e-9 for seam in routes[row].seams)
    assert (np.diff(bounds) >= 0).all() and bounds[-1] > prices["loss"][within].min()


def test_rules_say_what_they_are_broken_by():
    space = random_space(0, models=2, stages=3)
    whole = Route(0)
    first, last = int(space.first[0]), int(space.last[0])
    assert Rules(models_at_least=2).broken(space, whole) == ["models_at_least"]
    assert Rules(keep=((first, last),)).broken(space, whole) == []
    assert Rules(keep=((last + 1, last + 2),)).broken(space, whole) == ["keep"]
    assert Rules(without=(0,), not_together=((0,), (1,))).broken(space, whole) == ["without", "not_together"]
    switching = next(route for route in all_routes(space, 2, "none") if route.seams)
    assert Rules(switches_at_most=0).broken(space, switching) == ["switches_at_most"]


@pytest.mark.parametrize(
    "rules",
    [Rules(without=(9,)), Rules(not_together=((),)), Rules(keep=((1, 1),)), Rules(keep=((0, 9),)),
     Rules(switches_at_most=-1)],
)  # fmt: skip
def test_rules_that_mean_nothing_are_refused(rules):
    with pytest.raises(InputError):
        solve(random_space(0), rules)


def test_a_solver_that_finds_nothing_is_put_right(monkeypatch, caplog):
    space = random_space(0)
    monkeypatch.setattr(milp, "_solve", lambda *_: None)
    assert solve(space).found == best(space)
    assert "HiGHS missed the best chain" in caplog.text


def test_what_only_the_solver_can_say_is_said_to_be_its_word():
    space = random_space(0, models=3)
    with pytest.raises(Infeasible, match="as the solver says, with and without its presolve"):
        solve(space, Rules(models_at_least=3), fragments=2)


def test_chains_that_the_tolerance_lets_through_are_not_returned():
    """A limit just below the cost of the best chain, by less than the solver can tell."""
    space = random_space(2)
    cost = best(space).cost["macs"]
    limit = cost * (1 - 1e-9)
    solved = solve(space, budget={"macs": limit})
    assert solved.found.cost["macs"] <= limit
    assert solved.found.loss == best(space, budget={"macs": limit}).loss
