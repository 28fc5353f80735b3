"""The scores of networks on probe images, by the rule that candidates are ranked by."""

from __future__ import annotations

from functools import cache

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.errors import ModelError
from ..data.memory import Memory
from ..data.model import InputSpec
from ..data.pass_options import RANKS_OF_PAIRS
from ..data.plan import Plan
from ..data.some_images import Part
from ..graphs.outputs import outputs
from ..rank.scores import Reference, held_against, score_of

# Rules whose scores are between 0 and 1, as accuracy is.
_SHARES = ("cascade", "agreement", "accuracy")


class Probe:
    """Scores networks on the second half of the plan's images, all against what its hybrid is held against; or on the
    first half, which hybrids are fitted on."""

    def __init__(self, plan: Plan, rule: str, max_memory: int | None, *, first_half: bool = False):
        assert plan.images is not None
        self._memory = Memory.of(max_memory)
        count = len(plan.images)
        self._shown = Part(plan.images, *((0, count // 2) if first_half else (count // 2, count)))

        @cache
        def said(model: int) -> Tensor:
            return self._logits(plan.graphs[model], plan.models[model].input)

        self._against: Reference = held_against(plan, plan.hybrid.chain.back.model, said, self._shown.labels)
        without_labels = rule == "accuracy" and self._against.labels is None
        rule = "cascade" if rule in RANKS_OF_PAIRS or without_labels else rule
        self._score = score_of(rule)
        #: Whether a score is a share: what is gained by it can be told without knowing the rule.
        self.is_share = rule in _SHARES

    def scores(self, graph: GraphModule, spec: InputSpec) -> np.ndarray | None:
        """float64 [images]; None of a network with other outputs than the parents'.

        Raises:
            ModelError: outputs that are infinite or undefined.
        """
        return self.scores_of(self._logits(graph, spec))

    def scores_of(self, said: Tensor) -> np.ndarray | None:
        """The same from the outputs of a network for all images that are shown."""
        if said.shape != self._against.log_probabilities.shape:
            return None
        if not torch.isfinite(said).all():
            raise ModelError("the network gives scores that are infinite or undefined (NaN) for probe images")
        said = said.to(self._against.log_probabilities.device)
        return self._score(said, self._against).double().cpu().numpy()

    def _logits(self, graph: GraphModule, spec: InputSpec) -> Tensor:
        return outputs(graph, self._shown, spec, self._memory)
