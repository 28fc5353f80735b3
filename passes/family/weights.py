"""Which weights of several networks are the same, by their bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from torch import Tensor, nn


def digest(tensor: Tensor) -> bytes:
    """Of dtype, shape and content."""
    found = hashlib.sha256(f"{tensor.dtype}{tuple(tensor.shape)}".encode())
    found.update(tensor.detach().cpu().contiguous().view(-1).numpy().tobytes())
    return found.digest()


def size_of(tensor: Tensor) -> int:
    """Its bytes in a file."""
    return tensor.numel() * tensor.element_size()


def contents(networks: Iterable[nn.Module]) -> dict[bytes, int]:
    """The different tensors of some networks, with their bytes."""
    return {digest(tensor): size_of(tensor) for network in networks for tensor in network.state_dict().values()}


def added(network: nn.Module, held: Mapping[bytes, int]) -> dict[bytes, int]:
    """The tensors of a network that are none of those that are held, with their bytes."""
    return {name: size for name, size in contents([network]).items() if name not in held}
