"""Scores of a stitched network, image by image, from its outputs and labels, or without labels those of a better one.

    cascade     with labels, the probability of the label; else sum_c q(c) p(c), the probability that a class drawn from
                the hybrid's probabilities p equals one drawn from the reference q. It is smooth, unlike agreement, and
                bounded, unlike KL.
    agreement   whether both have the same class first.
    kl          -KL(q || p), in nats.
    accuracy    whether the label comes first.

The reference is the largest of the models that mean the classes of the last one's, whose classes a network has; where
labels are known, another of them that has surely more of these right. By the mean of several, each would be credited
with its own mistakes, the smaller ones most. By the largest, what is made of it is credited with some of its mistakes:
so labels count alone where they are known.

Whatever is scored, the logits are first multiplied by the one factor that brings their probabilities nearest to those
of the reference, or to the labels where they are known. Networks that are as often right are not as sure: least squares
makes one less sure, a smaller image one way or the other, and a probability would count that.

Another package adds a rule by an entry point of the group `stitchc.ranks` that names a function of this kind: from
logits [images, classes] at that factor and a `Reference` to a figure for each image, float [images], of which a larger
one is better.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor
from torch.nn.functional import one_hot

from ..data import plugins
from ..data.model import first_of
from ..data.pass_options import RANKS
from ..data.plan import Plan
from ..numerics.scale import best_scale

Score = Callable[[Tensor, "Reference"], Tensor]

#: Two networks of as many classes mean the same ones if they predict the same class for at least this share of images.
SHARED_CLASSES = 0.4
#: Labels are of the networks' classes if one of them predicts at least this share of them.
KNOWN_LABELS = 0.25
#: How much labels count, beside the reference's probabilities, where a factor is looked for.
_OF_LABELS = 0.9


@dataclass(frozen=True)
class Reference:
    """What the outputs of hybrids are compared with. log_probabilities: float32 [images, classes]. labels: int64
    [images] or None."""

    log_probabilities: Tensor
    labels: Tensor | None

    @property
    def probabilities(self) -> Tensor:
        """What a network is brought nearest to by one factor: the model's; where labels are known these, with a little
        of the model's, since labels alone are met best by no end of sureness where all are right. By more of it, who
        errs on other images than that model would be made less sure for it. float32 [images, classes]."""
        of_model = self.log_probabilities.exp()
        if self.labels is None:
            return of_model
        return of_model.lerp(one_hot(self.labels, of_model.shape[1]).to(of_model), _OF_LABELS)

    def __getitem__(self, images: slice) -> Reference:
        labels = None if self.labels is None else self.labels[images]
        return Reference(self.log_probabilities[images], labels)


def held_against(plan: Plan, back: int, said: Callable[[int], Tensor], labels: Tensor | None) -> Reference:
    """What all networks are held against whose last fragment is of one of a plan's models, on some images.

    said: the logits of a model, by its index, for these images. labels: theirs, where there are some.
    """
    first = first_of(plan.models)
    by_size = sorted(set(first), key=lambda model: -plan.prices[model].get("macs", 0))
    return reference(said(first[back]), [said(model) for model in by_size], labels)


def reference(back: Tensor, models: Sequence[Tensor], labels: Tensor | None) -> Reference:
    """From logits [images, classes] of the model whose classes are meant and of all models, it included, the largest
    first; and the images' labels."""
    alike = [one for one in models if same_classes(back, one)]
    labels = known(labels, alike)
    best = alike[0]
    for other in alike[1:]:
        best = other if labels is not None and _surely_better(other, best, labels) else best
    return Reference(best.log_softmax(dim=1), labels)


def known(labels: Tensor | None, models: Sequence[Tensor]) -> Tensor | None:
    """The labels, if they are of the classes that models mean by their logits [images, classes]."""
    if labels is None or not 0 <= int(labels.min()) <= int(labels.max()) < models[0].shape[1]:
        return None
    return labels if any(_share(one.argmax(dim=1) == labels) >= KNOWN_LABELS for one in models) else None


def same_classes(one: Tensor, other: Tensor) -> bool:
    """Whether two networks, by their logits for the same images, mean the same classes by their outputs."""
    return one.shape == other.shape and _share(one.argmax(dim=1) == other.argmax(dim=1)) >= SHARED_CLASSES


def _surely_better(one: Tensor, other: Tensor, labels: Tensor) -> bool:
    """Whether one has more labels right than another, by over two standard errors of the difference."""
    gain = (one.argmax(dim=1) == labels).double() - (other.argmax(dim=1) == labels).double()
    return bool(gain.mean() > 2 * gain.std(correction=0) / len(gain) ** 0.5)


def _share(mask: Tensor) -> float:
    return mask.double().mean().item()


def expected_agreement(logits: Tensor, against: Reference) -> Tensor:
    """The score `cascade`, in [0, 1]: float [images]."""
    probabilities = logits.softmax(dim=1)
    if against.labels is not None:
        return probabilities.gather(1, against.labels[:, None]).squeeze(1)
    return (probabilities * against.log_probabilities.exp()).sum(dim=1)


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
    score = SCORES[rule] if rule in SCORES else plugins.load(RANKS, rule)

    def scored(logits: Tensor, against: Reference) -> Tensor:
        finite = logits.isfinite().all(dim=1)
        factor = best_scale(logits[finite].double(), against.probabilities[finite].double().log())
        return score(factor * logits, against)

    return scored
