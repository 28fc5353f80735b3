"""The spans of a network to leave out, chosen exactly: Pareto labels over its cuts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple


class Span(NamedTuple):
    """The layers between two cuts, by the indices of the cuts. saved: what leaving them out saves, of each metric that
    is limited. loss: what it is taken to lose; losses of several spans add up."""

    first: int
    last: int
    saved: tuple[float, ...]
    loss: float


class _Label(NamedTuple):
    """Some spans that were left out: their loss and what is still to be saved of each metric."""

    loss: float
    missing: tuple[float, ...]
    spans: tuple[Span, ...]


def least_loss(spans: Iterable[Span], needed: Sequence[float]) -> Iterator[tuple[Span, ...]]:
    """Sets of spans that save at least what is needed, the least loss first, none of them worse than another in its
    loss and everything that it saves.

    Between two spans of a set at least one layer is kept. A label that loses no less than another and has no less left
    to save can never do better, so it is dropped: what remains is exact (label-correcting shortest paths with
    dominance, Martins 1984).
    """
    by_first: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        by_first[span.first].append(span)
    firsts = sorted(by_first)
    ending: dict[int, list[_Label]] = defaultdict(list)  # labels whose last span ends at a cut
    behind = [_Label(0.0, tuple(max(0.0, amount) for amount in needed), ())]  # those that ended before
    waiting = sorted({span.last for several in by_first.values() for span in several})
    done: list[_Label] = []
    for first in firsts:
        while waiting and waiting[0] < first:
            behind = _undominated(behind + ending.pop(waiting.pop(0), []))
        for span in by_first[first]:
            for label in behind:
                missing = tuple(max(0.0, m - s) for m, s in zip(label.missing, span.saved, strict=True))
                made = _Label(label.loss + span.loss, missing, (*label.spans, span))
                (ending[span.last] if any(missing) else done).append(made)
        for last in {span.last for span in by_first[first]}:
            ending[last] = _undominated(ending[last])
    yield from (
        label.spans for label in sorted(done, key=lambda one: (one.loss, [(s.first, s.last) for s in one.spans]))
    )


def _undominated(labels: Sequence[_Label]) -> list[_Label]:
    kept: list[_Label] = []
    for label in sorted(labels, key=lambda one: (one.loss, one.missing)):
        if not any(all(a <= b for a, b in zip(other.missing, label.missing, strict=True)) for other in kept):
            kept.append(label)
    return kept
