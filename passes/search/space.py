"""All chains of fragments of a pool of models, as a graph of points and seams. Numbers only: it knows no network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np

from ..data.errors import InputError, unknown

#: Whether a model may come again in a chain: never; only further on than where it was left, so that no layer runs
#: twice; or anywhere.
Repeats = Literal["none", "forward", "loops"]

#: Above it, float64 does not hold every whole number, and sums of whole costs would no longer be exact.
_EXACT = 2**53


class Route(NamedTuple):
    """A chain: the model that the image enters, and the seams taken, in order. No seams: the model as it is."""

    model: int
    seams: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Space:
    """All chains of fragments of a pool. Points are the places where models can be cut, those of a model in order: the
    first is its input, the last its output. A chain enters a model at its input, follows it to a point, takes a seam to
    a point of another model (or of the same), and so on, and ends at the output of the model that it is in. No fragment
    is empty. Costs and losses of fragments and seams add up.

    model: [points], integers: the model of each point, 0 first, never falling.
    work: [points, metrics]: the cost of all of that model before the point, in the metric's unit.
    source, target: [seams]: the point where a seam leaves a model, and the point that it enters.
    seam_cost: [seams, metrics]: the cost of the seam's adapter.
    loss: [seams], at least 0: what the seam loses; the loss of a chain is their sum.
    inner_loss: [seams], at least 0: what the seam loses where another comes behind it, which may repair some of that;
        the same by default.
    metrics: the names of the columns of costs.
    names: [points], for messages; may be left empty.
    own_loss: [points]: the loss of all of the model before the point: what a model loses against the best one, shared
        out over its layers. None by default.

    Costs are kept as float64. Whole numbers are exact as long as those of all models and seams stay below 2**53.

    Raises:
        InputError: shapes that do not fit, points that do not exist, or numbers that are not finite.
    """

    model: np.ndarray
    work: np.ndarray
    source: np.ndarray
    target: np.ndarray
    seam_cost: np.ndarray
    loss: np.ndarray
    metrics: tuple[str, ...]
    names: tuple[str, ...] = ()
    own_loss: np.ndarray | None = None
    inner_loss: np.ndarray | None = None

    def __post_init__(self) -> None:
        for name in ("model", "source", "target"):
            _set(self, name, _whole(getattr(self, name), name))
        for name in ("work", "seam_cost", "loss"):
            _set(self, name, _finite(getattr(self, name), name))
        if self.own_loss is not None:
            _set(self, "own_loss", _finite(self.own_loss, "own_loss"))
        if self.inner_loss is not None:
            _set(self, "inner_loss", _finite(self.inner_loss, "inner_loss"))
        _set(self, "metrics", tuple(self.metrics))
        _set(self, "names", tuple(self.names))
        self._check()

    def _check(self) -> None:
        points, seams, metrics = len(self.model), len(self.source), len(self.metrics)
        shapes = {
            "model": (points,), "work": (points, metrics), "source": (seams,), "target": (seams,),
            "seam_cost": (seams, metrics), "loss": (seams,), "inner": (seams,), "lost": (points,),
        }  # fmt: skip
        for name, shape in shapes.items():
            if getattr(self, name).shape != shape:
                raise InputError(f"'{name}' of a space has the shape {getattr(self, name).shape}, not {shape}")
        if len(self.names) not in (0, points):
            raise InputError(f"{len(self.names)} names for {points} points of a space")
        if not points or self.model[0] != 0 or not np.isin(np.diff(self.model), (0, 1)).all():
            raise InputError("the points of a space do not stand model after model, from 0 on")
        if (self.last == self.first).any():
            raise InputError(
                f"model {int(np.argmax(self.last == self.first))} of a space has one point, not two or more"
            )
        for name in ("source", "target"):
            if not np.isin(getattr(self, name), np.arange(points)).all():
                raise InputError(f"'{name}' of a space names points that do not exist")
        below = (self.loss < 0) | (self.inner < 0)
        if below.any():
            raise InputError(f"seam {int(np.argmax(below))} of a space has a loss below 0")

    @cached_property
    def first(self) -> np.ndarray:
        """[models]: the point that is each model's input."""
        return np.flatnonzero(np.diff(self.model, prepend=-1))

    @cached_property
    def last(self) -> np.ndarray:
        """[models]: the point that is each model's output."""
        return np.flatnonzero(np.diff(self.model, append=self.model[-1] + 1))

    @cached_property
    def lost(self) -> np.ndarray:
        """[points]: `own_loss`, zeros by default."""
        return np.zeros(len(self.model)) if self.own_loss is None else self.own_loss

    @cached_property
    def inner(self) -> np.ndarray:
        """[seams]: `inner_loss`, `loss` by default."""
        return self.loss if self.inner_loss is None else self.inner_loss

    def fragments(self, route: Route) -> tuple[tuple[int, int], ...]:
        """The fragments of a chain, each as the point that it is entered at and the point that it is left at."""
        enters = [int(self.first[route.model]), *(int(self.target[seam]) for seam in route.seams)]
        leaves = [int(self.source[seam]) for seam in route.seams]
        return tuple(zip(enters, [*leaves, int(self.last[self.model[enters[-1]]])], strict=True))

    def models(self, route: Route) -> tuple[int, ...]:
        """The model of each fragment of a chain."""
        return tuple(int(self.model[enter]) for enter, _ in self.fragments(route))

    def price(self, route: Route) -> tuple[np.ndarray, float]:
        """The cost of a chain, float64 [metrics], and its loss."""
        enters, leaves = (np.array(points) for points in zip(*self.fragments(route), strict=True))
        seams = list(route.seams)
        cost = (self.work[leaves] - self.work[enters]).sum(axis=0) + self.seam_cost[seams].sum(axis=0)
        own = (self.lost[leaves] - self.lost[enters]).sum()
        return cost, float(own + self.inner[seams[:-1]].sum() + self.loss[seams[-1:]].sum())

    def is_chain(self, route: Route, repeats: Repeats = "loops") -> bool:
        """Whether every fragment lies in one model, holds something, and no model comes again against `repeats`."""
        left: dict[int, int] = {}
        for enter, leave in self.fragments(route):
            model = int(self.model[enter])
            if self.model[leave] != model or leave <= enter:
                return False
            if model in left and (repeats == "none" or (repeats == "forward" and enter < left[model])):
                return False
            left[model] = max(leave, left.get(model, leave))
        return True

    def column(self, metric: str) -> int:
        """The column of a metric.

        Raises:
            InputError: the space has no such metric.
        """
        if metric not in self.metrics:
            raise unknown(metric, "metric of this space", self.metrics)
        return self.metrics.index(metric)

    def tell(self, route: Route) -> str:
        """A chain in words: its fragments, with an arrow for each seam."""
        return " → ".join(f"{self._name(enter)}..{self._name(leave)}" for enter, leave in self.fragments(route))

    def _name(self, point: int) -> str:
        return self.names[point] if self.names else str(point)


def _set(space: Space, name: str, value: object) -> None:
    object.__setattr__(space, name, value)


def _whole(array: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(array)
    if array.size and not np.issubdtype(array.dtype, np.integer):
        raise InputError(f"'{name}' of a space are indices, not {array.dtype}")
    return array.astype(np.int64)


def _finite(array: np.ndarray, name: str) -> np.ndarray:
    array = np.asarray(array)
    values = array.astype(np.float64)
    if not np.isfinite(values).all():
        raise InputError(f"'{name}' of a space holds numbers that are not finite")
    if np.issubdtype(array.dtype, np.integer) and np.abs(values).max(initial=0) >= _EXACT:
        raise InputError(f"'{name}' of a space holds whole numbers of 2**53 and more, which float64 does not hold")
    return values
