"""How members of an ensemble vote."""

from __future__ import annotations

import math

from torch import Tensor, nn


class Joint(nn.Module):
    """From the scores of each member, [images, members, classes], the logarithms of the mean of their probabilities."""

    def forward(self, scores: Tensor) -> Tensor:
        return scores.log_softmax(dim=2).logsumexp(dim=1) - math.log(scores.shape[1])
