"""Which of the chains that were stitched vote best together."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ..stitch.join import graph_of
from .chains import Tried
from .probe import Probe

#: Chains that are considered for every member: others of the many that were stitched score less.
_CONSIDERED = 3


def elected(probe: Probe, tried: Sequence[Tried], count: int) -> tuple[tuple[int, ...], float | None]:
    """The chains of an ensemble, as their places in `tried`, and the score of their joint vote; without a score where
    there are too few. The first is the best alone; then the one is added with which the vote scores most, and so on
    (Caruana et al. 2004, "Ensemble Selection from Libraries of Models"). All take the input of the first, and tell as
    many classes apart.

    tried: the best first.
    """
    plan = probe.pool.plan
    spec, last = plan.input_of(tried[0].chain), tried[0].chain.back.model
    alike = [k for k, one in enumerate(tried) if plan.input_of(one.chain) == spec][: _CONSIDERED * count]
    said = {}
    for k in alike:
        graph = tried[k].network or graph_of(plan, tried[k].chain, tried[k].adapters)
        said[k] = probe.logits(graph, spec).softmax(dim=1)
    able = [k for k in alike if said[k].shape == said[0].shape]
    members, score = [0], None
    while len(members) < count:
        left = [k for k in able if k not in members]
        if not left:
            return tuple(members), None
        joint = {k: torch.stack([said[m] for m in (*members, k)]).mean(dim=0).log() for k in left}
        scores = {k: float(probe.score(one, last).mean()) for k, one in joint.items()}
        best = max(left, key=lambda k: scores[k])
        members.append(best)
        score = scores[best]
    return tuple(members), score
