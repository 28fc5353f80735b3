"""What another package might add to stitchc: an adapter and a ranking rule.

Annotations are types here and not text, since nothing is imported from `__future__`.
"""

from dataclasses import dataclass, field
from typing import ClassVar, Optional

import torch
from torch import nn

from stitchc.passes import Price, Value
from stitchc.passes.adapters import Adapter, Kind


@dataclass(frozen=True)
class Scaled(Kind):
    """The front's value times a number that is drawn at random."""

    name: ClassVar[str] = "something else"

    gain: float = 0.5
    times: int = field(default=1, metadata={"least": 1})
    most: Optional[int] = 3  # noqa: UP045 - written as many still write it
    signed: bool = True
    label: str = "plain"

    def build(self, front: Value, back: Value) -> Adapter:
        return ScaledModule(self, front, back)

    def refuses(self, front: Value, back: Value) -> str:
        return "" if front == back else "only where nothing changes"

    def cost(self, front: Value, back: Value) -> Price:
        return Price(params=1, macs=0, size=4)


class ScaledModule(Adapter):
    exact = False

    def __init__(self, kind: Scaled, front: Value, back: Value):
        super().__init__(kind, front, back)
        self.factor = nn.Parameter(kind.gain * torch.rand(()))

    def forward(self, x):
        return x * self.factor


def half_right(logits, against):
    """The probability of the reference's class, at most one half."""
    likeliest = against.log_probabilities.argmax(dim=1, keepdim=True)
    return logits.softmax(dim=1).gather(1, likeliest).squeeze(1).clamp_max(0.5)


NOT_A_KIND = 3
