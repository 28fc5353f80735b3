"""Means and variances over images that come batch by batch, in float64."""

from __future__ import annotations

from torch import Tensor


class Spread:
    """The mean and variance of each channel over images and positions."""

    def __init__(self) -> None:
        self.count = 0
        self.total: Tensor | float = 0.0
        self.squares: Tensor | float = 0.0

    def add(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """x [images, channels, ...]; returns the mean and variance of all so far, float32 [channels]."""
        flat = x.double().flatten(2).transpose(1, 2).flatten(0, 1) if x.dim() > 2 else x.double()
        self.count += len(flat)
        self.total = self.total + flat.sum(0)
        self.squares = self.squares + flat.square().sum(0)
        mean = self.total / self.count
        return mean.float(), (self.squares / self.count - mean.square()).clamp_min(0).float()


class Means:
    """Means over images of tensors by name."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.sums: dict[str, Tensor] = {}

    def add(self, **batch: Tensor) -> None:
        """Each [images, ...]."""
        for name, x in batch.items():
            self.counts[name] = self.counts.get(name, 0) + len(x)
            self.sums[name] = self.sums.get(name, 0.0) + x.double().sum(0)

    def __getitem__(self, name: str) -> Tensor:
        return self.sums[name] / self.counts[name]
