"""From the seam to the output, block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch.fx import GraphModule

from .blocks import Block, blocks
from .probe import Judge, Probe
from .record import HealedBlock, Healing
from .refit import refit, tensors
from .values import Values


@torch.no_grad()
def heal(
    stitched: GraphModule,
    probe: Probe,
    models: Mapping[str, int],
    healed: Sequence[str] = ("back",),
    progress: Callable[[int, int], None] | None = None,
) -> Healing:
    """Refits the operators of a stitched graph in graph order, in place, each toward what it gives in its own parent.

    models: of the parts of the graph ("front", "back"), the model each is of. healed: the parts that are refitted. After
    each block its refit is undone if the hybrid's classes on held-out images came no nearer to the parent's.
    """
    hybrid = probe.values(stitched, models["front"])
    todo = blocks(stitched, lambda node: node.meta.get("origin", ("",))[0] in healed, probe.options.features)
    todo = todo[: probe.options.layers]
    judge = Judge(hybrid, probe, models)
    before = state = judge()
    steps = []
    for index, block in enumerate(todo):
        step = _heal_block(hybrid, probe, block, models, judge, state)
        state = step.divergence, step.agreement
        steps.append(step)
        if progress:
            progress(index + 1, len(todo))
    hybrid.close()
    held_out = sum(len(chunk.members) for chunk in probe.chunks if chunk.held_out)
    return Healing(len(probe.images), held_out, *before, tuple(steps))


def _heal_block(
    hybrid: Values, probe: Probe, block: Block, models: Mapping[str, int], judge: Judge, before: tuple[float, float]
) -> HealedBlock:
    state = [(tensor, tensor.detach().clone()) for operator in block.operators for tensor in tensors(operator)]
    ridge = max(refit(hybrid, probe, block, operator, models) for operator in block.operators)
    divergence, agreement = judge()
    kept = divergence <= before[0]
    if not kept:
        for tensor, old in state:
            tensor.copy_(old)
        hybrid.forget(hybrid.position[block.start])
        divergence, agreement = before
    return HealedBlock(block.name, len(block.operators), ridge, divergence, agreement, kept)
