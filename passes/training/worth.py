"""What a network is worth on images that it does not learn from, by which the best state of a training is kept.

What learns from a teacher at a temperature is judged at that temperature too, by the very loss that it is trained by.
At a temperature of one the divergence rises as a network becomes surer of itself, long before it becomes worse: that
would throw good trainings away.
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


@dataclass(frozen=True)
class Worth:
    """On held-out images. by: `LABELS` or `TEACHERS`. right: the share of the images with the class that the labels, or
    the teachers, say. nats: mean cross-entropy with the labels, or Kullback-Leibler divergence from the teachers at
    the temperature of the training, times its square (the loss that is learned by: `distillation.loss`).
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


def tally(scores: Tensor, labels: Tensor | None, taught: Tensor | None, temperature: float = 1.0) -> Tensor:
    """Of some images: how many are right, their nats summed, how many they are. float64 [3], which add up.

    scores: [n, classes]. taught: the teachers' probabilities [n, classes], at the temperature; without, the labels [n]
    are what counts.
    Scores that are infinite or undefined are wrong, and make the nats infinite.
    """
    scores = scores.double()
    sound = scores.isfinite().all(1)
    if taught is None:
        assert labels is not None
        right, nats = scores.argmax(1) == labels, F.cross_entropy(scores, labels, reduction="sum")
    else:
        right = scores.argmax(1) == taught.argmax(1)
        told = (scores / temperature).log_softmax(1)
        nats = F.kl_div(told, taught.double(), reduction="sum") * temperature**2
    found = [int((right & sound).sum()), float(nats) if sound.all() else math.inf, len(scores)]
    return torch.tensor(found, dtype=torch.float64)


def worth(by: str, tallies: Iterable[Tensor]) -> Worth:
    """Of all images together, from their tallies."""
    right, nats, images = torch.stack(list(tallies)).sum(0).tolist()
    return Worth(by, right / images, nats / images)
