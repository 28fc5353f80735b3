"""The classifier of a healed hybrid, refitted toward the mean of several models' logits.

Block by block a back learns to imitate its own parent, whose mistakes are among what it imitates. Where another model
of the chain is the better one, the mean of both is better still, and the classifier can follow it: with p* the
probabilities of that mean, x what the classifier is given, and W, b as healing left them,

    min over D, d of  mean KL(p* || softmax((W + D) x + b + d)) + pull/2 (mean(x^2) |D|^2 + |d|^2)

It is convex and as small as the classifier. The divergence, and not the squared error of logits, since a logit of 20
for 15 is no mistake. The pull is chosen on held-out images.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from ..data.chain import Chain
from ..data.errors import InputError
from ..data.healing import Followed
from ..graphs.conventions import result
from ..graphs.largest import largest
from .operators import Matrix
from .probe import Probe
from .values import Chunk, Values

#: The one with the least divergence on held-out images is taken. Weaker ones may diverge less still on a few hundred
#: images, which the models were often trained on, and are worse on others.
PULLS = (1.0, 0.1, 0.01)
#: Share of the held-out images to which two models give the same class at least, if they are to know the same classes.
SAME = 0.5
ITERATIONS = 30
HISTORY = 5  # changes of the weights that L-BFGS remembers

Change = tuple[Tensor, Tensor]


def teachers(probe: Probe, chain: Chain) -> tuple[int, ...]:
    """The models whose mean the classifier follows, by their index: none where it is to stay with its own parent.

    Raises:
        InputError: they give outputs of another shape than the hybrid.
    """
    back = chain.back.model
    better = largest(probe.graphs, probe.prices, chain)
    wanted = {"back": (back,), "front": (chain.front.model,), "both": (chain.front.model, back), "auto": (better, back)}
    found = tuple(dict.fromkeys(wanted[probe.options.target]))
    shapes = {result(probe.graphs[model].graph).meta.get("shape") for model in (*found, back)}
    if len(shapes) > 1:
        raise InputError(
            "the parents give outputs of different shapes, so that the classifier of one cannot follow the other",
            "Leave `heal_target='back'`.",
        )
    return () if found == (back,) else found


def follow(
    hybrid: Values, probe: Probe, chain: Chain, operator: Matrix, toll: Callable[[Sequence[Tensor]], float] | None
) -> Followed | None:
    """Refits the classifier, in place, unless the divergence from its teachers falls on held-out images by no more than
    `toll` asks for its tensors. None where there is nothing to follow, or too little to hold images out.

    operator: the classifier, the last of the hybrid's nodes.

    Raises:
        InputError: the teachers give outputs of another shape than the hybrid.
    """
    models = teachers(probe, chain)
    parts = [[chunk for chunk in probe.chunks if chunk.held_out == held] for held in (False, True)]
    if not models or not all(parts):
        return None
    if probe.options.target == "auto" and _same_class(probe, models, parts[1]) < SAME:
        return None
    fitting, held_out = (_Rows.of(hybrid, probe, operator, models, part) for part in parts)
    nothing = (torch.zeros_like(operator.weight), operator.weight.new_zeros(len(operator.weight)))
    before = held_out.compared(operator, nothing)
    found, change, pull, start = before, nothing, 0.0, nothing
    for strength in PULLS:
        start = fitting.solved(operator, start, strength)
        reached = held_out.compared(operator, start)
        if reached[0] < found[0]:
            found, change, pull = reached, start, strength
    changed = [operator.weight, *([operator.bias] if operator.bias is not None else [])]
    kept = found[0] < before[0] - (toll(changed) if toll else 0.0)
    if kept:
        for tensor, more in zip(changed, change, strict=False):
            tensor.add_(more)
    return Followed(models, pull, *before, *(found if kept else before), kept)


def _same_class(probe: Probe, models: Sequence[int], chunks: Sequence[Chunk]) -> float:
    """The share of the images to which all of the models give the same class."""
    said = [torch.cat([probe.logits(chunk, [model]) for chunk in chunks]).argmax(-1) for model in models]
    return float(torch.stack([one == said[0] for one in said]).all(0).float().mean())


@dataclass(frozen=True)
class _Rows:
    """x: what the classifier is given, [images, features]. wanted: the teachers' log-probabilities, [images,
    classes]."""

    x: Tensor
    wanted: Tensor

    @classmethod
    def of(
        cls, hybrid: Values, probe: Probe, operator: Matrix, models: Sequence[int], chunks: Sequence[Chunk]
    ) -> _Rows:
        """Of as many images as there is memory for, evenly spaced."""
        each = 4 * (operator.weight.shape[0] + operator.weight.shape[1])
        most = max(1, probe.shares.equations // (2 * each))
        every = -(-sum(len(chunk.members) for chunk in chunks) // most)
        x, wanted = [], []
        for chunk in chunks:
            x.append(hybrid(chunk, [operator.given])[0][::every])
            wanted.append(probe.logits(chunk, models)[::every].log_softmax(-1))
        return cls(torch.cat(x), torch.cat(wanted))

    def said(self, operator: Matrix, change: Change) -> Tensor:
        """The log-probabilities of the classifier with its weights changed."""
        bias = change[1] if operator.bias is None else operator.bias + change[1]
        return F.linear(self.x, operator.weight + change[0], bias).log_softmax(-1)

    def compared(self, operator: Matrix, change: Change) -> tuple[float, float]:
        """The mean divergence from the teachers in nats, and the share of images of the same class."""
        said = self.said(operator, change)
        far = F.kl_div(said, self.wanted, log_target=True, reduction="batchmean")
        return float(far), float((said.argmax(-1) == self.wanted.argmax(-1)).float().mean())

    def solved(self, operator: Matrix, start: Change, pull: float) -> Change:
        """The best change of the weights. start: where the search begins."""
        weight, bias = (tensor.clone().requires_grad_() for tensor in start)
        free = [weight] if operator.bias is None else [weight, bias]
        scale = float(self.x.square().mean())
        search = torch.optim.LBFGS(
            free, max_iter=ITERATIONS, history_size=HISTORY, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
        )

        def lacking() -> Tensor:
            search.zero_grad()
            far = F.kl_div(self.said(operator, (weight, bias)), self.wanted, log_target=True, reduction="batchmean")
            total = far + pull / 2 * (scale * weight.square().sum() + bias.square().sum())
            total.backward()
            return total

        with torch.enable_grad():
            search.step(lacking)
        return weight.detach(), bias.detach()
