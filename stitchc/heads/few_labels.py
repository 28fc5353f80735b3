"""Heads for classes that a network never saw, made of its scores for a few labelled images.

With x the scores of a network for an image, f(i) those for labelled image i of n:

    nearest  the K most similar f(i), by cosine, vote for their classes, each with the weight exp(cosine / 0.07)
             (Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination", section 3.4)
    linear   ridge regression from f(i) to the classes; penalty and scale are those by which the images, each left out
             in turn, are the most likely, which has a closed form (Hastie et al. 2009, section 7.10)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: By how much the cosine of a neighbour falls where its vote counts e times less.
_TEMPERATURE = 0.07
# Penalties, relative to the mean square of the centred scores, and scales of the outputs that are tried.
_RIDGES = tuple(10.0**k for k in range(-4, 3))
_SCALES = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@dataclass(frozen=True)
class Learned:
    """A network with a head, and the share of the labelled images that it is right for, each left out in turn."""

    network: nn.Module
    right: float


class Nearest(nn.Module):
    """The scores of new classes: logarithms of the shares of the votes of the nearest labelled images. One vote more is
    shared by all classes alike, so that no class has the probability zero.

    features: float32 [images, scores] of the network; labels: int64 [images] below `classes`.
    """

    features: Tensor
    members: Tensor

    def __init__(self, network: nn.Module, features: Tensor, labels: Tensor, classes: int, neighbours: int):
        super().__init__()
        self.network = network
        self.neighbours = neighbours
        self.register_buffer("features", F.normalize(features, dim=1))
        self.register_buffer("members", F.one_hot(labels, classes).float())

    def forward(self, x: Tensor) -> Tensor:
        return self.vote(F.linear(F.normalize(self.network(x), dim=1), self.features))

    def vote(self, cosine: Tensor) -> Tensor:
        """Scores [n, classes] from the similarity to each labelled image, [n, images]."""
        count, classes = self.neighbours, self.members.shape[1]
        least = cosine.topk(count, dim=1).values[:, -1:]
        weight = ((cosine - 1) / _TEMPERATURE).exp() * (cosine >= least)
        votes = torch.matmul(weight, self.members)
        share = votes / votes.sum(dim=1, keepdim=True)
        return ((share * count + 1 / classes) / (count + 1)).log()


class Linear(nn.Module):
    """The scores of new classes: a linear map of the network's own."""

    def __init__(self, network: nn.Module, weight: Tensor, bias: Tensor):
        super().__init__()
        self.network = network
        self.head = nn.Linear(weight.shape[1], weight.shape[0])
        self.head.weight.data, self.head.bias.data = weight.float(), bias.float()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.network(x))


def nearest(network: nn.Module, features: Tensor, labels: Tensor, classes: int, neighbours: int) -> Learned:
    """A network with a head of nearest neighbours. neighbours: fewer than there are images."""
    made = Nearest(network, features, labels, classes, neighbours)
    cosine = made.features @ made.features.T
    said = made.vote(cosine.fill_diagonal_(-2.0))
    return Learned(made, _right(said, labels))


def linear(network: nn.Module, features: Tensor, labels: Tensor, classes: int) -> Learned:
    """A network with a linear head."""
    x, wanted = features.double(), F.one_hot(labels, classes).double()
    centre, mean = x.mean(dim=0), wanted.mean(dim=0)
    products = (x - centre) @ (x - centre).T
    best: tuple[float, float, float, Tensor] | None = None
    for ridge in _RIDGES:
        penalty = ridge * float(products.diagonal().mean())
        solved = torch.linalg.inv(products + penalty * torch.eye(len(x), dtype=torch.float64))
        hat = products @ solved + 1 / len(x)
        own = (1 - hat.diagonal()).clamp_min(1e-9)[:, None]
        left_out = wanted - (wanted - mean - (hat - 1 / len(x)) @ (wanted - mean)) / own
        for scale in _SCALES:
            likely = -float(F.cross_entropy(left_out * scale, labels))
            if best is None or likely > best[0]:
                weights = (x - centre).T @ solved @ (wanted - mean) * scale
                best = likely, _right(left_out, labels), scale, weights
    assert best is not None
    _, right, scale, weights = best
    return Learned(Linear(network, weights.T, mean * scale - centre @ weights), right)


def _right(scores: Tensor, labels: Tensor) -> float:
    return float((scores.argmax(dim=1) == labels).double().mean())
