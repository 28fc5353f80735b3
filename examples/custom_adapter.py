"""An adapter of your own: at every position it sees the value there and the mean over all positions.

    python examples/custom_adapter.py

`register` makes it known in this program. A package makes it known wherever it is installed, to the command line too:

    [project.entry-points."stitchc.adapters"]
    context = "mypackage.context:Context"

It says what its design matrix is, so it is fitted in closed form; its price is counted.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

import stitchc
from stitchc.passes import Value
from stitchc.passes.adapters import Adapter, Kind, register
from stitchc.passes.adapters.base import picked


@register("context")
@dataclass(frozen=True)
class Context(Kind):
    def refuses(self, front: Value, back: Value) -> str:
        fine = front.layout == back.layout == "NCHW" and front.grid == back.grid
        return "" if fine else "it joins maps of one size"

    def build(self, front: Value, back: Value) -> Adapter:
        return ContextAdapter(self, front, back)


class ContextAdapter(Adapter):
    def __init__(self, kind: Kind, front: Value, back: Value):
        super().__init__(kind, front, back)
        self.features = 2 * front.channels  # columns of the design matrix
        self.project = nn.Conv2d(self.features, back.channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(self.seen(x))

    def seen(self, x: Tensor) -> Tensor:
        return torch.cat([x, x.mean((2, 3), keepdim=True).expand_as(x)], 1)

    def design(self, x: Tensor, keep: Tensor | None = None) -> Tensor:
        return picked(self.seen(x).flatten(2).transpose(1, 2), keep)

    def load(self, solution, moments) -> None:
        self.project.weight.data.copy_(solution.weight[:, :, None, None])
        self.project.bias.data.copy_(solution.bias)


if __name__ == "__main__":
    space = stitchc.space("digits/plain", "digits/small", adapters=("linear", "context"), repeats="none")
    mine = [name for name in space.sample(400) if " / context / " in name]
    same = [name.replace(" / context / ", " / linear / ") for name in mine]
    print(f"Mean score of {len(mine)} stitches: {space.score(mine).mean():.3f}, linear {space.score(same).mean():.3f}")
