"""What networks drop at random while they are trained, and what is left of it in a graph recorded in eval mode.

There each such call returns its argument: `nn.Dropout` leaves a node, but stochastic depth (timm's DropPath,
torchvision's StochasticDepth) and the function `dropout` leave nothing. Tracing notes them at the value they return, in
`meta["drops"]`; emission makes layers of the notes, so that what is written trains as its parents do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

DROPOUTS = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.FeatureAlphaDropout)


class DropPath(nn.Module):
    """In training, drops a branch for each image with probability `p` (Huang et al. 2016)."""

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def forward(self, x: Tensor) -> Tensor:
        """x [batch, ...]; in eval mode x itself."""
        if not self.training:
            return x
        stays = torch.rand(len(x), *[1] * (x.ndim - 1), device=x.device) >= self.p
        return x * stays / (1 - self.p)


@dataclass(frozen=True)
class Drop:
    """A call that dropped nothing. path: where the layer belongs. p: its probability. whole: of a branch, else of each
    number. scopes: as in `meta` of a node."""

    path: str
    p: float
    whole: bool
    scopes: tuple[tuple[str, str], ...] = ()

    def layer(self) -> nn.Module:
        """The dropout layer of this probability, in eval mode."""
        return (DropPath(self.p) if self.whole else nn.Dropout(self.p)).eval()

    def under(self, prefix: str, scopes: tuple[tuple[str, str], ...]) -> Drop:
        """The same in a graph in which everything lies under a prefix and in these scopes."""
        inner = tuple((prefix + path, kind) for path, kind in self.scopes)
        return replace(self, path=prefix + self.path, scopes=scopes + inner)


def depth_rate(module: nn.Module) -> float:
    """The probability with which a module drops its argument, image by image, in training; 0 of every other module."""
    kind = type(module).__name__
    if kind == "StochasticDepth" and getattr(module, "mode", None) == "row":
        return float(module.p)  # type: ignore[arg-type]
    if kind == "DropPath" and getattr(module, "scale_by_keep", True):
        return float(getattr(module, "drop_prob", None) or getattr(module, "p", None) or 0.0)
    return 0.0
