"""From candidates to the members of a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..data.chain import Chain
from ..search.probe import Probe
from .candidates import Looking, Network, candidates
from .choose import choose
from .weights import contents

#: Further amounts of chains, by name.
Timed = Mapping[str, Callable[[Chain], float]]


@dataclass(frozen=True, eq=False)
class Study:
    """What a family was chosen from. networks: the models first, then the chains that were tried, with their scores.
    members: indices of those that the family has, from cheap to expensive. serving: of each budget the member that it
    is best served by, None where it is below all. below: chains under the line between the models.
    models_bytes: of the weights of all models."""

    networks: tuple[Network, ...]
    members: tuple[int, ...]
    serving: tuple[int | None, ...]
    below: int
    models_bytes: int

    def chosen(self) -> list[Network]:
        """The members, from cheap to expensive."""
        return [self.networks[k] for k in self.members]


def study(
    probe: Probe,
    looking: Looking,
    *,
    price: float,
    most: int | None,
    wanted: int,
    timed: Timed | None = None,
    room: float = np.inf,
) -> Study:
    """Chooses members for the budgets of `looking`.

    Chains that lie under the line between the models, by more than chance, are no candidates; nor is what another takes
    no more than and is as good as.

    price: score, summed over the budgets, that bytes as many as those of all models must gain. most: members at most
    beside the models. wanted: for how many budgets those of `looking` stand, more or fewer than they are. timed: of a
    chain, amounts that it has on devices, which budgets may name. room: bytes that members may add at
    most.
    """
    held = sum(contents(probe.pool.plan.graphs).values())
    found = candidates(probe, replace(looking, price=price / max(held, 1)))
    models = [one for one in found if one.whole]
    fine = [one for one in found if one.whole or not under(one, models, looking.metric)]
    offers = [one.offer(timed) for one in fine]
    made = choose(offers, looking.budgets, price / max(held, 1) / wanted, most, room)
    order = tuple(sorted(made.members, key=lambda k: fine[k].price.ordering()))
    return Study(tuple(fine), order, made.serving, len(found) - len(fine), held)


def under(one: Network, models: Sequence[Network], metric: str) -> bool:
    """Whether a network lies under the line between the models by more than the standard error on the probe images.

    The line leads from nothing, which costs nothing and scores 0, over the models from the cheapest to the dearest; of
    these, such as a cheaper one is as good as are left out.
    """
    cost = one.price[metric]
    points: list[tuple[float, np.ndarray]] = [(0.0, np.zeros_like(one.scores))]
    for model in sorted(models, key=lambda model: (model.price[metric], -model.score)):
        if model.score > points[-1][1].mean():
            points.append((model.price[metric], model.scores))
    above = next((k for k, (at, _) in enumerate(points) if at >= cost), None)
    if above is None:  # dearer than all models
        return one.score < points[-1][1].mean()
    (low, first), (high, last) = points[max(above - 1, 0)], points[above]
    share = (cost - low) / (high - low) if high > low else 1.0
    over = one.scores - (first + share * (last - first))
    return float(over.mean()) < -float(over.std(ddof=1)) / len(over) ** 0.5
