"""One factor on all logits of a healed hybrid, so that it is as sure of its classes as what it follows.

Least squares on few images draws weights toward what errs least, and the mean of many guesses errs less than any: a
healed network is less sure than its parent, right or wrong. The factor s is the one of the least divergence on
held-out images,

    min over s > 0 of  mean KL(p* || softmax(s z))

with z the hybrid's logits and p* the probabilities that its classifier follows. It is convex in s. The classifier's
weights and bias are multiplied by s, so that no class changes its place.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..data.healing import Calibrated
from ..numerics.scale import best_scale, divergence
from .operators import Matrix
from .probe import Probe
from .values import Values


def calibrate(
    hybrid: Values, probe: Probe, operator: Matrix, models: Sequence[int],
    toll: Callable[[Sequence[Tensor]], float] | None,
) -> Calibrated:  # fmt: skip
    """Multiplies the classifier by the best factor, in place, unless the divergence falls on held-out images by no more
    than `toll` asks for its tensors.

    operator: the classifier, the last of the hybrid's nodes. models: those whose mean it follows, by their index.
    """
    said = torch.cat([hybrid(chunk, [operator.node])[0] for chunk in probe.held_out]).double()
    wanted = torch.cat([probe.logits(chunk, models) for chunk in probe.held_out]).double().log_softmax(-1)
    scale = best_scale(said, wanted)
    before, after = (divergence(factor * said, wanted) for factor in (1.0, scale))
    changed = [operator.weight, *([operator.bias] if operator.bias is not None else [])]
    if not after < before - (toll(changed) if toll else 0.0):
        return Calibrated(1.0, before, before)
    for tensor in changed:
        tensor.mul_(scale)
    return Calibrated(scale, before, after)
