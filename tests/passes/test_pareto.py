"""The front holds what nothing beats, and its knee lies farthest from the line between its ends."""

import numpy as np
import pytest

from stitchc.passes.data.candidates import Candidates
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.pareto import knee, pareto_front


def table(macs, similarity, feasible=None):
    n = len(macs)
    index, macs = np.zeros(n, np.int32), np.array(macs, dtype=np.int64)
    return Candidates(
        ("linear",), index, index, index, index, index, {"params": macs, "macs": macs},
        np.array(similarity, dtype=float), np.ones(n, bool) if feasible is None else np.array(feasible), index[:0],
    )  # fmt: skip


def beats(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def test_the_front_is_what_nothing_beats():
    rng = np.random.default_rng(0)
    macs, likeness = rng.integers(0, 40, 300), np.round(rng.random(300), 2)
    found = pareto_front(table(macs, likeness), ("macs", "similarity"))
    points = [(m, -s) for m, s in zip(macs.tolist(), likeness.tolist(), strict=True)]
    by_definition = {p for p in points if not any(beats(q, p) for q in points)}
    assert [points[i] for i in found] == sorted(by_definition)
    assert all(found[i] == points.index(points[row]) for i, row in enumerate(found))


def test_what_is_not_feasible_or_not_known_is_not_weighed():
    made = table([1, 2, 3], [0.1, 0.9, np.nan], [False, True, True])
    assert pareto_front(made, ("macs", "similarity")).tolist() == [1]
    assert pareto_front(made, ("macs", "similarity"), rows=np.arange(3)).tolist() == [0, 1]
    assert len(pareto_front(made, ("latency", "similarity"))) == 0


def test_two_costs_are_weighed_as_costs():
    made = table([1, 2, 3], [0, 0, 0])
    assert pareto_front(made, ("macs", "params")).tolist() == [0]


def test_the_knee_is_where_more_stops_paying():
    made = table([0, 10, 20, 100], [0.0, 0.8, 0.85, 1.0])
    front = pareto_front(made, ("macs", "similarity"))
    assert front.tolist() == [0, 1, 2, 3] and knee(made, ("macs", "similarity"), front) == 1
    assert knee(made, ("macs", "similarity"), front[:1]) == 0
    assert knee(made, ("macs", "similarity"), front[[0, 3]]) == 0


def test_words_that_are_no_metrics_are_refused():
    made = table([1], [1])
    with pytest.raises(InputError, match="no metric") as caught:
        pareto_front(made, ("mac", "similarity"))
    assert "macs" in caught.value.hint
    with pytest.raises(InputError, match="two metrics"):
        pareto_front(made, ("macs", "macs"))
    with pytest.raises(InputError, match="no knee"):
        knee(made, ("macs", "similarity"), np.array([], dtype=int))
