"""Distillation: the parents' answers, learned beside the labels (Hinton et al. 2015, arXiv 1503.02531)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..data.errors import InputError
from ..data.model import InputSpec, Model
from ..data.scores import scores


class Teachers:
    """The mean probabilities of one parent or more, for images that were made for another input.

    An image reaches each as it was augmented, brought from the hybrid's normalisation and size to the parent's own.
    """

    def __init__(self, models: Sequence[Model], spec: InputSpec, temperature: float, device: torch.device):
        self.spec, self.temperature = spec, temperature
        self.networks: list[tuple[nn.Module, InputSpec]] = []
        for model in models:
            self.networks.append((model.network.requires_grad_(False).to(device), model.input))

    @torch.no_grad()
    def __call__(self, images: Tensor, temperature: float | None = None) -> Tensor:
        """Probabilities [n, classes] of images as the hybrid is fed them; at another temperature where one is given."""
        heat = self.temperature if temperature is None else temperature
        told = [scores(network, converted(images, self.spec, spec), "a teacher") for network, spec in self.networks]
        return torch.stack([(s / heat).softmax(1) for s in told]).mean(0)


def converted(images: Tensor, given: InputSpec, wanted: InputSpec) -> Tensor:
    """Images normalised for one network as another wants them: its channels, size, mean and standard deviation."""
    if (given.size, given.mean, given.std) == (wanted.size, wanted.mean, wanted.std):
        return images
    mean, std = (torch.tensor(x, device=images.device).view(-1, 1, 1) for x in (given.mean, given.std))
    pixels = images * std + mean
    if given.size[0] != wanted.size[0]:
        if {given.size[0], wanted.size[0]} != {1, 3}:
            raise InputError(
                f"a teacher wants {wanted.size[0]} channels, and the hybrid {given.size[0]}", "Leave `distill` out."
            )
        grey = torch.tensor([0.299, 0.587, 0.114], device=images.device).view(-1, 1, 1)  # luminance, as PIL has it
        pixels = (pixels * grey).sum(1, keepdim=True) if wanted.size[0] == 1 else pixels.expand(-1, 3, -1, -1)
    if given.size[1:] != wanted.size[1:]:
        pixels = F.interpolate(pixels, size=wanted.size[1:], mode="bilinear", antialias=True)
    mean, std = (torch.tensor(x, device=images.device).view(-1, 1, 1) for x in (wanted.mean, wanted.std))
    return (pixels - mean) / std


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
