"""A classifier of other classes than its own: each new class stands for some of the old ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

Ranges = Sequence[tuple[int, int]]


class ClassMap(nn.Module):
    """The scores of new classes: log-sum-exp of those of the old classes that each stands for, so that the softmax over
    new classes is the old one, summed over each and divided by the share of all of them."""

    def __init__(self, network: nn.Module, groups: Mapping[str, Ranges]):
        super().__init__()
        self.network = network
        self.groups = tuple(tuple(ranges) for ranges in groups.values())

    def forward(self, x: Tensor) -> Tensor:
        scores = self.network(x)
        return torch.stack([_together(scores, ranges).logsumexp(dim=1) for ranges in self.groups], dim=1)


def _together(scores: Tensor, ranges: Ranges) -> Tensor:
    """The scores of the classes from the first to the last of each range."""
    return torch.cat([scores.narrow(1, first, last - first + 1) for first, last in ranges], dim=1)
