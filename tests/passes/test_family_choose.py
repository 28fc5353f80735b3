"""Which networks make a family."""

from itertools import combinations

import numpy as np
import pytest

from stitchc.passes.data.chain import Chain, Fragment
from stitchc.passes.data.hybrid import Hybrid
from stitchc.passes.data.values import Price
from stitchc.passes.family.candidates import Network, promising
from stitchc.passes.family.choose import Offer, choose, serving_of
from stitchc.passes.family.study import _told_apart


def offer(cost, score, given=False, **adds):
    return Offer({"macs": cost}, score, adds, given)


def worth(offers, members, budgets, price):
    served = [serving_of(offers, members, budget) for budget in budgets]
    held = {name: size for k in members for name, size in offers[k].adds.items()}
    return np.mean([0.0 if k is None else offers[k].score for k in served]) - price * sum(held.values())


def random_offers(seed):
    rng = np.random.default_rng(seed)
    adapters = rng.integers(5, 60, size=5)
    found = [offer(40, 0.7, given=True), offer(100, 0.9, given=True)]
    for _ in range(8):
        used = rng.choice(5, size=rng.integers(1, 3), replace=False)
        found.append(offer(rng.integers(20, 110), rng.random(), **{f"a{k}": int(adapters[k]) for k in used}))
    return found


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("price", [0.0, 1e-4, 2e-3])
@pytest.mark.parametrize("most", [None, 2])
def test_no_other_set_is_worth_more(seed, price, most):
    offers, budgets = random_offers(seed), [{"macs": limit} for limit in (25, 45, 60, 80, 105)]
    given, free = [0, 1], range(2, len(offers))
    best = max(
        worth(offers, [*given, *others], budgets, price)
        for count in range((most or len(free)) + 1)
        for others in combinations(free, count)
    )
    found = choose(offers, budgets, price, most)
    assert found.worth == pytest.approx(best, abs=1e-6)
    assert found.worth == pytest.approx(worth(offers, found.members, budgets, price))
    assert most is None or len(found.members) - 2 <= most


@pytest.mark.parametrize("seed", range(5))
def test_every_member_serves_a_budget_or_was_given(seed):
    offers, budgets = random_offers(seed), [{"macs": limit} for limit in (25, 45, 60, 80, 105)]
    found = choose(offers, budgets, 0.0)
    assert all(offers[k].given or k in found.serving for k in found.members)
    for k in found.members:  # so none is dominated by another that is as good
        others = [offers[j] for j in found.members if j != k]
        assert offers[k].given or not any(
            o.cost["macs"] <= offers[k].cost["macs"] and o.score > offers[k].score for o in others
        )


def test_members_share_what_the_file_holds_already():
    apart = [offer(50, 0.80, a=100), offer(80, 0.85, b=100)]
    shared = [offer(50, 0.79, c=100), offer(80, 0.84, c=100)]
    budgets = [{"macs": 60.0}, {"macs": 90.0}]
    assert choose([*apart, *shared], budgets, 0.0).members == (0, 1)
    assert choose([*apart, *shared], budgets, 1e-3).members == (2, 3)


@pytest.mark.parametrize("seed", range(6))
def test_members_add_no_more_than_there_is_room_for(seed):
    offers, budgets = random_offers(seed), [{"macs": limit} for limit in (25, 45, 60, 80, 105)]
    room = 60
    found = choose(offers, budgets, 0.0, room=room)
    assert sum({n: s for k in found.members for n, s in offers[k].adds.items()}.values()) <= room
    best = max(
        worth(offers, [0, 1, *others], budgets, 0.0)
        for count in range(len(offers) - 1)
        for others in combinations(range(2, len(offers)), count)
        if sum({n: s for k in others for n, s in offers[k].adds.items()}.values()) <= room
    )
    assert found.worth == pytest.approx(best, abs=1e-6)


def test_a_budget_that_no_stitch_serves_better_than_a_model_gets_the_model():
    offers = [offer(50, 0.9, given=True), offer(100, 0.95, given=True), offer(60, 0.89, a=10), offer(70, 0.92, b=10)]
    budgets = [{"macs": 65.0}, {"macs": 75.0}]
    assert choose(offers, budgets, 0.0).serving == (0, 3)
    assert choose(offers, budgets, 1.0).serving == (0, 0)  # where a byte must gain too much


def test_of_equals_the_one_that_adds_least_is_taken_though_bytes_cost_nothing():
    offers = [offer(10, 0.9, given=True), offer(5, 0.8, large=200_000), offer(5, 0.8, small=100)]
    assert choose(offers, [{"macs": 6}], 0.0).members == (0, 2)


def test_a_budget_below_all_is_served_by_none():
    assert choose([offer(50, 0.9, given=True)], [{"macs": 10.0}], 0.0).serving == (None,)


def test_every_limit_of_a_budget_holds():
    offers = [Offer({"macs": 5, "memory": 9}, 0.9, {}), Offer({"macs": 6, "memory": 2}, 0.5, {})]
    assert choose(offers, [{"macs": 7, "memory": 3}], 0.0).serving == (1,)


def test_fronts_are_peeled_until_there_are_enough():
    values = np.array([[1, 3], [2, 2], [3, 1], [2, 3], [3, 3]])
    assert set(promising(values, 3)) == {0, 1, 2}
    assert set(promising(values, 4)) == {0, 1, 2, 3}
    assert len(promising(values, 9)) == 5


def network(macs, scores, **adds):
    hybrid = Hybrid("hybrid", Chain((Fragment(0),)), Price(macs=macs))
    return Network(hybrid, hybrid.chain, np.array(scores), adds)


def test_networks_that_compute_the_same_are_one_which_adds_the_fewest_bytes():
    first, twin = network(5, [0.1, 0.9], large=9), network(5, [0.1001, 0.9], small=2)
    other, dearer = network(5, [0.1, 0.8], other=1), network(6, [0.1, 0.9], dearer=1)
    assert _told_apart([first, twin, other, dearer], "macs") == [twin, other, dearer]
