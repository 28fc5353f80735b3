"""From the seam to the output, block by block."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.fx import GraphModule, Node

from ..data.chain import Chain
from ..data.healing import HealedBlock, Healing
from ..graphs.attention import written_out
from ..graphs.compose import part_of
from ..graphs.conventions import result
from ..graphs.faster import for_any_strides
from .blocks import Block, blocks
from .classifier import follow
from .gauss_newton import gauss_newton_step
from .least_squares import refit, tensors
from .operators import Matrix
from .probe import HeldOutDivergence, Probe
from .temperature import calibrate
from .values import Values

#: How many nats of divergence a change of these tensors must take off to be kept.
Toll = Callable[[Sequence[Tensor]], float]


def heal(
    stitched: GraphModule,
    probe: Probe,
    chain: Chain,
    what: str = "back",
    progress: Callable[[int, int], None] | None = None,
    toll: Toll | None = None,
) -> Healing:
    """Refits the operators of a chain's graph in graph order, in place, each toward what it gives in its own parent.

    what: "adapter", "back" (the fragments behind the first seam) or "all". After each block its refit is undone if the
    hybrid's classes on held-out images came no nearer to the parent's, or by less than `toll` asks for those tensors.
    In the end the classifier is refitted toward the models that `probe.options.target` names (see `classifier.py`), and
    its logits are multiplied by one factor (see `temperature.py`).

    Raises:
        InputError: the target names models that give outputs of another shape than the hybrid.
    """
    stitched = for_any_strides(written_out(stitched))  # on the same weights
    with torch.no_grad():
        hybrid = probe.values(stitched, chain.front.model)
        steps = plan_steps(stitched, probe, chain, what)
        classifier = _classifier(stitched, steps)
        measure = HeldOutDivergence(hybrid, probe, chain, scaled=classifier is not None)
        before = state = measure()
        done: list[HealedBlock] = []
        for step in steps:
            done.append(_taken(step, hybrid, probe, chain, measure, state, toll))
            state = done[-1].divergence, done[-1].agreement
            if progress:
                progress(len(done), len(steps))
        followed = follow(hybrid, probe, chain, classifier, toll) if classifier else None
        models = followed.models if followed and followed.kept else (chain.back.model,)
        calibrated = calibrate(hybrid, probe, classifier, models, toll) if classifier else None
        hybrid.close()
    held_out = sum(len(chunk.members) for chunk in probe.chunks if chunk.held_out)
    return Healing(len(probe.images), held_out, *before, tuple(done), followed, probe.mirrored, calibrated)


@dataclass(frozen=True)
class Step:
    """What is changed before the next measurement on held-out images.

    name: of the block, for reports. block: the operators that `gauss_newton_steps` steps change together, so that the
    value at `end` approaches the parent's. refitted: the block whose operators are refitted one by one before.
    """

    name: str
    block: Block
    refitted: Block | None
    end: Node
    gauss_newton_steps: int


def plan_steps(stitched: GraphModule, probe: Probe, chain: Chain, what: str) -> list[Step]:
    """A step for each block behind the first seam.

    Where parts before a fragment are to be healed too, the Gauss-Newton steps of its first block include
    them: with "all" the end of the front and the adapter; behind every later seam the adapter, which was fitted on what
    the fragments before it gave when they were not healed. For "adapter" there is a step for each adapter, alone in it.
    """
    found = {
        part.name: blocks(stitched, lambda node, name=part.name: part_of(node) == name, probe.can_solve)  # type: ignore[misc]
        for part in chain.parts()
    }
    ends = _fragment_ends(stitched, chain)
    steps: list[Step] = []
    before, adapter = found[chain.parts()[0].name], ""
    for part in chain.parts()[1:]:
        if part.adapter is not None:
            adapter = part.name
            continue
        seam = [*(before[-1:] if what == "all" and not steps else ()), *found[adapter]]
        steps += _fragment_steps(found[part.name], ends[part.name], seam, found[adapter], probe, what, first=not steps)
        before = found[part.name]
    return steps


def _fragment_steps(
    inside: tuple[Block, ...], end: Node, seam: list[Block], adapter: tuple[Block, ...], probe: Probe, what: str,
    *, first: bool,
) -> list[Step]:  # fmt: skip
    """The steps of one fragment. seam: blocks whose operators the steps of its first block include."""
    ends = [block.start for block in inside[1:]] + [end]
    gauss_newton_steps = probe.options.sweeps - 1
    if what == "adapter":
        alone = _joined(adapter) if adapter else None
        return [Step(alone.name, alone, None, ends[0], max(1, gauss_newton_steps))] if alone else []
    steps = [
        Step(block.name, block, block, last, gauss_newton_steps) for block, last in zip(inside, ends, strict=False)
    ]
    if steps and seam and (what == "all" or not first):
        together = _joined((*seam, inside[0]))
        name = together.name if first else inside[0].name
        steps[0] = replace(steps[0], name=name, block=together, gauss_newton_steps=max(1, gauss_newton_steps))
    return steps[: probe.options.layers]


def _fragment_ends(stitched: GraphModule, chain: Chain) -> dict[str, Node]:
    """The node that gives the value at the end of each fragment, by the name of its part."""
    names = {part.name for part in chain.parts() if part.fragment is not None}
    found: dict[str, Node] = {}
    for node in stitched.graph.nodes:
        if part_of(node) in names and "shape" in node.meta:
            found[part_of(node)] = node
    found[chain.parts()[-1].name] = result(stitched.graph)
    return found


def _classifier(stitched: GraphModule, steps: Sequence[Step]) -> Matrix | None:
    """The linear layer that gives the output, a score for each class, where it is among what was healed."""
    end = result(stitched.graph)
    for step in steps:
        for operator in step.block.operators:
            if operator.node is end and isinstance(operator, Matrix) and len(end.meta["shape"]) == 2:
                return operator
    return None


def _joined(together: Sequence[Block]) -> Block:
    operators = tuple(operator for block in together for operator in block.operators)
    return replace(together[-1], start=together[0].start, operators=operators)


def _taken(
    step: Step, hybrid: Values, probe: Probe, chain: Chain, measure: HeldOutDivergence, before: tuple[float, float],
    toll: Toll | None = None,
) -> HealedBlock:  # fmt: skip
    """Heals a block. If the hybrid's outputs are further from the parent's than before the block, less the toll of a
    change, changes are undone: the last Gauss-Newton step first, and all of them if every state is worse."""
    asked = toll([tensor for operator in step.block.operators for tensor in tensors(operator)]) if toll else 0.0
    ridge, states = 0.0, [_weights(step.block)]
    if step.refitted:
        block = replace(step.refitted, start=step.block.start)
        ridge = max(refit(hybrid, probe, block, operator, chain) for operator in block.operators)
        states.append(_weights(step.block))
    for _ in range(step.gauss_newton_steps):
        if not gauss_newton_step(hybrid, probe, chain, step.block, step.end):
            break
        states.append(_weights(step.block))
    reached, best = before, len(states) - 1
    while best and not (reached := measure())[0] <= before[0] - asked:  # what is not finite is worse too
        best, reached = best - 1, before
        _restore(step.block, states[best])
        hybrid.forget(hybrid.position[step.block.start])
    return HealedBlock(step.name, len(step.block.operators), ridge, *reached, best > 0)


def _restore(block: Block, weights: list[list[Tensor]]) -> None:
    for operator, old in zip(block.operators, weights, strict=True):
        for tensor, value in zip(tensors(operator), old, strict=True):
            tensor.data.copy_(value)


def _weights(block: Block) -> list[list[Tensor]]:
    return [[tensor.detach().clone() for tensor in tensors(operator)] for operator in block.operators]
