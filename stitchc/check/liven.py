"""Random weights in which every operator matters, so that comparing outputs means something.

Fresh networks hide what they compute: layer scales of 1e-6, residual branches that end in a weight of zero, biases and
position tables of zero, BatchNorms that pass everything on. An operator behind one of these could be wrong or missing,
and no output would show it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

_FAINT = 0.05  # constants below this (layer scales) are raised to about 0.1; so is a weight this far below a common one


@torch.no_grad()
def liven(module: nn.Module, images: Tensor, generator: torch.Generator) -> None:
    """Makes every constant parameter random, raises faint ones, gives every BatchNorm the statistics of what reaches
    it. In place.

    images: [batch, c, h, w], what the statistics are taken on. The module is left in eval mode.
    """
    for parameter in module.parameters():
        if not parameter.is_floating_point() or not parameter.numel():
            continue
        if (parameter == parameter.flatten()[0]).all():
            parameter.copy_(_random_like(parameter, generator))
        elif (size := float(parameter.square().mean().sqrt())) < _FAINT * _common(parameter):  # heads of 0.001, tokens
            parameter.mul_(_common(parameter) / size)
    norms = [m for m in module.modules() if isinstance(m, _BatchNorm) and m.running_mean is not None]
    hooks = [norm.register_forward_pre_hook(_take_statistics) for norm in norms]
    try:
        if norms:
            module.eval()(images.clone())
    finally:
        for hook in hooks:
            hook.remove()


def _random_like(parameter: Tensor, generator: torch.Generator) -> Tensor:
    constant = float(parameter.flatten()[0])
    if constant == 0:
        return _common(parameter) * torch.randn(parameter.shape, generator=generator)
    scale = constant if abs(constant) >= _FAINT else 0.1
    return scale * (0.75 + 0.5 * torch.rand(parameter.shape, generator=generator))


def _common(parameter: Tensor) -> float:
    """The size that random weights commonly have: it keeps the size of what they are applied to."""
    return (parameter[0].numel() if parameter.dim() > 1 else 100) ** -0.5


def _take_statistics(norm: nn.Module, given: tuple[Tensor, ...]) -> None:
    x = given[0]
    axes = [axis for axis in range(x.dim()) if axis != 1]
    assert isinstance(norm, _BatchNorm) and norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(x.mean(axes))
    # What hardly varies over a few images (a channel, or all of them behind a pooling) is not blown up: that would
    # magnify rounding too.
    norm.running_var.copy_(x.var(axes, correction=0).clamp_min(0.1 * float(x.square().mean()) + 1e-6))
