"""Chains as vectors in the unit cube, for optimisers that know nothing else.

The first number chooses the model that the image enters. Then three for each seam: the cut at which the model is left
(the last choice is its output: no seam), the cut that is entered, the adapter. Each divides [0, 1] evenly among what is
possible after those before it, in the order of the networks, so every vector is a chain, and chains that leave or enter
at neighbouring cuts are near each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..data.errors import InputError
from .chain_space import ChainSpace
from .space import Route


def dimensions(space: ChainSpace) -> int:
    """How many numbers a vector has."""
    return 1 + 3 * (space.most - 1)


def encoded(space: ChainSpace, route: Route) -> np.ndarray:
    """The middle of the vectors that `decoded` makes this chain of: float64 [dimensions]."""
    found = np.full(dimensions(space), 0.5)
    found[0] = _middle(np.arange(len(space.pool.plan.models)), route.model)
    taken: list[int] = []
    for k in range(space.most - 1):
        genes, rows = found[1 + 3 * k : 4 + 3 * k], _next(space, route.model, taken)
        if not len(rows):
            break
        leaving = [*np.unique(space.pool.source[rows]).tolist(), -1]
        if k == len(route.seams):
            genes[0] = _middle(leaving, -1)
            break
        row = route.seams[k]
        genes[0] = _middle(leaving, int(space.pool.source[row]))
        rows = rows[space.pool.source[rows] == space.pool.source[row]]
        genes[1] = _middle(np.unique(space.pool.target[rows]), int(space.pool.target[row]))
        rows = rows[space.pool.target[rows] == space.pool.target[row]]
        genes[2] = _middle(np.sort(space.pool.adapter[rows]), int(space.pool.adapter[row]))
        taken.append(row)
    return found


def decoded(space: ChainSpace, vector: Sequence[float] | np.ndarray) -> Route:
    """The chain of a vector, float64 [dimensions]; numbers outside [0, 1] count as its ends.

    Raises:
        InputError: another number of dimensions, or numbers that are not finite.
    """
    vector = np.asarray(vector, dtype=np.float64)
    if vector.shape != (dimensions(space),) or not np.isfinite(vector).all():
        raise InputError(
            f"a vector of this space has {dimensions(space)} finite numbers, and not the shape {vector.shape} or NaN",
            "`encode` of any chain gives one.",
        )
    model = int(_chosen(range(len(space.pool.plan.models)), vector[0]))
    taken: list[int] = []
    for k in range(space.most - 1):
        genes, rows = vector[1 + 3 * k : 4 + 3 * k], _next(space, model, taken)
        if not len(rows):
            break
        source = _chosen([*np.unique(space.pool.source[rows]).tolist(), -1], genes[0])
        if source < 0:
            break
        rows = rows[space.pool.source[rows] == source]
        rows = rows[space.pool.target[rows] == _chosen(np.unique(space.pool.target[rows]), genes[1])]
        taken.append(int(_chosen(rows[np.argsort(space.pool.adapter[rows])], genes[2])))
    return Route(model, tuple(taken))


def _next(space: ChainSpace, model: int, taken: Sequence[int]) -> np.ndarray:
    """The seams that a chain can take after those that it has taken."""
    return space.after(taken[0]) if taken else space.beginning(model)


def _middle(choices: Sequence[int] | np.ndarray, chosen: int) -> float:
    return (list(choices).index(chosen) + 0.5) / len(choices)


def _chosen(choices: Sequence[int] | np.ndarray | range, gene: float) -> int:
    return int(choices[min(int(max(gene, 0.0) * len(choices)), len(choices) - 1)])
