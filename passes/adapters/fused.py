"""`fused`: StitchNet's projection, folded into the weights that read the cut (Teerapittayanon et al., ICMLA 2023)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ..data.values import Price, Value
from ..numerics.ridge import Moments, Solution
from . import resample
from .base import Adapter, AroundLinearMap
from .identity import Identity
from .kind import Kind
from .linear import Linear


@dataclass(frozen=True)
class Fused(Kind):
    """A matrix without bias, from the Moore-Penrose pseudoinverse (the paper's equation 2), multiplied into the next
    convolution or Linear: W' = W A. In the graph remains the change of layout and size, or the average over all
    pixels where a vector follows maps. It can be used where only convolutions without groups and Linear layers read the
    back's value, which is so at every cut of the rule `stitchnet`.

    Its price is that of the inputs that these layers gain, or negative if they lose some.
    ridge: 0 for the pseudoinverse, else the penalty. by: interpolation of the resize.
    """

    name: ClassVar[str] = "fused"
    folds: ClassVar[bool] = True

    by: str = field(default="bilinear", metadata={"choices": resample.METHODS})
    ridge: float = 0.0

    def build(self, front: Value, back: Value) -> Adapter:
        return Folded(self, front, back)

    def refuses(self, front: Value, back: Value) -> str:
        if back.widens is None:
            return "a projection folds into convolutions without groups and Linear layers, and others read this value"
        return self.conversion.refuses(front, _widened(front, back)) or self.matrix.refuses(front, back)

    def cost(self, front: Value, back: Value) -> Price:
        assert back.widens is not None
        params, macs = back.widens
        more = front.channels - back.channels
        return Price(params=more * params, macs=more * macs, size=4 * more * params)

    @property
    def conversion(self) -> Identity:
        return Identity(by=self.by)

    @property
    def matrix(self) -> Linear:
        return Linear(by=self.by, bias=False, ridge=self.ridge)


class Folded(AroundLinearMap):
    """The module of `Fused`. matrix: [back channels, front channels], kept outside the module's parameters, to be
    multiplied into the back's weights by `graphs/fold.py`."""

    matrix: Tensor
    exact = True

    def __init__(self, kind: Fused, front: Value, back: Value):
        super().__init__(kind, front, back)
        self.conversion = kind.conversion.build(front, _widened(front, back))
        self.matrix = torch.eye(back.channels, front.channels)
        self.wrap(kind.matrix.build(front, back))

    def forward(self, x: Tensor) -> Tensor:
        return self.conversion(x)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Folded:
        super()._apply(fn, recurse)
        self.matrix = fn(self.matrix)
        return self

    def load(self, solution: Solution, moments: Moments) -> None:
        self.matrix = solution.weight.to(self.matrix)


def _widened(front: Value, back: Value) -> Value:
    """The back's value with as many channels as the front's."""
    channels = front.channels
    shape = (channels, *back.shape[1:]) if back.layout == "NCHW" else (*back.shape[:-1], channels)
    return replace(back, shape=shape)
