"""Small random spaces, and all their chains one by one: what searches are compared with."""

from collections.abc import Iterator

import numpy as np

from stitchc.passes.search.space import Route, Space


def random_space(seed: int, models: int = 4, cuts: int = 3, metrics: int = 2) -> Space:
    """A space with seams between any points, of one model too. Costs are whole numbers and losses eighths, so that sums
    are exact and many are equal."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, cuts + 3, models)
    model = np.repeat(np.arange(models), sizes)
    work = np.concatenate([np.cumsum(rng.integers(0, 9, (size, metrics)), axis=0) for size in sizes])
    source, target = np.nonzero(rng.random((len(model), len(model))) < rng.choice([0.1, 0.3]))
    loss = rng.integers(0, 9, len(source)) / 8
    own_loss = np.concatenate([np.cumsum(rng.integers(0, 3, size)) / 8 for size in sizes])
    cost = rng.integers(0, 4, (len(source), metrics))
    names = ("macs", "params", "reads")[:metrics]
    return Space(model, work, source, target, cost, loss, names, own_loss=own_loss if seed % 2 else None)


def all_routes(space: Space, fragments: int, repeats: str) -> Iterator[Route]:
    """Every chain of at most so many fragments."""
    begun = [Route(model) for model in range(len(space.first))]
    for _ in range(fragments):
        yield from (route for route in begun if space.is_chain(route, repeats))
        begun = [
            Route(route.model, (*route.seams, seam))
            for route in begun
            for seam in range(len(space.source))
            if space.model[space.source[seam]] == space.models(route)[-1]
            and _goes_on(space, route, int(space.source[seam]))
        ]


def _goes_on(space: Space, route: Route, leave: int) -> bool:
    return leave > space.fragments(route)[-1][0]


def front_values(values: np.ndarray) -> set[tuple[float, ...]]:
    """The vectors that no other is at least as good as, by comparing all with all."""
    distinct = np.unique(values, axis=0)
    better = (distinct[:, None] <= distinct[None]).all(axis=2)
    np.fill_diagonal(better, False)
    return {tuple(row) for row in distinct[~better.any(axis=0)].tolist()}
