"""From the seam to the output, block by block."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from ..data.healing import HealedBlock, Healing
from ..graphs.attention import written_out
from ..graphs.conventions import result
from .blocks import Block, blocks
from .gauss_newton import polish
from .least_squares import refit, tensors
from .probe import Judge, Probe
from .values import Values


def heal(
    stitched: GraphModule,
    probe: Probe,
    models: Mapping[str, int],
    what: str = "back",
    progress: Callable[[int, int], None] | None = None,
) -> Healing:
    """Refits the operators of a stitched graph in graph order, in place, each toward what it gives in its own parent.

    models: of the parts of the graph ("front", "back"), the model each is of. what: "adapter", "back" or "all". After
    each block its refit is undone if the hybrid's classes on held-out images came no nearer to the parent's.
    """
    stitched = written_out(stitched)  # on the same weights
    with torch.no_grad():
        hybrid = probe.values(stitched, models["front"])
        judge = Judge(hybrid, probe, models)
        before = state = judge()
        steps = plan_steps(stitched, probe, what)
        done: list[HealedBlock] = []
        for step in steps:
            done.append(_taken(step, hybrid, probe, models, judge, state))
            state = done[-1].divergence, done[-1].agreement
            if progress:
                progress(len(done), len(steps))
        hybrid.close()
    held_out = sum(len(chunk.members) for chunk in probe.chunks if chunk.held_out)
    return Healing(len(probe.images), held_out, *before, tuple(done))


@dataclass(frozen=True)
class Step:
    """What is healed before the next look at the held-out images.

    block: the operators that are polished together, `polishes` times, so that the value `end` becomes the parent's.
    refitted: the block whose operators are refitted one by one before.
    """

    block: Block
    refitted: Block | None
    end: Node
    polishes: int


def plan_steps(stitched: GraphModule, probe: Probe, what: str) -> list[Step]:
    """A step for each block of the back. With "all" the first is polished together with what lies before it at the
    seam, the front's last block and the adapter; for "adapter" there is one step, and the adapter alone in it."""
    front, adapter, back = (
        blocks(stitched, lambda node, part=part: _part(node) == part, probe.options.features)  # type: ignore[misc]
        for part in ("front", "adapter", "back")
    )
    ends = [block.start for block in back[1:]] + [result(stitched.graph)]
    polishes = probe.options.sweeps - 1
    if what == "adapter":
        return [Step(_joined(adapter), None, ends[0], max(1, polishes))] if adapter else []
    steps = [Step(block, block, end, polishes) for block, end in zip(back, ends, strict=False)]
    if what == "all" and steps:
        seam = _joined((*front[-1:], *adapter, back[0]))
        steps[0] = replace(steps[0], block=seam, polishes=max(1, polishes))
    return steps[: probe.options.layers]


def _part(node: Node) -> str:
    return str(node.meta.get("origin", ("",))[0])


def _joined(together: tuple[Block, ...]) -> Block:
    operators = tuple(operator for block in together for operator in block.operators)
    return replace(together[-1], start=together[0].start, operators=operators)


def _taken(
    step: Step, hybrid: Values, probe: Probe, models: Mapping[str, int], judge: Judge, before: tuple[float, float]
) -> HealedBlock:
    """Heals a block. What leaves the hybrid's classes further from the parent's than they were before the block is
    undone, the polish first: it stays, with the rest, as long as the block as a whole is no loss."""
    ridge, states, reached = 0.0, [_weights(step.block)], [before]
    if step.refitted:
        block = replace(step.refitted, start=step.block.start)
        ridge = max(refit(hybrid, probe, block, operator, models) for operator in block.operators)
        states.append(_weights(step.block))
        reached.append(judge())
    for _ in range(step.polishes):
        if not polish(hybrid, probe, models, step.block, step.end):
            break
        states.append(_weights(step.block))
        reached.append(judge())
    best = next(i for i in reversed(range(len(reached))) if reached[i][0] <= before[0])
    if best < len(reached) - 1:
        for operator, old in zip(step.block.operators, states[best], strict=True):
            for tensor, value in zip(tensors(operator), old, strict=True):
                tensor.data.copy_(value)
        hybrid.forget(hybrid.position[step.block.start])
    return HealedBlock(step.block.name, len(step.block.operators), ridge, *reached[best], best > 0)


def _weights(block: Block) -> list[list[Tensor]]:
    return [[tensor.detach().clone() for tensor in tensors(operator)] for operator in block.operators]
