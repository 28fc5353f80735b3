"""What a network is worth on images that it does not learn from, by which the best state of a training is kept.

A training on few images makes a network too sure of itself long before it makes it worse: its divergence from a teacher
then rises while it gives the teacher's class more often. So every divergence is taken at the network's best factor on
its logits, as all scores are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

#: What right is: the labels of the images, or what the teachers say of them.
LABELS, TEACHERS = "labels", "teachers"

#: Factors on the logits, of which the best counts: eighths of an octave from a quarter to four. Tallies at all of them
#: add up over batches and processes, which the best one alone would not.
FACTORS = tuple(2 ** (eighth / 8) for eighth in range(-16, 17))

#: The tally of no image.
NOTHING = torch.zeros(2 + len(FACTORS), dtype=torch.float64)


@dataclass(frozen=True)
class Worth:
    """On held-out images. by: `LABELS` or `TEACHERS`. right: the share of the images with the class that the labels, or
    the teachers, say. nats: mean cross-entropy with the labels, or Kullback-Leibler divergence from the teachers,
    either at the best factor on the logits.
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


def tally(scores: Tensor, labels: Tensor | None, taught: Tensor | None) -> Tensor:
    """Of some images: how many are right, how many they are, and their nats summed, at each of `FACTORS`. float64
    [2 + factors], which add up.

    scores: [n, classes]. taught: the teachers' probabilities [n, classes]; without, the labels [n] are what counts.
    Scores that are infinite or undefined are wrong, and make the nats infinite.
    """
    scores = scores.double()
    sound = scores.isfinite().all(1)
    if taught is None:
        assert labels is not None
        right, nats = scores.argmax(1) == labels, [_entropy(factor * scores, labels) for factor in FACTORS]
    else:
        taught = taught.double()
        right = scores.argmax(1) == taught.argmax(1)
        nats = [_divergence(factor * scores, taught) for factor in FACTORS]
    if not sound.all():
        nats = [math.inf] * len(FACTORS)
    return torch.tensor([int((right & sound).sum()), len(scores), *nats], dtype=torch.float64)


def worth(by: str, tallies: Iterable[Tensor]) -> Worth:
    """Of all images together, from their tallies."""
    right, images, *nats = torch.stack(list(tallies)).sum(0).tolist()
    return Worth(by, right / images, min(nats) / images)


def _entropy(scores: Tensor, labels: Tensor) -> float:
    return float(F.cross_entropy(scores, labels, reduction="sum"))


def _divergence(scores: Tensor, taught: Tensor) -> float:
    return float(F.kl_div(scores.log_softmax(1), taught, reduction="sum"))
