"""Several adapters in a row, one each time the size is halved (Traft and Cheney, UniReps 2025)."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import log2
from typing import TYPE_CHECKING

from torch import Tensor, nn

from ..data.values import Value
from .base import AroundLinearMap

if TYPE_CHECKING:
    from .kind import Kind


def scale_steps(front: Value, back: Value) -> tuple[Value, ...]:
    """The values before and after each step: from the front on the size is halved and the channels are doubled, up to
    the back's, and the last value is the back's own. The two values alone where the sizes differ by less than a factor
    of three, or grow.
    """
    if front.grid is None or back.grid is None:
        return front, back
    steps = round(log2(max(front.grid[0] / back.grid[0], 1)))
    between = [_halved(front, step, back.channels) for step in range(1, steps)]
    return front, *between, back


def _halved(front: Value, step: int, most: int) -> Value:
    assert front.grid is not None
    grid = round(front.grid[0] / 2**step), round(front.grid[1] / 2**step)
    return Value((min(front.channels * 2**step, most), *grid), "NCHW", grid=grid)


class Steps(AroundLinearMap):
    """Adapters of one kind, each from one value to the next.

    All but the last begin as near to the identity as the shapes allow; the last is fitted in closed form on their
    output.
    """

    def __init__(self, kind: Kind, values: Sequence[Value]):
        super().__init__(kind, values[0], values[-1])
        *before, last = (kind.build(x, y) for x, y in pairwise(values))
        self.steps = nn.ModuleList([*before, last])
        for step in before:
            step.set_to_identity()
        self.wrap(last)
        self.exact, self.preactivation = last.exact, last.preactivation

    def forward(self, x: Tensor) -> Tensor:
        for step in self.steps:
            x = step(x)
        return x

    def inner_input(self, x: Tensor) -> Tensor:
        for step in self.steps[:-1]:
            x = step(x)
        return x
