"""What could be had instead of a hybrid within the same budget, and which of all is best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from .hybrid import Hybrid
from .model import Model
from .values import Price

#: Of a parent that is itself within the budget; of one that is shown smaller images; of one without some of its layers;
#: of another network that somebody gave; of the hybrid before it was healed, where it is one model without some layers.
KINDS = ("parent", "smaller-input", "parts-left-out", "against", "unrepaired")


@dataclass(frozen=True)
class Rival:
    """A network that stands beside the hybrid.

    kind: of `KINDS`. model: whose weights it has, at the size of the images that it is shown. parent: the index of that
    model in the plan; None where the plan does not hold it (another size, another network). hybrid: the network as a
    chain with its price; the number of a model that the plan does not hold is that of one appended to it. None where it
    could not be made, for `reason`. within: whether it meets the budget; only those can be recommended.
    score: the mean of `scores`, float64 [images], as the pass `rank` scores candidates, None where its classes are
    not those of the parents. accuracy: the share of the images for evaluation that it names the class of.
    uncounted: the calls of operators without a formula, which the price leaves out.
    trained: whether it was trained as the hybrid was, on the same images.
    preview: whether it was repaired on few images only, after which it could not win.
    """

    kind: str
    model: Model
    parent: int | None = None
    hybrid: Hybrid | None = None
    within: bool = True
    score: float | None = None
    accuracy: float | None = None
    reason: str = ""
    trained: bool = False
    preview: bool = False
    uncounted: Mapping[str, int] = field(default_factory=dict)
    scores: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def price(self) -> Price:
        """What it takes; nothing is known of one that could not be made."""
        return (self.hybrid and self.hybrid.price) or Price()

    def scored(self, scores: np.ndarray | None) -> Rival:
        """The same with its score on each probe image, float64 [images], and their mean."""
        return replace(self, scores=scores, score=None if scores is None else float(scores.mean()))

    def left_out(self, reason: str) -> Rival:
        """The same without its network, as one that cannot be had, for this reason."""
        return replace(self, hybrid=None, within=False, score=None, scores=None, reason=reason)


@dataclass(frozen=True)
class Recommended:
    """Which of the hybrid and its rivals within the budget is best.

    rival: its index in the plan, None for the hybrid. by: "accuracy" or "score". images: how many that was measured on.
    score: the hybrid's own. over: what it is compared to: the hybrid, or where that is best the best of the rivals; as
    an index too, None for the hybrid, and None where there is no other. lead: by how much it is better than that, in
    the mean over the images. error: the standard error of the lead, from the differences on the same images.
    dominated: the rivals that are as good as the hybrid, or better, and take no more of anything that has a budget (of
    multiply-adds where nothing has), better in one of the two.
    """

    rival: int | None
    by: str
    images: int
    score: float | None = None
    over: int | None = None
    lead: float | None = None
    error: float | None = None
    dominated: tuple[int, ...] = ()


def recommend(
    price: Price, rivals: Sequence[Rival], values: Sequence[np.ndarray | None], budget: Mapping[str, float], by: str
) -> Recommended:
    """The best by the mean of `values`, of equals the cheaper, of those the hybrid.

    price: the hybrid's. values: float [images], larger being better: the hybrid's, then each rival's; None where it was
    not measured.
    """
    own = values[0]
    assert own is not None, "the hybrid was not measured"
    means = [None if found is None else float(found.mean()) for found in values]
    prices = [price, *(rival.price for rival in rivals)]
    running = [0, *(k for k, rival in enumerate(rivals, 1) if rival.within and means[k] is not None)]
    running.sort(key=lambda k: (-_known(means[k]), prices[k].ordering(), k))
    best = running[0]
    other = 0 if best else next(iter(running[1:]), None)
    lead = error = None
    if other is not None:
        difference = np.asarray(values[best], dtype=np.float64) - np.asarray(values[other], dtype=np.float64)
        lead = float(difference.mean())
        error = float(difference.std(ddof=1) / len(difference) ** 0.5) if len(difference) > 1 else None
    metrics = [metric for metric in budget if metric in price] or ["macs"]
    ruled = [k for k in running if k and _dominates(prices[k], _known(means[k]), price, _known(means[0]), metrics)]
    return Recommended(
        best - 1 if best else None, by, len(own), over=other - 1 if other else None, lead=lead, error=error,
        dominated=tuple(k - 1 for k in sorted(ruled)),
    )  # fmt: skip


def _known(value: float | None) -> float:
    assert value is not None
    return value


def _dominates(price: Price, mean: float, over: Price, other: float, metrics: Sequence[str]) -> bool:
    """Whether one is nowhere worse than the other and somewhere better."""
    pairs = [(price.get(metric, np.inf), over.get(metric, 0)) for metric in metrics]
    no_worse = mean >= other and all(mine <= its for mine, its in pairs)
    return no_worse and (mean > other or any(mine < its for mine, its in pairs))
