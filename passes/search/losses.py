"""What seams lose that were not probed, predicted from those that were.

The loss of a seam from model a to model b is counted so that losses add up along a chain: with S the score of the best
model alone, q its distance to that of another, and d(a, b) by how much less than S the two stitched at the seam score,
the seam loses d(a, b) - q(a)/2 - q(b)/2. A chain of several seams loses what its last seam does, `INNER` of what each
other does, since the adapters behind it are fitted on what comes out of it and repair the rest; and half of q of the
models in which it begins and ends: for a pair that is d(a, b) again, for a model alone q. (S cancels: a seam loses what
the pair scores less than the mean of its two models, and gains where it scores more.) What a seam does to the outputs
is taken not to depend on which the other seams are, which is not so, and how far it is from it is measured (see
`lazy`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data import metrics
from ..data.plan import Plan
from .pool import Pool

# The prediction is a ridge regression on the traits of a seam, and what it leaves over is taken from the probed seams
# that are like it: a Gaussian process (Rasmussen and Williams 2006, eq. 2.25) with these numbers.
_RIDGE = 1e-2  # relative to the variance of a trait
_LENGTH = 1.0  # of the kernel, in standard deviations of all traits together
_OTHER_PAIR = 0.5  # of the kernel, where the seams join other models
_NOISE = 0.1  # variance of a probed loss, relative to that of the process
#: Parts of the probed seams, each predicted from the rest, to say how good predictions are.
_FOLDS = 5
#: Fewer probed seams than that tell nothing.
_LEAST = 8
# Seams that are predicted at once.
_ROWS = 1 << 14


@dataclass(frozen=True)
class Trust:
    """How well something predicts what was then measured: over so many cases, the rank correlation (Spearman's) and the
    mean absolute error, in units of the score. None where there are too few."""

    cases: int
    rank_correlation: float | None = None
    error: float | None = None

    @classmethod
    def of(cls, predicted: np.ndarray, measured: np.ndarray) -> Trust:
        """predicted, measured: float64 [cases]."""
        if len(predicted) < _LEAST:
            return cls(len(predicted))
        error = float(np.abs(predicted - measured).mean())
        if np.ptp(predicted) == 0 or np.ptp(measured) == 0:  # correlation with what is always the same is undefined
            return cls(len(predicted), None, error)
        from scipy.stats import spearmanr

        return cls(len(predicted), float(spearmanr(predicted, measured).statistic), error)


class Predictor:
    """Losses of all seams of a pool. similarity: float64 [points, points], of the values at any two cuts."""

    def __init__(self, pool: Pool, similarity: np.ndarray):
        models = np.array([model for model, _ in pool.points])
        self.similarity = np.nan_to_num(similarity[pool.source, pool.target])
        leaves, enters = depth(pool.plan)[pool.source], depth(pool.plan)[pool.target]
        self.apart = np.abs(leaves - enters)
        alike = self.similarity
        kinds = [pool.adapter == kind for kind in range(1, len(pool.adapters))]
        same = models[pool.source] == models[pool.target]
        self._traits = np.stack(
            [alike, alike**2, alike * enters, leaves, enters, leaves - enters, self.apart, leaves**2, enters**2,
             leaves * enters, same, *kinds], axis=1,
        ).astype(np.float64)  # fmt: skip
        self._enters = enters
        self._pair = models[pool.source] * len(pool.plan.models) + models[pool.target]

    def predict(self, loss: np.ndarray, r2: np.ndarray) -> np.ndarray:
        """Losses of all seams: those in `loss`, float64 [seams], and where that is NaN as predicted from the others;
        with r2 where it is known. None is predicted to be below all that was seen."""
        probed = np.flatnonzero(~np.isnan(loss))
        found = np.where(np.isnan(loss), self._prior(), loss)
        for rows, known in ((np.flatnonzero(np.isnan(loss) & np.isnan(r2)), np.full_like(r2, np.nan)),
                            (np.flatnonzero(np.isnan(loss) & ~np.isnan(r2)), r2)):  # fmt: skip
            if len(probed) >= _LEAST and len(rows):
                found[rows] = self._predicted(probed, rows, loss, known)
        return found

    def trust(self, loss: np.ndarray, r2: np.ndarray) -> Trust:
        """How well probed seams are predicted from the others, in five parts in turn."""
        probed = np.flatnonzero(~np.isnan(loss))
        if len(probed) < _FOLDS * _LEAST:
            return Trust(len(probed))
        found = np.zeros(len(probed))
        for part in range(_FOLDS):
            out = np.arange(len(probed)) % _FOLDS == part
            found[out] = self._predicted(probed[~out], probed[out], loss, r2)
        return Trust.of(found, loss[probed])

    def _prior(self) -> np.ndarray:
        """Where next to nothing was probed: what a seam loses whose values are unlike, or not as deep."""
        return (1 - self.similarity).clip(0, 1) + self.apart

    def _predicted(self, probed: np.ndarray, rows: np.ndarray, loss: np.ndarray, r2: np.ndarray) -> np.ndarray:
        both = np.concatenate([probed, rows])
        traits = self._traits[both]
        if not np.isnan(r2[both]).any():
            share = r2[both].clip(-0.5, 1)
            traits = np.column_stack([traits, share, share**2, share * self._enters[both]])
        spread = traits.std(axis=0)
        traits = (traits - traits.mean(axis=0))[:, spread > 0] / spread[spread > 0]
        known, asked = traits[: len(probed)], traits[len(probed) :]
        y = loss[probed]
        centred = known - known.mean(axis=0)
        moments = centred.T @ centred + _RIDGE * len(probed) * np.eye(known.shape[1])
        slope = np.linalg.solve(moments, centred.T @ (y - y.mean()))
        base = y.mean() - known.mean(axis=0) @ slope
        among = self._kernel(known, known, self._pair[probed], self._pair[probed]) + _NOISE * np.eye(len(probed))
        weights = np.linalg.solve(among, y - base - known @ slope)
        found = np.empty(len(rows))
        for part in np.array_split(np.arange(len(rows)), -(-len(rows) // _ROWS)):
            across = self._kernel(asked[part], known, self._pair[rows[part]], self._pair[probed])
            found[part] = base + asked[part] @ slope + across @ weights
        return found.clip(min(0.0, y.min()))

    def _kernel(self, a: np.ndarray, b: np.ndarray, of_a: np.ndarray, of_b: np.ndarray) -> np.ndarray:
        squares = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * a @ b.T
        near = np.exp(-squares.clip(0) / (2 * _LENGTH**2 * max(a.shape[1], 1)))
        return near * np.where(of_a[:, None] == of_b, 1.0, _OTHER_PAIR)


def depth(plan: Plan) -> np.ndarray:
    """How deep in its model each point lies: the share of the multiply-adds before it, float64 [points]."""
    from .pool import work

    column = [metric.name for metric in metrics.sums()].index("macs")
    done = work(plan)[:, column]
    whole = np.concatenate(
        [np.full(len(cuts) + 2, max(price["macs"], 1)) for cuts, price in zip(plan.cuts, plan.prices, strict=True)]
    )
    return done / whole


def similarities(plan: Plan) -> np.ndarray:
    """Similarity of the values at any two points: float64 [points, points]; NaN at the ends of models, and where it is
    undefined. The plan needs representations."""
    from ..numerics import similarity as measures

    first = plan.representations[0]
    metric, sizes = measures.get(first.metric), list(first.sizes)
    at = np.concatenate(
        [np.arange(len(cuts)) + 1 + sum(len(c) + 2 for c in plan.cuts[:m]) for m, cuts in enumerate(plan.cuts)]
    )
    rows = [
        np.concatenate([measures.similarity(a.vectors, b.vectors, metric, sizes) for b in plan.representations], axis=1)
        for a in plan.representations
    ]
    points = sum(len(cuts) + 2 for cuts in plan.cuts)
    found = np.full((points, points), np.nan)
    found[np.ix_(at, at)] = np.concatenate(rows, axis=0)
    return found
