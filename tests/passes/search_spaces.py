"""Small random spaces, and all their chains one by one: what searches are compared with."""

from collections.abc import Iterator

import numpy as np

from stitchc.passes.search.space import Route, Space

METRICS = ("macs", "params", "reads")


def random_space(seed: int, models: int = 4, stages: int = 4, density: float = 0.3) -> Space:
    """Models of the same stages, none of which can be left out cheaply: the best chain would take each stage from the
    model that is best there, and come back to models that it has used. In every third space some layers have costs
    below 0, so that it pays to run layers twice. Costs are whole numbers and losses eighths, so that sums are exact and
    many are equal. In most, a seam loses something else where another follows."""
    rng = np.random.default_rng(seed)
    points = models * (stages + 1)
    model, stage = np.repeat(np.arange(models), stages + 1), np.tile(np.arange(stages + 1), models)
    work = rng.integers(0 if seed % 3 else -9, 9, (models, stages + 1, 3)).cumsum(axis=1).reshape(-1, 3)
    own_loss = (rng.integers(0, 9, (models, stages + 1)) / 8).cumsum(axis=1).ravel()
    jumps = rng.random((points, points)) < 0.1
    forward = stage[:, None] + jumps >= stage[None]
    source, target = np.nonzero(forward & (rng.random((points, points)) < density))
    loss, cost = rng.integers(0, 4, len(source)) / 8, rng.integers(0, 2, (len(source), 3))
    inner = None if seed % 5 == 2 else rng.integers(0, 4, len(source)) / 8
    own_loss = own_loss if seed % 4 else None
    return Space(model, work, source, target, cost, loss, METRICS, own_loss=own_loss, inner_loss=inner)


def all_routes(space: Space, fragments: int, repeats: str) -> Iterator[Route]:
    """Every chain of at most so many fragments, by trying every seam."""
    over = list(zip(space.source.tolist(), space.target.tolist(), strict=True))
    model = space.model.tolist()
    ends = set(space.last.tolist())

    def onward(start: int, seams: tuple[int, ...], enter: int, left: dict[int, int]) -> Iterator[Route]:
        if enter not in ends:
            yield Route(start, seams)
        if len(seams) + 1 == fragments:
            return
        for seam, (leave, target) in enumerate(over):
            if model[leave] != model[enter] or leave <= enter:
                continue
            now = left | {model[enter]: leave}
            again = target < now.get(model[target], 0) if repeats == "forward" else model[target] in now
            if repeats == "loops" or not again:
                yield from onward(start, (*seams, seam), target, now)

    for start, enter in enumerate(space.first.tolist()):
        yield from onward(start, (), enter, {})


def all_prices(space: Space, routes: list[Route]) -> dict[str, np.ndarray]:
    """Of each chain the loss and the costs."""
    rows = np.array([[loss, *cost] for cost, loss in map(space.price, routes)])
    return dict(zip(("loss", *space.metrics), rows.T, strict=True))


def front_values(values: np.ndarray) -> set[tuple[float, ...]]:
    """The vectors that no other is at least as good as, by comparing all with all."""
    distinct = np.unique(values, axis=0)
    better = (distinct[:, None] <= distinct[None]).all(axis=2)
    np.fill_diagonal(better, False)
    return {tuple(row) for row in distinct[~better.any(axis=0)].tolist()}
