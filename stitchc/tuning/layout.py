"""In which order images, values and weights lie in memory while a network is trained."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def fastest(network: nn.Module, few: Tensor) -> torch.memory_format:
    """Channels last where a graphics card computes and the network can do so.

    few: images, on the device. The network is in eval mode after.
    """
    last = few.device.type == "cuda" and few.ndim == 4 and takes_channels_last(network.eval(), few)
    return torch.channels_last if last else torch.contiguous_format


@torch.no_grad()
def takes_channels_last(network: nn.Module, few: Tensor) -> bool:
    """Whether a network runs on images in that order: `view` refuses values that are."""
    try:
        network(laid_out(few, torch.channels_last))
    except RuntimeError:
        return False
    return True


def laid_out(values: Tensor, layout: torch.memory_format) -> Tensor:
    """The values in that order, where they have four axes."""
    return values.contiguous(memory_format=layout) if values.ndim == 4 else values


def lay_out(network: nn.Module, layout: torch.memory_format) -> None:
    """Brings the weights of convolutions, and what else has four axes, into that order."""
    for values in (*network.parameters(), *network.buffers()):
        values.data = laid_out(values.data, layout)
