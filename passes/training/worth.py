"""What a network is worth on images that it does not learn from, by which the best state of a training is kept.

What learns from a teacher is judged by its divergence from it at the factor on the logits that makes it least: while a
network learns it becomes surer or less sure of itself, long before it becomes better or worse, and by the divergence as
it is, or at the temperature of the training, good trainings are thrown away for that.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

#: Factors on logits that are tried, evenly spaced by their logarithm; between them the least is interpolated.
_FACTORS = tuple(2 ** (step / 4) for step in range(-14, 15))
#: What right is: the labels of the images, or what the teachers say of them.
LABELS, TEACHERS = "labels", "teachers"


@dataclass(frozen=True)
class Worth:
    """On held-out images. by: `LABELS` or `TEACHERS`. right: the share of the images with the class that the labels, or
    the teachers, say. nats: mean cross-entropy with the labels, or Kullback-Leibler divergence from the teachers at
    the factor on the logits that makes it least.
    """

    by: str
    right: float
    nats: float

    def better(self, than: Worth) -> bool:
        """By labels the share of right ones decides, of equals the entropy; by teachers the divergence, which says more
        than the share where images are few."""
        if self.by == LABELS:
            return (self.right, -self.nats) > (than.right, -than.nats)
        return self.nats < than.nats


def nothing(by: str) -> Tensor:
    """The tally of no images."""
    return torch.zeros(2 + (len(_FACTORS) if by == TEACHERS else 1), dtype=torch.float64)


def tally(scores: Tensor, labels: Tensor | None, taught: Tensor | None) -> Tensor:
    """Of some images: how many are right, how many they are, and their nats summed, by teachers at each factor.
    float64 [3] by labels, or [2 + factors], which add up.

    scores: [n, classes]. taught: the teachers' probabilities [n, classes]; without, the labels [n] are what counts.
    Scores that are infinite or undefined are wrong, and make the nats infinite.
    """
    scores = scores.double()
    sound = scores.isfinite().all(1)
    if taught is None:
        assert labels is not None
        right, nats = scores.argmax(1) == labels, [F.cross_entropy(scores, labels, reduction="sum")]
    else:
        taught = taught.double()
        right = scores.argmax(1) == taught.argmax(1)
        known, along = torch.xlogy(taught, taught).sum(), (taught * scores).sum()
        nats = [known - factor * along + (factor * scores).logsumexp(1).sum() for factor in _FACTORS]
    found = [int((right & sound).sum()), len(scores), *(float(one) if sound.all() else math.inf for one in nats)]
    return torch.tensor(found, dtype=torch.float64)


def worth(by: str, tallies: Iterable[Tensor]) -> Worth:
    """Of all images together, from their tallies."""
    right, images, *nats = torch.stack(list(tallies)).sum(0).tolist()
    return Worth(by, right / images, _least(nats) / images)


def _least(values: Sequence[float]) -> float:
    """The least of evenly spaced values, or of the parabola through it and its neighbours."""
    at = min(range(len(values)), key=values.__getitem__)
    if not 0 < at < len(values) - 1:
        return values[at]
    before, least, after = values[at - 1 : at + 2]
    bend = before - 2 * least + after
    return max(0.0, least - (before - after) ** 2 / (8 * bend)) if 0 < bend < math.inf else least
