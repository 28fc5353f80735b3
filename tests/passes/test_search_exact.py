"""Exact search finds what trying every chain finds."""

import numpy as np
import pytest
from search_spaces import all_routes, front_values, random_space

from stitchc.passes.data.errors import Infeasible
from stitchc.passes.search.exact import front

REPEATS = ("none", "forward", "loops")
OVER = (
    ("loss",),
    ("loss", "macs"),
    ("loss", "macs", "params"),
    ("macs", "params"),
    ("loss", "macs", "params", "reads"),
)


def amounts(space, route, names):
    cost, loss = space.price(route)
    return [loss if name == "loss" else cost[space.column(name)] for name in names]


@pytest.mark.parametrize("repeats", REPEATS)
@pytest.mark.parametrize("seed", range(50))
def test_front_is_that_of_all_chains(seed, repeats):
    over = OVER[seed % len(OVER)]
    space = random_space(seed, models=2 + seed % 4, metrics=3)
    fragments = 2 + seed % 3
    routes = list(all_routes(space, fragments, repeats))
    prices = np.array([amounts(space, route, ("loss", "macs", "params", "reads")) for route in routes])
    columns = [("loss", "macs", "params", "reads").index(name) for name in over]
    for share in (None, 0.02, 0.3):
        budget = (
            {}
            if share is None
            else {"macs": np.quantile(prices[:, 1], share), "params": np.quantile(prices[:, 2], 0.5)}
        )
        within = (prices[:, 1] <= budget.get("macs", np.inf)) & (prices[:, 2] <= budget.get("params", np.inf))
        if not within.any():
            with pytest.raises(Infeasible):
                front(space, over, fragments=fragments, budget=budget, repeats=repeats)
            continue
        found = front(space, over, fragments=fragments, budget=budget, repeats=repeats)
        assert all(space.is_chain(chain.route, repeats) and len(chain.route.seams) < fragments for chain in found)
        values = [tuple(chain.amount(name) for name in over) for chain in found]
        assert len(set(values)) == len(values)
        assert set(values) == front_values(prices[within][:, columns])
