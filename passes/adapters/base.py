"""What an adapter is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ..values import Price, Value
from ..weights_file import Entry, file_bytes
from . import convert


class Adapter(nn.Module):
    """From the value at a front's cut, [batch, *front.shape], to what the back expects, [batch, *back.shape].

    The conversions of layout, tokens and size are part of `forward`, so they are part of the stitched graph. One that
    is linear in its weights also says what `fit` needs: `design` and `target`, row by row, such that
    `target ~ design @ weight.T + bias`, and `load`, which takes the solution.
    """

    name: ClassVar[str] = ""

    project: nn.Linear | nn.Conv2d  # what holds the weights that `fit` sets

    def __init__(self, front: Value, back: Value):
        super().__init__()
        self.front, self.back = front, back

    @classmethod
    def refuses(cls, front: Value, back: Value) -> str:
        """Why this adapter cannot join the two; "" when it can."""
        raise NotImplementedError

    @classmethod
    def cost(cls, front: Value, back: Value) -> tuple[int, int]:
        """(params, MACs for one image) of an adapter that joins the two, without building it."""
        raise NotImplementedError

    @classmethod
    def entries(cls, front: Value, back: Value) -> tuple[Entry, ...]:
        """What it puts into the weights file: keys within it, shapes, dtypes. A closed form where there is one, for
        it is asked a thousand times; else read off an adapter without memory."""
        with torch.device("meta"):
            state = cls(front, back).state_dict()
        return tuple(Entry(key, tuple(t.shape), "F32" if t.is_floating_point() else "I64") for key, t in state.items())

    @classmethod
    def memory(cls, front: Value, back: Value) -> int:
        """Bytes that it allocates at most at one moment for one image in float32: with its output, without its input.
        A closed form where there is one; else by running it on tensors without memory."""
        from ..cost.operators import peak_bytes

        return peak_bytes(cls(front, back), front.shape)

    @classmethod
    def price(cls, front: Value, back: Value) -> Price | str:
        """What it takes to join the two, or why it cannot."""
        reason = cls.refuses(front, back)
        if reason:
            return reason
        params, macs = cls.cost(front, back)
        size_bytes = file_bytes(cls.entries(front, back))
        return Price(params, macs, size_bytes, cls.memory(front, back))

    @property
    def features(self) -> int:
        """Length of a row of `design`."""
        return self.project.weight[0].numel()

    def design(self, x: Tensor) -> Tensor:
        """What the weights multiply: [images, rows, features], for the front's values x [images, *front.shape]."""
        raise NotImplementedError

    def target(self, y: Tensor) -> Tensor:
        """The values of the same rows: [images, rows, channels], for the back's own values y [images, *back.shape]."""
        return convert.rows(y, self.back)

    def load(self, weight: Tensor, bias: Tensor) -> None:
        """Take a solution: weight [channels, features], bias [channels]."""
        assert self.project.bias is not None
        with torch.no_grad():
            self.project.weight.copy_(weight.reshape(self.project.weight.shape))
            self.project.bias.copy_(bias)
