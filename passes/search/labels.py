"""Exact search by labels: all chains, a fragment longer in each round, without those that cannot be of any use.

A label is an unfinished chain that has just entered a model. It keeps what it has cost as if it had come through that
model from the start, so that labels which entered one model at different points can be compared wherever they leave it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, pairwise

import numpy as np

from .incumbents import Best
from .problem import Problem
from .space import Route
from .states import States, undominated
from .unfinished import Labels, Leaving


def best_routes(problem: Problem, tell: Callable[[int, list[Route]], None] | None = None) -> list[Route]:
    """All chains that no other is at least as good as, one for each combination of amounts.

    tell: called with each number of fragments and the best chains of at most so many, before longer ones are tried.
    """
    best = Best(len(problem.over))
    rounds = [_whole_models(problem, best)]
    for fragments in range(1, problem.fragments):
        if tell:
            tell(fragments, _routes(problem, rounds, best))
        leaving = _leave(problem, rounds[-1], best, fragments)
        _finish(problem, leaving, best, fragments)
        if fragments + 1 < problem.fragments:
            rounds.append(_go_on(problem, leaving, best, fragments))
    return _routes(problem, rounds, best)


def _routes(problem: Problem, rounds: list[Labels], best: Best) -> list[Route]:
    return [_route(problem, rounds, *way) for way in best.ways.tolist()]


def _route(problem: Problem, rounds: list[Labels], fragments: int, label: int, seam: int) -> Route:
    seams = [seam]
    for labels in reversed(rounds[:fragments]):
        seams.append(int(labels.seam[label]))
        point, label = int(labels.point[label]), int(labels.parent[label])
    return Route(int(problem.space.model[point]), tuple(seam for seam in reversed(seams) if seam >= 0))


def _whole_models(problem: Problem, best: Best) -> Labels:
    """The labels that have entered a model at its input. The models as they are become the first best chains."""
    first, none = problem.space.first, np.full(len(problem.space.first), -1)
    nothing = np.empty((len(first), 0), dtype=np.int64)
    labels = Labels(-problem.along[first], first, none, none, States(nothing, nothing))
    values = problem.along[problem.ends[first]] - problem.along[first]
    values[:, len(problem.amounts) :] += problem.shared(first, problem.ends[first])
    _offer(problem, best, values, 1, np.arange(len(first)), none)
    best.settle()
    return labels


def _offer(
    problem: Problem, best: Best, values: np.ndarray, before: int, labels: np.ndarray, seams: np.ndarray
) -> None:
    """Offers whole chains by the fragments before their last seam, the labels there and the seams; -1 is no seam."""
    limits = problem.limits.copy()
    limits[len(problem.amounts) :] = problem.shared_at_most(before + int((seams >= 0).any()))
    good = np.flatnonzero((values <= limits).all(axis=1))
    good = good[~best.covers(values[good])]
    best.offer(values[good], before, labels[good], seams[good])


def _leave(problem: Problem, labels: Labels, best: Best, fragments: int) -> Leaving:
    """The labels that may be needed at each point where they can leave, and then take a seam at least."""
    points = len(problem.space.model)
    after = problem.after[problem.fragments - fragments]
    start = np.searchsorted(labels.point, np.arange(points + 1))
    found = [np.empty(0, dtype=np.int64)] * points
    for first, last in zip(problem.space.first, problem.space.last, strict=True):
        for point, here in _within(problem, labels, start, first, last, fragments):
            bounds = labels.values[here] + problem.along[point] + after[point]
            useful = (bounds <= problem.limits).all(axis=1)
            useful[useful] = ~best.covers(bounds[useful])
            found[point] = here[useful]
    label, left = np.concatenate(found), np.repeat(np.arange(points), [len(rows) for rows in found])
    values = labels.values[label] + problem.along[left]
    values[:, len(problem.amounts) :] += problem.shared(labels.point[label], left)
    states = problem.left(labels.states.take(label), left)
    return Leaving(values, label, np.searchsorted(left, np.arange(points + 1)), states)


def _within(
    problem: Problem, labels: Labels, start: np.ndarray, first: int, last: int, fragments: int
) -> Iterator[tuple[int, np.ndarray]]:
    """The labels at each point behind the first of a model: of all that entered before it, those that may be needed.

    One that is about to share a fragment with a chain that was chosen before gets worse where that fragment ends; until
    then none is dropped for its sake.
    """
    ends: dict[int, int] = {}
    for enter, left in chain.from_iterable(problem.apart):
        ends[enter] = max(left, ends.get(enter, left))
    here, waiting = np.empty(0, dtype=np.int64), []
    for point in range(first + 1, last + 1):
        came = np.arange(start[point - 1], start[point])
        if ends.get(point - 1, 0) >= point:
            waiting.append((ends[point - 1], came))
        else:
            here = np.concatenate([here, came])
        here = np.concatenate([here, *(rows for end, rows in waiting if end < point)])
        waiting = [(end, rows) for end, rows in waiting if end >= point]
        here = here[_needed(problem, labels.values[here], labels.states.take(here), problem.fragments - fragments)]
        yield point, np.concatenate([here, *(rows for _, rows in waiting)])


def _needed(problem: Problem, values: np.ndarray, states: States, ahead: int) -> np.ndarray:
    return undominated(values, states, len(problem.space.first), ahead)


def _finish(problem: Problem, leaving: Leaving, best: Best, fragments: int) -> None:
    """Offers all chains of one fragment more that are whole."""
    source, target = problem.space.source, problem.space.target
    seams = problem.seams
    amounts = problem.last[seams] + problem.along[problem.ends[target[seams]]] - problem.along[target[seams]]
    amounts[:, len(problem.amounts) :] += problem.shared(target[seams], problem.ends[target[seams]])
    least = leaving.least()[source[seams]]
    rows = np.flatnonzero(_promising(problem, best, least + amounts))
    rows = rows[np.argsort(source[seams[rows]], kind="stable")]
    if fragments > 1:
        rows = rows[_last_seams(problem, amounts[rows], seams[rows])]
    for chains, used in leaving.pairs(source[seams[rows]]):
        used = rows[used]
        values = leaving.values[chains] + amounts[used]
        good = np.flatnonzero(_promising(problem, best, values))
        chains, used, values = chains[good], used[good], values[good]
        allowed, _ = problem.entered(leaving.states.take(chains), target[seams[used]])
        _offer(problem, best, values[allowed], fragments, leaving.label[chains[allowed]], seams[used[allowed]])
    best.settle()


def _last_seams(problem: Problem, amounts: np.ndarray, seams: np.ndarray) -> np.ndarray:
    """Of seams in the order of their sources, those that may be needed as the last one of a chain."""
    bounds = np.flatnonzero(np.diff(problem.space.source[seams], prepend=-1, append=-1))
    states, ahead = problem.asks(problem.space.target[seams]), problem.fragments - 2
    kept = [np.empty(0, dtype=np.int64)]
    for start, stop in pairwise(bounds.tolist()):
        rows = np.arange(start, stop)
        kept.append(rows[np.sort(_needed(problem, amounts[rows], states.take(rows), ahead))])
    return np.concatenate(kept)


def _go_on(problem: Problem, leaving: Leaving, best: Best, fragments: int) -> Labels:
    """The labels of one fragment more that may be needed."""
    source, target = problem.space.source, problem.space.target
    rest = problem.rest(problem.fragments - fragments - 1)
    seams = problem.seams[np.argsort(target[problem.seams], kind="stable")]
    amounts = problem.across[seams] - problem.along[target[seams]]
    bounds = amounts + problem.along[target[seams]] + rest[target[seams]]
    useful = _promising(problem, best, leaving.least()[source[seams]] + bounds)
    seams, amounts, bounds = seams[useful], amounts[useful], bounds[useful]
    groups = np.flatnonzero(np.diff(target[seams], prepend=-1, append=-1))
    found = [
        _at_point(problem, leaving, best, seams[a:b], amounts[a:b], bounds[a:b], fragments)
        for a, b in pairwise(groups.tolist())
    ]
    return _joined(problem, found, leaving.states.models.shape[1])


def _at_point(
    problem: Problem, leaving: Leaving, best: Best, seams: np.ndarray, amounts: np.ndarray, bounds: np.ndarray,
    fragments: int,
) -> Labels:  # fmt: skip
    """The labels that enter one point, over seams to it."""
    parts = []
    for chains, used in leaving.pairs(problem.space.source[seams]):
        good = np.flatnonzero(_promising(problem, best, leaving.values[chains] + bounds[used]))
        parts.append((chains[good], used[good]))
    chains, used = (np.concatenate(column) for column in zip(*parts, strict=True))
    target = problem.space.target[seams[used]]
    allowed, states = problem.entered(leaving.states.take(chains), target)
    values = leaving.values[chains] + amounts[used]
    rows = np.flatnonzero(allowed)
    rows = rows[_needed(problem, values[rows], states.take(rows), problem.fragments - fragments - 1)]
    return Labels(values[rows], target[rows], seams[used[rows]], leaving.label[chains[rows]], states.take(rows))


def _joined(problem: Problem, found: list[Labels], used: int) -> Labels:
    nothing = np.empty(0, dtype=np.int64)
    none = Labels(
        np.empty((0, problem.along.shape[1])),
        nothing,
        nothing,
        nothing,
        States(*np.empty((2, 0, used), dtype=np.int64)),
    )
    values, point, seam, parent, states = zip(none, *found, strict=True)
    models, levels = zip(*states, strict=True)
    return Labels(
        np.concatenate(values),
        np.concatenate(point),
        np.concatenate(seam),
        np.concatenate(parent),
        States(np.concatenate(models), np.concatenate(levels)),
    )


def _promising(problem: Problem, best: Best, values: np.ndarray) -> np.ndarray:
    """Whether chains of at least these amounts may meet the limits and be better than those found."""
    return (values <= problem.limits).all(axis=1) & ~best.covers(values)
