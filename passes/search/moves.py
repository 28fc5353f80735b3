"""Steps through a space of chains: what is next to one, and what chance makes of one or two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from .chain_space import ChainSpace
from .space import Route


def sample(space: ChainSpace, count: int, generator: np.random.Generator) -> list[Route]:
    """Different chains, each as likely as any other; all of them, in another order, where there are fewer."""
    numbers = generator.choice(len(space), size=min(count, len(space)), replace=False)
    return [space.route(int(number)) for number in numbers]


def neighbours(space: ChainSpace, route: Route) -> list[Route]:
    """Chains that differ in one seam by one step: another adapter, the next cut before or after at which the model is
    left, or the next entered. Of a model alone, the other models."""
    if not route.seams:
        return [Route(model) for model in range(len(space.pool.plan.models)) if model != route.model]
    found: dict[Route, None] = {}
    for place, row in enumerate(route.seams):
        for rows, ends in _changes(space, row):
            near = rows if ends is None else _nearest(rows, ends, row)
            found |= dict.fromkeys(_with(space, route, place, near))
    return list(found)


def mutated(space: ChainSpace, route: Route, generator: np.random.Generator) -> Route:
    """Another chain that differs in one seam: in its adapter, in the cut that it leaves or in the one that it enters,
    however far. Of a model alone, or one time in ten, any chain."""
    ways: list[list[Route]] = []
    if route.seams and generator.random() >= 0.1:
        place = int(generator.integers(len(route.seams)))
        ways = [list(_with(space, route, place, rows)) for rows, _ in _changes(space, route.seams[place])]
        ways = [way for way in ways if way]
    if not ways:
        return next((one for one in sample(space, 2, generator) if one != route), route)
    way = ways[int(generator.integers(len(ways)))]
    return way[int(generator.integers(len(way)))]


def crossed(space: ChainSpace, a: Route, b: Route, generator: np.random.Generator) -> Route | None:
    """A chain that begins as one does, up to a cut at which that leaves a model, and goes on as the other does, from a
    cut at which that enters one; None where no adapter makes such a chain. Another than the two, where there is."""
    pool, found = space.pool, dict[Route, None]()
    for i, first in enumerate(a.seams):
        for j, second in enumerate(b.seams):
            rows = np.flatnonzero((pool.source == pool.source[first]) & (pool.target == pool.target[second]))
            made = (Route(a.model, (*a.seams[:i], row, *b.seams[j + 1 :])) for row in rows.tolist())
            found |= dict.fromkeys(one for one in made if one in space)
    new = [one for one in found if one not in (a, b)] or list(found)
    return new[int(generator.integers(len(new)))] if new else None


def _changes(space: ChainSpace, row: int) -> Iterator[tuple[np.ndarray, np.ndarray | None]]:
    """The other seams that share all but one with this one: all but the adapter, all but the cut that is left, all but
    the one that is entered. With each, the points in which they differ; None for adapters, which have no order."""
    pool, model = space.pool, space.space.model
    same = [pool.source == pool.source[row], pool.target == pool.target[row], pool.adapter == pool.adapter[row]]
    within = model[pool.source] == model[pool.source[row]]
    other = np.arange(len(pool)) != row
    yield np.flatnonzero(same[0] & same[1] & other), None
    yield np.flatnonzero(within & same[1] & same[2] & other), pool.source
    yield np.flatnonzero(same[0] & same[2] & other), pool.target


def _nearest(rows: np.ndarray, ends: np.ndarray, row: int) -> np.ndarray:
    """Of seams, those at the next point before and after that of a seam."""
    away = ends[rows] - ends[row]
    sides = (rows[away < 0], rows[away > 0])
    return np.array([side[np.argmin(np.abs(ends[side] - ends[row]))] for side in sides if len(side)], dtype=np.int64)


def _with(space: ChainSpace, route: Route, place: int, rows: Iterable[int]) -> Iterator[Route]:
    """The chain with another seam in a place, where that is a chain of the space."""
    for row in rows:
        seams = (*route.seams[:place], int(row), *route.seams[place + 1 :])
        model = int(space.space.model[space.pool.source[seams[0]]])
        made = Route(model, seams)
        if made in space:
            yield made
