"""What is dropped is never missed."""

from itertools import combinations, product

import numpy as np
import pytest
from search_spaces import front_values

from stitchc.passes.search.dominance import Front, at_least_as_good, nondominated
from stitchc.passes.search.states import FREE, States, undominated

MODELS = 5


def vectors(seed: int, count: int, entries: int) -> np.ndarray:
    """Small whole numbers, many of them equal, or many vectors that none is better than."""
    rng = np.random.default_rng(seed)
    if seed % 2:
        return rng.integers(0, 8, (count, entries)).astype(float)
    points = rng.random((count, entries)) ** 2
    return np.round(1000 * points / points.sum(axis=1, keepdims=True) + rng.integers(0, 9, (count, 1)))


@pytest.mark.parametrize("entries", (1, 2, 3, 4))
@pytest.mark.parametrize(
    ("seed", "count"), [(0, 0), (1, 1), (2, 60), (3, 60), (4, 700), (5, 700), (6, 3000), (7, 3000)]
)
def test_nondominated_are_those_that_comparing_all_with_all_leaves(seed, count, entries):
    values = vectors(seed, count, entries) if count else np.empty((0, entries))
    rows = nondominated(values)
    assert len({*rows.tolist()}) == len(rows)
    assert {tuple(row) for row in values[rows].tolist()} == front_values(values) and len(rows) == len(
        front_values(values)
    )


@pytest.mark.parametrize("entries", (1, 2, 3, 4))
@pytest.mark.parametrize("count", (1, 40, 2000))
def test_a_front_covers_nothing_that_it_should_not(count, entries):
    members, others = vectors(count, count, entries), vectors(count + 1, 500, entries)
    truth = at_least_as_good(members, others).any(axis=0)
    covered = Front(members).covers(others)
    assert not (covered & ~truth).any()
    if entries < 3 or len(np.unique(members, axis=0)) <= 40:
        assert (covered == truth).all()
    assert covered.sum() >= 0.5 * truth.sum()


@pytest.mark.parametrize("ahead", (0, 1, 2, 3))
@pytest.mark.parametrize("used", (0, 1, 2))
@pytest.mark.parametrize("seed", range(6))
def test_whatever_a_dropped_chain_could_enter_a_kept_one_that_is_as_good_can_enter(seed, used, ahead):
    rng = np.random.default_rng(seed)
    values = vectors(seed, 300, 2)
    levels = rng.choice((FREE, 3, 5), (300, used)) if seed % 3 else np.full((300, used), 9)
    states = States(rng.integers(0, MODELS, (300, used)), levels)
    kept = undominated(values, states, MODELS, ahead)
    as_good = at_least_as_good(values[kept], values)
    level = states.dense(MODELS)
    for entered in (set_ for size in range(ahead + 1) for set_ in combinations(range(MODELS), size)):
        for at in product((0, 4, 8), repeat=len(entered)):
            can = (level[:, list(entered)] <= at).all(axis=1)
            assert (as_good & can[kept][:, None]).any(axis=0)[can].all()
    assert len(kept) < 300


def test_chains_in_the_way_of_one_another_are_kept():
    values = np.array([[1.0], [2], [3], [4], [5]])
    states = States(np.array([[0], [1], [2], [0], [3]]), np.full((5, 1), 9))
    assert [undominated(values, states, 4, ahead).tolist() for ahead in (0, 1, 2)] == [[0], [0, 1], [0, 1, 2]]
