"""Outputs of networks on probe images: computed once, in batches that suit the processor."""

import torch
from nets import Small
from torch import nn

from stitchc.passes import Pipeline, Plan, TensorImages, Trace
from stitchc.passes.data.memory import Memory
from stitchc.passes.data.some_images import Part
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
