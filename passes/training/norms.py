"""BatchNorm layers whose statistics are not those of what reaches them, made ready to be trained.

A BatchNorm in eval mode is a scale and a constant for each channel, and whoever changed the weights before it may have
counted on just these: healing does, and so does a fit. In training mode it normalises by the batch instead, so that the
network is another from the first step on. The same function can be written with the statistics that its values have:

    w (x - m) / s + b  =  (w s'/s) (x - m') / s' + (b + w (m' - m) / s)

with m', s' measured, after which both modes agree.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


@torch.no_grad()
def settle_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Gives every BatchNorm of `network` that is in training mode the statistics of what reaches it for `batches`, and
    the scale and constant with which it computes in eval mode what it did before. The network is in eval mode after.

    Norms without statistics or scale, and those that were never trained, stay as they are.
    """
    seen = {
        norm: _Seen()
        for norm in network.modules()
        if isinstance(norm, NORMS) and norm.training and _has_statistics(norm)
    }
    network.eval()
    if not seen:
        return
    hooks = [norm.register_forward_pre_hook(_watch(found)) for norm, found in seen.items()]
    try:
        for batch in batches:
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    for norm, found in seen.items():
        if found.count:
            _settle(norm, *found.statistics())


@torch.no_grad()
def measure_norms(network: nn.Module, batches: Iterable[Tensor]) -> None:
    """Gives every BatchNorm of `network` that is in training mode the statistics that it normalises these batches by,
    in the mean over the batches. The network is in eval mode after.

    What a norm counts along the way lags behind weights that still move, and is of augmented images: in eval mode the
    network is then worth less than what was learned. Batches of one image, which have no variance, are passed over.
    """
    norms = [norm for norm in network.modules() if isinstance(norm, NORMS) and norm.training]
    norms = [norm for norm in norms if norm.track_running_stats]
    before = [(norm.momentum, copy.deepcopy(norm.state_dict())) for norm in norms]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
        norm.train()
    ran = 0
    for batch in batches if norms else ():
        if len(batch) > 1:
            network(batch)
            ran += 1
    for norm, (momentum, state) in zip(norms, before, strict=True):
        norm.momentum = momentum
        if not ran:
            norm.load_state_dict(state)
        elif norm.num_batches_tracked is not None:
            norm.num_batches_tracked.copy_(state["num_batches_tracked"])
    network.eval()


@dataclass
class _Seen:
    """How many values a channel had, their sum and that of their squares, float64 [channels]."""

    count: int = 0
    sums: Tensor = field(default_factory=lambda: torch.zeros(()))
    squares: Tensor = field(default_factory=lambda: torch.zeros(()))

    def add(self, x: Tensor) -> None:
        rows = x.double().transpose(0, 1).flatten(1)
        self.count += rows.shape[1]
        self.sums = self.sums.to(rows) + rows.sum(1)
        self.squares = self.squares.to(rows) + rows.square().sum(1)

    def statistics(self) -> tuple[Tensor, Tensor]:
        mean = self.sums / self.count
        return mean, (self.squares / self.count - mean.square()).clamp_min(0)


def _watch(found: _Seen) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    def hook(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        found.add(given[0])

    return hook


def _has_statistics(norm: Norm) -> bool:
    """Whether it has measured ones, not those of a new norm, and a scale and a constant to make up for others."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None or not norm.affine:
        return False
    return bool((mean != 0).any()) or bool((variance != 1).any())


def _settle(norm: Norm, mean: Tensor, variance: Tensor) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    old, new = ((v.double() + norm.eps).sqrt() for v in (norm.running_var, variance))
    scale = norm.weight.double() / old
    norm.bias.copy_(norm.bias.double() + scale * (mean - norm.running_mean.double()))
    norm.weight.copy_(scale * new)
    norm.running_mean.copy_(mean)
    norm.running_var.copy_(variance)
