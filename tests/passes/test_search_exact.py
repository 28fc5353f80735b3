"""Exact search finds what trying every chain finds."""

import numpy as np
import pytest
from search_spaces import all_prices, all_routes, front_values, random_space

from stitchc.passes.data.errors import Infeasible, InputError
from stitchc.passes.search.exact import best, diverse, front
from stitchc.passes.search.incumbents import Best

REPEATS = ("none", "forward", "loops")
OVER = (
    ("loss",),
    ("loss", "macs"),
    ("loss", "macs", "params"),
    ("macs", "params"),
    ("loss", "macs", "params", "reads"),
)
#: Of the pools, those that every run of the tests tries.
QUICK = 9
POOLS = [(seed, repeats) for seed in range(50) for repeats in REPEATS]


@pytest.mark.parametrize(
    ("seed", "repeats"), [pytest.param(*pool, marks=[pytest.mark.slow] if pool[0] >= QUICK else []) for pool in POOLS]
)
def test_front_is_that_of_all_chains(seed, repeats):
    check_front(seed, repeats)


@pytest.mark.slow
@pytest.mark.parametrize(("seed", "repeats"), POOLS[::4])
def test_front_does_not_stand_on_bounds(seed, repeats, monkeypatch):
    """Bounds drop most unfinished chains before these are compared with one another; here none is dropped by them."""
    monkeypatch.setattr(Best, "covers", lambda _, values: np.zeros(len(values), dtype=bool))
    check_front(seed, repeats)


def check_front(seed, repeats):
    over, fragments = OVER[seed % len(OVER)], 3 + seed % 2
    space = random_space(seed, models=3 + seed % 2, stages=6 - seed % 3 - fragments // 4, density=0.2)
    prices = all_prices(space, list(all_routes(space, fragments, repeats)))
    for share in (1, 0.3, 0):
        budget = {name: float(np.quantile(prices[name], share)) for name in ("macs", "reads")}
        within = np.all([prices[name] <= limit for name, limit in budget.items()], axis=0)
        if not within.any():
            with pytest.raises(Infeasible):
                front(space, over, fragments=fragments, budget=budget, repeats=repeats)
            continue
        found = front(space, over, fragments=fragments, budget=budget, repeats=repeats)
        assert all(space.is_chain(chain.route, repeats) and len(chain.route.seams) < fragments for chain in found)
        values = [tuple(chain.amount(name) for name in over) for chain in found]
        assert values == sorted(front_values(np.stack([prices[name][within] for name in over], axis=1)))


def apart(mine, other):
    """How many fragments the longer of two chains has more than they share."""
    return max(len(mine), len(other)) - sum(fragment in other for fragment in mine)


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("seed", range(8))
def test_each_of_the_diverse_is_the_best_that_differs_from_those_before(seed, repeats):
    space = random_space(seed, density=0.2)
    routes = list(all_routes(space, 3, repeats))
    prices = all_prices(space, routes)
    limit, least = float(np.quantile(prices["macs"], 0.4)), 1 + seed % 3
    found = diverse(space, 4, least, fragments=3, budget={"macs": limit}, repeats=repeats)
    fragments = [space.fragments(route) for route in routes]
    chosen = [space.fragments(chain.route) for chain in found]
    for k, chain in enumerate([*found, None][:4]):
        losses = [
            loss
            for mine, loss, macs in zip(fragments, prices["loss"], prices["macs"], strict=True)
            if macs <= limit and all(apart(mine, other) >= least for other in chosen[:k])
        ]
        assert (chain is None) == (not losses)
        if chain:
            assert chain.loss == min(losses) and chain.cost["macs"] <= limit


def test_the_best_is_the_first_of_the_front_and_of_the_diverse():
    space = random_space(3)
    assert best(space).loss == front(space, ("loss", "macs"))[0].loss
    assert [best(space)] == diverse(space, 1, 2)


def test_the_same_space_gives_the_same_chains():
    once, again = (front(random_space(5), ("loss", "macs", "params"), fragments=4) for _ in range(2))
    assert once == again and len(once) > 3


def test_what_is_told_on_the_way_is_the_front_of_shorter_chains():
    space, told = random_space(5), {}
    front(space, ("loss", "macs"), fragments=4, tell=told.__setitem__)
    assert told == {most: front(space, ("loss", "macs"), fragments=most) for most in (1, 2, 3)}


def test_infeasible_tells_the_nearest():
    space = random_space(1)
    with pytest.raises(Infeasible, match="macs of 1, where") as error:
        best(space, budget={"macs": 1, "loss": 9})
    prices = all_prices(space, list(all_routes(space, 3, "none")))
    assert error.value.nearest == {name: prices[name].min() for name in ("macs", "loss")}


@pytest.mark.parametrize(
    "asked",
    [{"over": ("speed",)}, {"over": ()}, {"over": ("loss", "loss")}, {"fragments": 0}, {"budget": {"mac": 1}},
     {"repeats": "once"}],
)  # fmt: skip
def test_bad_questions_are_refused(asked):
    with pytest.raises(InputError):
        front(random_space(0), **{"over": ("loss",), **asked})
