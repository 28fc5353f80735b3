"""What networks of a family are worth, on images that nothing was fitted on."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.chain import Chain, Fragment
from ..data.memory import Memory
from ..data.model import Images, first_of
from ..data.plan import Plan
from ..graphs.outputs import outputs
from ..rank.scores import Reference, known, same_classes, score_of

#: What the rule `cascade` comes to: with labels of the networks' classes, and without.
BY_LABELS, BY_AGREEMENT = "labels", "cascade"


class Judge:
    """Scores networks made of the models of a plan, all on the same images.

    A network is held against the labels, or without them against the mean of the outputs of all models that share the
    classes of its last; of the models both at their own size and at the next smaller one of the plan, since the mean at
    their own sizes alone agrees most with whatever these get wrong. rule: a score of `rank.scores`, None for `cascade`.
    With labels that is their probability, which tells networks apart that have all images right.
    """

    def __init__(self, plan: Plan, images: Images, rule: str | None, max_memory: int | None = None):
        self.plan, self.images, self._memory = plan, images, Memory.of(max_memory)
        self._first = first_of(plan.models)
        next_smaller = {own: model for model, own in reversed(list(enumerate(self._first))) if own != model}
        own = [model for model, first in enumerate(self._first) if first == model]
        compared = [model for each in own for model in (each, next_smaller.get(each)) if model is not None]
        self._said = {model: self._outputs(plan.graphs[model], Chain((Fragment(model),))) for model in compared}
        self._references: dict[int, Reference] = {}
        labelled = all(self._reference(model).labels is not None for model in own)
        asked = rule or BY_AGREEMENT
        self.rule = BY_LABELS if labelled and asked == BY_AGREEMENT else asked
        self._score = score_of(asked)

    def __call__(self, graph: GraphModule, chain: Chain) -> np.ndarray:
        """The score of a chain's network on each image: float64 [images]. Where its outputs are not finite, 0."""
        against = self._reference(self._first[chain.back.model])
        found = self._score(self._outputs(graph, chain), against).double()
        return torch.where(found.isfinite(), found, 0.0).cpu().numpy()

    def _reference(self, last: int) -> Reference:
        """What networks are held against whose last fragment is of a model."""
        if last not in self._references:
            alike = [said for said in self._said.values() if same_classes(self._said[last], said)]
            mean = torch.stack([said.softmax(dim=1) for said in alike]).mean(dim=0)
            self._references[last] = Reference(mean.log(), known(self.images.labels, alike))
        return self._references[last]

    def _outputs(self, graph: GraphModule, chain: Chain) -> Tensor:
        return outputs(graph, self.images, self.plan.input_of(chain), self._memory)
