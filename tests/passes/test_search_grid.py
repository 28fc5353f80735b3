"""The front of a grid is that of all its choices."""

from itertools import product

import numpy as np
import pytest
from search_spaces import front_values

from stitchc.passes.data.errors import InputError
from stitchc.passes.search.grid import grid_front


@pytest.mark.parametrize("entries", (1, 2, 3))
@pytest.mark.parametrize("seed", range(8))
def test_front_is_that_of_all_choices(seed, entries):
    rng = np.random.default_rng(seed)
    layers = [rng.integers(0, 20, (rng.integers(1, 6), entries)) for _ in range(5)]
    found = grid_front(layers)
    sums = np.array([sum(choice) for choice in product(*layers)])
    assert [tuple(row) for row in found.amounts.tolist()] == sorted(front_values(sums))
    chosen = np.array([[layers[k][variant] for k, variant in enumerate(row)] for row in found.variants])
    assert (chosen.sum(axis=1) == found.amounts).all()


@pytest.mark.parametrize(
    "layers", ([], [np.ones((0, 2))], [np.ones((1, 2)), np.ones((1, 3))], [np.array([[np.nan, 1]])])
)
def test_what_is_no_grid_is_refused(layers):
    with pytest.raises(InputError):
        grid_front(layers)
