"""All chains of a pool with few fragments: numbered, named, priced many at once, walked through."""

import itertools

import numpy as np
import pytest
import torch
from nets import Small, Tokens, randomised
from small_nets import Shared

from stitchc.passes import Cost, Partition, Pipeline, Plan, Trace
from stitchc.passes.cost.chains import price_of
from stitchc.passes.data import metrics
from stitchc.passes.data.errors import CutError, InputError
from stitchc.passes.search import moves, vectors
from stitchc.passes.search.chain_space import ChainSpace
from stitchc.passes.search.pool import Pool
from stitchc.passes.search.space import Route
from stitchc.passes.stitch.stated import stated, words_of

IMAGES = torch.randn(8, 3, 8, 8, generator=torch.Generator().manual_seed(0))
COMPUTED = ("params", "macs", "flops", "size", "memory")


def analysed(*modules) -> Plan:
    return Pipeline([Trace(), Partition(), Cost(adapters=())])(Plan.of(*modules, images=IMAGES))


@pytest.fixture(scope="module")
def pool() -> Pool:
    """`fused` folds into weights; `Shared` has a tensor that layers on both sides of a cut need."""
    return Pool.of(analysed(randomised(Small(4)), Shared(), randomised(Tokens())), ("identity", "linear", "fused"))


@pytest.fixture(scope="module")
def small() -> Pool:
    return Pool.of(analysed(randomised(Small(2)), randomised(Small(3))), ("linear",))


@pytest.fixture(scope="module", params=["none", "forward"])
def space(request, pool) -> ChainSpace:
    return ChainSpace(pool, 3, request.param)


def some(space: ChainSpace, count: int = 200) -> list[Route]:
    return moves.sample(space, count, np.random.default_rng(0))


@pytest.mark.parametrize("repeats", ["none", "forward"])
@pytest.mark.parametrize("fragments", [2, 3])
def test_the_chains_are_all_that_there_are_each_once(small, fragments, repeats):
    space = ChainSpace(small, fragments, repeats)
    seams = range(len(small))
    model = space.space.model[small.source].tolist()
    by_hand = {Route(one) for one in range(2)} | {Route(model[row], (row,)) for row in seams}
    if fragments == 3:
        by_hand |= {Route(model[a], (a, b)) for a in seams for b in seams}
    by_hand = {route for route in by_hand if space.space.is_chain(route, repeats)}
    found = list(space)
    assert len(found) == len(set(found)) == len(space) and set(found) == by_hand
    assert [space.route(number) for number in range(len(space))] == found
    with pytest.raises(IndexError):
        space.route(len(space))


def test_a_name_is_what_a_chain_is_stated_by_and_read_back(space):
    routes = some(space)
    names = [space.name(route) for route in routes]
    assert space.routes(names) == routes and len(set(names)) == len(routes)
    for route, name in zip(routes[:40], names, strict=False):
        chain = space.pool.chain(route)
        assert name == words_of(space.pool.plan, chain) and stated(space.pool.plan, name)[0].chain == chain


def test_many_chains_cost_what_each_costs_alone(space):
    """To the unit, in every metric that is computed: across one fragment, two and three."""
    routes = [*map(Route, range(3)), *some(space, 150)]
    assert {len(route.seams) for route in routes} == {0, 1, 2}
    assert any("fused" in space.name(route) for route in routes)
    parsed = space.parsed([space.name(route) for route in routes])
    found = space.prices.amounts(parsed.fragments, parsed.seams, COMPUTED)
    for k, route in enumerate(routes):
        price = price_of(space.pool.plan, space.pool.chain(route))
        assert {name: found[name][k] for name in COMPUTED} == {name: price[name] for name in COMPUTED}, k
    assert all(found[name].dtype == np.int64 for name in COMPUTED)


def test_a_metric_of_another_package_is_priced_too(pool):
    metrics.register(metrics.Metric("half", "half", metrics.counted("H"), "1", "half", "half the MACs",
                                    of_call=lambda call: call.macs / 2))  # fmt: skip
    try:
        space = ChainSpace(Pool.of(analysed(randomised(Small(4)), randomised(Tokens())), ("linear",)))
        parsed = space.parsed([space.name(route) for route in some(space, 20)])
        found = space.prices.amounts(parsed.fragments, parsed.seams, ("half", "macs"))
        assert np.array_equal(found["half"] * 2, found["macs"]) and found["macs"].dtype == np.int64
    finally:
        metrics._ADDED.clear()


