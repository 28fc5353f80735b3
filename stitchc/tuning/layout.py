"""In which order images, values and weights lie in memory while a network is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def fastest(network: nn.Module, few: Tensor) -> torch.memory_format:
    """Channels last where a graphics card computes, unless the network cannot: `view` refuses such values.

    few: images, on the device. The network is in eval mode after.
    """
    if few.device.type != "cuda" or few.ndim != 4:
        return torch.contiguous_format
    try:
        network.eval()(few.contiguous(memory_format=torch.channels_last))
    except RuntimeError:
        return torch.contiguous_format
    return torch.channels_last


def laid_out(values: Tensor, layout: torch.memory_format) -> Tensor:
    """The values in that order, where they have four axes."""
    return values.contiguous(memory_format=layout) if values.ndim == 4 else values


def lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    """Brings the weights of convolutions, and what else has four axes, into that order."""
    for values in (*network.parameters(), *network.buffers()):
        values.data = laid_out(values.data, layout)
