"""Outputs of networks on probe images: computed once, in batches that suit the processor."""

import torch
from nets import Small
from torch import nn

from stitchc.passes import Pipeline, Plan, TensorImages, Trace
from stitchc.passes.data.memory import Memory
from stitchc.passes.data.some_images import Part
from stitchc.passes.graphs.faster import faster, overwriting
from stitchc.passes.graphs.live import batch_within, forward_batch
from stitchc.passes.graphs.outputs import outputs


class Counted(TensorImages):
    """Counts the batches that it shows."""

    shown = 0

    def batches(self, *given):
        for batch in super().batches(*given):
            Counted.shown += 1
            yield batch


def traced(network: nn.Module, side: int = 8) -> Plan:
    return Pipeline([Trace()])(Plan.of(network.eval(), images=Counted(torch.randn(20, 3, side, side))))


def test_outputs_are_computed_once_for_the_same_images_and_anew_for_others():
    plan = traced(Small(4))
    graph, spec, memory = plan.graphs[0], plan.models[0].input, Memory.of(None)
    Counted.shown = 0
    first = outputs(graph, plan.images, spec, memory)
    assert outputs(graph, Part(plan.images, 0, 20), spec, memory) is first and Counted.shown == 1
    part = outputs(graph, Part(plan.images, 5, 20), spec, memory)
    torch.testing.assert_close(part, first[5:])
    other = Counted(torch.randn(20, 3, 8, 8))
    assert not torch.equal(outputs(graph, other, spec, memory), first)
    again = traced(Small(4)).graphs[0]
    assert not torch.equal(outputs(again, plan.images, spec, memory), first)


def test_batches_are_smaller_only_where_values_are_large():
    small, large = (traced(Small(32), side).graphs[0] for side in (8, 128))
    assert forward_batch(1 << 40, small, 64) == batch_within(1 << 40, small, 64) == 64
    size = forward_batch(1 << 40, large, 64)
    assert size < 64 and size * 4 * 32 * 128 * 128 <= 24 << 20 < (size + 1) * 4 * 32 * 128 * 128
    assert forward_batch(1, large, 64) == 1


class Activated(nn.Module):
    """Norms and activations after convolutions, and a sum of what one of them reads and gives."""

    def __init__(self):
        super().__init__()
        self.one, self.norm = nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8)
        self.two, self.other = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)
        self.six, self.relu = nn.ReLU6(), nn.ReLU()
        for norm in (self.norm, self.other):
            nn.init.uniform_(norm.weight, 1, 9)
            nn.init.uniform_(norm.running_mean, -1, 1)

    def forward(self, x):
        x = self.six(self.norm(self.one(x)))
        y = self.other(self.two(x))
        return (y + self.relu(y) + x).mean((2, 3))


def test_a_copy_that_runs_faster_gives_the_same_and_leaves_the_graph_as_it_was():
    graph = traced(Activated()).graphs[0]
    before = {name: tensor.clone() for name, tensor in graph.state_dict().items()}
    code, images = graph.code, torch.randn(20, 3, 8, 8)
    copy = overwriting(faster(graph))
    with torch.inference_mode():
        torch.testing.assert_close(copy(images), graph(images), rtol=1e-5, atol=1e-5)
    assert "norm" in graph.code and not any(isinstance(m, nn.BatchNorm2d) for m in copy.modules())
    assert "relu6_" in copy.code and "torch.relu_" not in copy.code, "what is read again is not written over"
    assert graph.code == code and all(torch.equal(graph.state_dict()[name], old) for name, old in before.items())


def test_what_is_kept_is_in_the_copy():
    graph = traced(Activated()).graphs[0]
    (kept,) = (node.name for node in graph.graph.nodes if node.target == "one")
    copy = faster(graph, [kept])
    assert kept in {node.name for node in copy.graph.nodes}
    assert sum(isinstance(m, nn.BatchNorm2d) for m in copy.modules()) == 1
