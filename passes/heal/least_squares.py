"""One operator refitted: its sums over the images, its ridge, its new weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.fx import Node

from ..data.chain import Chain
from ..numerics.ridge import CORRECTION, Moments, choose_ridges, correction
from .blocks import Block
from .operators import Operator
from .probe import Probe
from .residual import branch_of
from .values import Chunk, Values


@dataclass(frozen=True)
class Intercept:
    """Where a constant that is added to an operator's output goes. scale: what it is multiplied by on the way."""

    bias: Tensor
    scale: Tensor | None = None

    @classmethod
    def of(cls, operator: Operator) -> Intercept | None:
        """The operator's own bias; or that of the BatchNorm that alone reads it."""
        if operator.bias is not None:
            return cls(operator.bias)
        users = list(operator.node.users)
        owner = operator.node.graph.owning_module
        if len(users) != 1 or users[0].op != "call_module" or owner is None:
            return None
        norm = owner.get_submodule(str(users[0].target))
        if not isinstance(norm, nn.modules.batchnorm._BatchNorm) or not norm.affine or norm.running_var is None:
            return None
        return cls(norm.bias, norm.weight.detach() * (norm.running_var + norm.eps).rsqrt())

    def add(self, change: Tensor) -> None:
        """Adds a constant [channels] to the operator's output, in place."""
        change = change.to(self.bias.dtype)
        self.bias.add_(change if self.scale is None else change * self.scale)


def tensors(operator: Operator) -> list[Tensor]:
    """The tensors that a refit changes: the weight, and the bias if there is one."""
    intercept = Intercept.of(operator)
    return [operator.weight, *([intercept.bias] if intercept else [])]


def refit(hybrid: Values, probe: Probe, block: Block, operator: Operator, chain: Chain) -> float:
    """Solves the operator's weights from all images, with the ridge of the least held-out error. Leaves the
    weights unchanged where every ridge makes that error larger. Returns the ridge."""
    options, intercept = probe.options, Intercept.of(operator)
    groups, features, channels = operator.unknowns
    fitting, held_out = (Moments.zeros(features, channels, groups, operator.weight.device) for _ in range(2))
    errors = Errors(hybrid, probe, block, operator, chain)
    for chunk in probe.chunks:
        x, error = errors(chunk)
        per_image = -(-options.rows // len(probe.images))
        for design, rows in operator.slices(x, error, per_image, probe.shares.rows):
            (held_out if chunk.held_out else fitting).add_roughly(design, rows)
    if not float((held_out if held_out.count else fitting).yy.sum()) > 0:  # nothing is lacking
        return max(options.ridges)
    ((ridge, left),) = choose_ridges(
        fitting, held_out, options.ridges, intercept=intercept is not None, rule=CORRECTION
    )
    if left < 1:
        fitting += held_out
        change = correction(fitting, ridge, intercept=intercept is not None)
        operator.weight.add_(operator.rearranged(change.weight.mT).to(operator.weight.dtype))
        if intercept is not None:
            intercept.add(operator.by_channel(change.bias))
    return ridge


class Errors:
    """The error of an operator's output in the hybrid, chunk by chunk."""

    def __init__(self, hybrid: Values, probe: Probe, block: Block, operator: Operator, chain: Chain):
        self.hybrid, self.probe, self.block, self.operator = hybrid, probe, block, operator
        part, name = operator.node.meta["origin"]
        models = chain.models()
        self.model = models[part]
        self.node = probe.nodes[self.model][name]
        self.branch = branch_of(operator.node, hybrid.position, {o.node for o in block.operators})
        self.other: Node | None = None
        if self.branch:
            part, name = self.branch.other.meta["origin"]
            self.other = probe.nodes[models[part]].get(name) if part in models else None
            self.branch = self.branch if self.other is not None else None
        self.tried = False

    def __call__(self, chunk: Chunk) -> tuple[Tensor, Tensor]:
        """The operator's input, and what should be added to its output."""
        operator, hybrid, branch = self.operator, self.hybrid, self.branch
        here = hybrid.position[operator.node]
        asked = [operator.given, *([branch.other, *branch.beside] if branch else [])]
        x, *rest = hybrid(chunk, asked, lambda n: hybrid.last[n] >= here or n is self.block.start)
        wanted = [self.node, *([self.other] if self.other is not None else [])]
        parents = self.probe.parents[self.model]
        y, *others = self.probe.parent(self.model, chunk, wanted, parents.position[self.node])
        error = y - hybrid.through([operator.node], operator.given, x, hybrid.parameters(operator.node))
        if branch is None:
            return x, error
        known: dict[Node, Any] = dict(zip(branch.beside, rest[1:], strict=True))
        if not self.tried and not branch.invertible(hybrid, known, y):
            self.branch = None
            return x, error
        self.tried = True
        return x, error + branch.inverse(hybrid, known, y, others[0] - rest[0])