def test_no_names_are_no_chains(space):
    parsed = space.parsed([])
    assert len(parsed) == 0
    found = space.prices.amounts(parsed.fragments, parsed.seams, COMPUTED)
    assert all(len(column) == 0 for column in found.values())


def test_what_is_no_chain_of_the_space_is_refused(space):
    good = space.name(some(space, 1)[0])
    first, *rest = good.split(" / ")
    wrong = [
        "",
        "A",
        "linear",
        f"{good} / linear",
        " / ".join([*rest, first]),
        good.replace(":", "", 1),
        f"{first} / x / B:..",
    ]
    for name in wrong:
        with pytest.raises((InputError, CutError)):
            space.parsed([good, name])
    with pytest.raises(InputError, match="at most, not 4"):
        ChainSpace(space.pool, 4)
    with pytest.raises(InputError, match="'loops'"):
        ChainSpace(space.pool, 2, "loops")


def test_a_model_does_not_come_again_behind_where_it_was_left(pool):
    """Such a chain can be said, and joined, and is none of this space."""
    none, forward = (ChainSpace(pool, 3, rule) for rule in ("none", "forward"))
    for route in some(forward):
        models = forward.space.models(route)
        assert (route in none) == (len(set(models)) == len(models))
        if route not in none:
            with pytest.raises(InputError, match="no chain of this space"):
                none.parsed([forward.name(route)])


def test_a_sample_is_seeded_different_and_even(space):
    draw = lambda seed: moves.sample(space, 3000, np.random.default_rng(seed))  # noqa: E731
    assert draw(1) == draw(1) != draw(2) and len(set(draw(1))) == 3000
    pairs = sum(len(route.seams) == 1 for route in draw(1)) / 3000
    share = sum(len(route.seams) == 1 for route in space) / len(space)
    assert abs(pairs - share) < 4 * np.sqrt(share / 3000)
    tiny = ChainSpace(space.pool, 2, "none")
    assert set(moves.sample(tiny, len(tiny) + 5, np.random.default_rng(0))) == set(tiny)


def test_neighbours_are_one_step_away_and_know_each_other_by_adapter(space):
    for route in some(space, 60):
        for other in moves.neighbours(space, route):
            assert other in space and other != route
            if not route.seams:
                continue
            (place,) = [k for k, (a, b) in enumerate(zip(route.seams, other.seams, strict=True)) if a != b]
            a, b = (space.pool.seam(one.seams[place]) for one in (route, other))
            same = (a.leaves == b.leaves, a.adapter == b.adapter, a.enters == b.enters)
            assert sum(same) == 2
            assert same[0] or a.leaves.model == b.leaves.model  # a front stays in its model
            if not same[1]:
                assert route in moves.neighbours(space, other)


def test_mutation_and_crossover_stay_in_the_space(space):
    generator = np.random.default_rng(0)
    routes = some(space, 60)
    for a, b in itertools.pairwise(routes):
        assert (made := moves.mutated(space, a, generator)) in space and made != a
        child = moves.crossed(space, a, b, generator)
        if child is not None:
            assert child in space and child.model == a.model
            assert space.space.models(child)[-1] == space.space.models(b)[-1]
    assert moves.crossed(space, Route(0), routes[0], generator) is None


def test_every_vector_is_a_chain_and_every_chain_a_vector(space):
    for route in [*map(Route, range(3)), *some(space, 60)]:
        vector = vectors.encoded(space, route)
        assert vector.shape == (vectors.dimensions(space),) and ((vector >= 0) & (vector <= 1)).all()
        assert vectors.decoded(space, vector) == route
    generator = np.random.default_rng(0)
    drawn = [vectors.decoded(space, generator.random(vectors.dimensions(space))) for _ in range(200)]
    assert all(route in space for route in drawn) and len(set(drawn)) > 100
    ends = [np.zeros(vectors.dimensions(space)), np.ones(vectors.dimensions(space)), np.full(7, -3.0)]
    assert all(vectors.decoded(space, vector) in space for vector in ends)
    for wrong in (np.zeros(2), np.full(vectors.dimensions(space), np.nan)):
        with pytest.raises(InputError, match="finite numbers"):
            vectors.decoded(space, wrong)
