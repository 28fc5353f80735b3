"""Scores of a stitched network, image by image, from its outputs and those of its parents (and labels).

    cascade     sum_c q(c) p(c): the probability that a class drawn from the hybrid's probabilities p equals one
                drawn from the reference q. It is smooth, unlike agreement, and
                bounded, unlike KL.
    agreement   whether both have the same class first.
    kl          -KL(q || p), in nats.
    accuracy    whether the label comes first.

The reference is the mean of the parents' probabilities where they share their classes, else those of the back's parent,
whose classes the hybrid has; for `cascade` the label, where it is known, has the same weight as the parents together.

Whatever is scored, the logits are first multiplied by the one factor that brings their probabilities nearest to the
reference. Networks that are as often right are not as sure: least squares makes one less sure, a smaller image one way
or the other, and a probability would count that.

Another package adds a rule by an entry point of the group `stitchc.ranks` that names a function of this kind: from
logits [images, classes] at that factor and a `Reference` to a figure for each image, float [images], of which a larger
one is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..data import plugins
from ..data.pass_options import RANKS
from ..numerics.scale import best_scale

Score = Callable[[Tensor, "Reference"], Tensor]

#: Two networks of as many classes mean the same ones if they predict the same class for at least this share of images.
SHARED_CLASSES = 0.4
#: Labels are of the networks' classes if one of them predicts at least this share of them.
KNOWN_LABELS = 0.25


@dataclass(frozen=True)
class Reference:
    """What the outputs of hybrids are compared with. log_probabilities: float32 [images, classes]. labels: int64
    [images] or None."""

    log_probabilities: Tensor
    labels: Tensor | None

    def __getitem__(self, images: slice) -> Reference:
        labels = None if self.labels is None else self.labels[images]
        return Reference(self.log_probabilities[images], labels)


def reference(back: Tensor, others: Sequence[Tensor], labels: Tensor | None) -> Reference:
    """From the logits [images, classes] of the parent whose classes the hybrid has, those of the other parents, and the
    images' labels."""
    parents = [one.log_softmax(dim=1) for one in (back, *(other for other in others if same_classes(back, other)))]
    if labels is not None and not 0 <= int(labels.min()) <= int(labels.max()) < back.shape[1]:
        labels = None
    if labels is not None and not any(_share(p.argmax(dim=1) == labels) >= KNOWN_LABELS for p in parents):
        labels = None
    return Reference(torch.stack(parents).exp().mean(dim=0).log(), labels)


def same_classes(one: Tensor, other: Tensor) -> bool:
    """Whether two networks, by their logits for the same images, mean the same classes by their outputs."""
    return one.shape == other.shape and _share(one.argmax(dim=1) == other.argmax(dim=1)) >= SHARED_CLASSES


def _share(mask: Tensor) -> float:
    return mask.double().mean().item()


def expected_agreement(logits: Tensor, against: Reference) -> Tensor:
    """The score `cascade`, in [0, 1]: float [images]."""
    probabilities = logits.softmax(dim=1)
    with_parents = (probabilities * against.log_probabilities.exp()).sum(dim=1)
    if against.labels is None:
        return with_parents
    return (with_parents + probabilities.gather(1, against.labels[:, None]).squeeze(1)) / 2


def agreement(logits: Tensor, against: Reference) -> Tensor:
    """The score `agreement`, 0 or 1: float [images]."""
    return (logits.argmax(dim=1) == against.log_probabilities.argmax(dim=1)).float()


def closeness(logits: Tensor, against: Reference) -> Tensor:
    """The score `kl`, at most 0, in nats: float [images]."""
    q = against.log_probabilities
    return -(q.exp() * (q - logits.log_softmax(dim=1))).sum(dim=1)


def accuracy(logits: Tensor, against: Reference) -> Tensor:
    """The score `accuracy`, 0 or 1: float [images]."""
    assert against.labels is not None
    return (logits.argmax(dim=1) == against.labels).float()


#: By the name of the rule.
SCORES: dict[str, Score] = {
    "cascade": expected_agreement,
    "agreement": agreement,
    "kl": closeness,
    "accuracy": accuracy,
}


def score_of(rule: str) -> Score:
    """The function of a rule, from logits and a reference to a score for each image: of the logits at their best
    factor, which is found on these images.

    Raises:
        InputError: the rule is another package's, and cannot be loaded.
    """
    return at_best_factor(SCORES[rule] if rule in SCORES else plugins.load(RANKS, rule))


def at_best_factor(score: Score) -> Score:
    """A score of logits as one of logits at the factor that brings their probabilities nearest to the reference."""

    def scored(logits: Tensor, against: Reference) -> Tensor:
        finite = logits.isfinite().all(dim=1)
        factor = best_scale(logits[finite].double(), against.log_probabilities[finite].double())
        return score(factor * logits, against)

    return scored
