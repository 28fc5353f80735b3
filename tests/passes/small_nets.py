"""Networks of a few nodes, as graphs with cuts, for tests of the passes that put numbers on them."""

from __future__ import annotations

import torch
from torch import Tensor, fx, nn
from torch.fx.passes.shape_prop import ShapeProp

from stitchc.passes import Cut, Cuts, InputSpec, Model, Plan, Value

SIZE = (3, 8, 8)


class Plain(nn.Module):
    """conv1, relu1, conv2, bn, relu2, pool, flat, head."""

    def __init__(self, width: int = 4, inplace: bool = False):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.relu1 = nn.ReLU(inplace)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(2 * width)
        self.relu2 = nn.ReLU(inplace)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flat = nn.Flatten()
        self.head = nn.Linear(2 * width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu2(self.bn(self.conv2(self.relu1(self.conv1(x)))))
        return self.head(self.flat(self.pool(x)))


CUTS = ("conv1", "relu1", "conv2", "bn", "relu2", "pool", "flat")


class Shared(nn.Module):
    """first and second are one module; `table`, made of parameters by a product, is added before and after `mid`."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 3, 1)
        self.second = self.first
        self.mid = nn.Conv2d(3, 3, 3, padding=1)
        self.table = nn.Parameter(torch.ones(8, 2))
        self.weight = nn.Parameter(torch.ones(2, 8))
        self.scale = nn.Parameter(torch.ones(1))
        self.register_buffer("offset", torch.zeros(8))

    def forward(self, x: Tensor) -> Tensor:
        bias = torch.mm(self.table, self.weight) + self.offset
        x = self.first(x) + bias
        x = self.mid(x) * self.scale
        return self.second(x) + bias


def graph_of(module: nn.Module) -> fx.GraphModule:
    return fx.symbolic_trace(module.eval())


def cuts_of(graph: fx.GraphModule, *nodes: str, size: tuple[int, ...] = SIZE) -> Cuts:
    ShapeProp(graph).propagate(torch.zeros(2, *size))
    shapes = {n.name: tuple(n.meta["tensor_meta"].shape[1:]) for n in graph.graph.nodes if n.name in nodes}
    return Cuts("by hand", tuple(Cut(i, n, f"path.{n}", _value(shapes[n]), (n,)) for i, n in enumerate(nodes)))


def _value(shape: tuple[int, ...]) -> Value:
    if len(shape) == 3:
        return Value(shape, "NCHW", grid=(shape[1], shape[2]))
    return Value(shape, "NC" if len(shape) == 1 else "NLC")


def model(name: str, size: tuple[int, int, int] = SIZE) -> Model:
    return Model(name, InputSpec(size, (0.0,) * 3, (1.0,) * 3))


def plan_of(*modules: nn.Module, cuts: tuple[str, ...] = CUTS, images: Tensor | None = None) -> Plan:
    """A plan with graphs and cuts, as if traced and partitioned. Models are named a, b, c, ..."""
    graphs = tuple(graph_of(m) for m in modules)
    named = [model("abcdef"[i]) for i in range(len(modules))]
    plan = Plan.of(*named, images=images)
    return Plan(plan.models, images=plan.images, graphs=graphs, cuts=tuple(cuts_of(g, *cuts) for g in graphs))
