"""Distillation: the parents' answers, learned beside the labels (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.errors import InputError
from ..data.model import InputSpec, Model
from ..data.scores import scores
from ..numerics.converted import Converted


class Teachers:
    """The mean probabilities of one parent or more, for images that were made for another input.

    An image reaches each as it was augmented, brought from the hybrid's normalisation, channels and size to the
    parent's own.

    Raises:
        InputError: a parent takes other numbers of channels than one and three.
    """

    def __init__(self, models: Sequence[Model], spec: InputSpec, temperature: float, device: torch.device):
        self.temperature = temperature
        self.networks: list[tuple[nn.Module, Converted]] = []
        for model in models:
            shown = Converted(spec, model.input).to(device)
            self.networks.append((model.network.requires_grad_(False).to(device), shown))

    @torch.no_grad()
    def __call__(self, images: Tensor, temperature: float | None = None) -> Tensor:
        """Probabilities [n, classes], at this temperature or that of the training, of images as the hybrid is fed
        them."""
        temperature = temperature or self.temperature
        told = [scores(network, shown(images), "a teacher") for network, shown in self.networks]
        return torch.stack([(s / temperature).softmax(1) for s in told]).mean(0)


def loss(
    scores: Tensor, labels: Tensor, taught: Tensor | None, *, smoothing: float, weight: float, temperature: float
) -> Tensor:
    """Cross-entropy with the labels, and with the teachers' probabilities at the temperature, times its square so that
    the gradients of both have one scale. Labels of -1 are none."""
    hard = F.cross_entropy(scores, labels, label_smoothing=smoothing) if weight < 1 or taught is None else None
    if taught is None:
        assert hard is not None
        return hard
    if taught.shape != scores.shape:
        raise InputError(
            f"the teachers tell {taught.shape[1]} classes apart, and the hybrid {scores.shape[1]}",
            "Distil from a parent that was trained for the same classes.",
        )
    soft = F.kl_div((scores / temperature).log_softmax(1), taught, reduction="batchmean") * temperature**2
    return soft if hard is None else (1 - weight) * hard + weight * soft
