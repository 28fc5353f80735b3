"""Families of small networks, made by hand."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from emitting import disturb
from torch import Tensor, nn

from stitchc.passes import Cost, InputSpec, Model, Partition, Pipeline, Plan, Stitch, Trace
from stitchc.passes.data.family import Family, Member
from stitchc.passes.data.hybrid import Hybrid
from stitchc.passes.data.model import TensorImages

SPEC = InputSpec((3, 8, 8), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


class Block(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.bn(self.conv(x)))


class Net(nn.Module):
    """stem, `depth` residual blocks, head."""

    def __init__(self, width: int, depth: int):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.blocks = nn.Sequential(*(Block(width) for _ in range(depth)))
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.blocks(self.stem(x)).mean((2, 3)))


def small_and_large(large_input: InputSpec = SPEC) -> Plan:
    """The plan of a `small` net and a `large` one, priced."""
    torch.manual_seed(0)
    models = (
        Model("small", SPEC, licence="MIT", module=disturb(Net(4, 3), 0)),
        Model("large", large_input, licence="MIT", module=disturb(Net(8, 6), 1)),
    )
    images = TensorImages(torch.randn(8, *SPEC.size, generator=torch.Generator().manual_seed(0)))
    return Pipeline([Trace(check=()), Partition(), Cost(adapters=())])(Plan(models, images=images))


def parents_of(plan: Plan) -> list[Member]:
    named = zip(plan.models, plan.graphs, plan.prices, strict=True)
    return [
        Member(model.name, replace(Hybrid.whole(graph, index), price=price), model.name)
        for index, (model, graph, price) in enumerate(named)
    ]


def stitched(plan: Plan, chain: str) -> Hybrid:
    """The hybrid of a chain, its adapters at random, and no two of them the same."""
    hybrid = Stitch(chain=chain)(plan).hybrid
    for name, part in hybrid.network.named_children():
        if name.startswith("adapter"):
            disturb(part, hash_of(chain))
    return hybrid


def hash_of(text: str) -> int:
    """The same number for the same text, in every process."""
    return sum(ord(character) * (k + 1) for k, character in enumerate(text))


def healed(hybrid: Hybrid, layer: str) -> Hybrid:
    """The hybrid with the weights of one layer changed."""
    graph = copy.deepcopy(hybrid.network)
    with torch.no_grad():
        for parameter in graph.get_submodule(layer).parameters():
            parameter.mul_(1.25)
    return replace(hybrid, graph=graph)


def make_family(plan: Plan | None = None) -> tuple[Plan, Family]:
    """Both nets and three chains of them: two share all that they are made of with these, one was healed in a layer."""
    plan = plan or small_and_large()
    chains = {
        "near": stitched(plan, "A:..blocks.0 / linear / B:blocks.4.."),
        "far": stitched(plan, "B:..blocks.1 / linear / A:blocks.1.."),
        "mended": healed(stitched(plan, "A:..blocks.1 / linear / B:blocks.2.."), "back.blocks.4.conv"),
    }
    return plan, Family((*parents_of(plan), *(Member(name, hybrid) for name, hybrid in chains.items())))
