"""From candidates to the members of a family."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..data.chain import Chain, Fragment
from ..search.probe import Probe
from .candidates import Looking, Network, candidates
from .choose import choose
from .smaller import Smaller
from .weights import contents

#: Further amounts of chains, by name.
Timed = Mapping[str, Callable[[Chain], float]]


@dataclass(frozen=True, eq=False)
class Study:
    """What a family was chosen from. networks: the models first, then the chains that were tried, then the models on
    smaller images, which count as further models, in their order; with their scores.
    members: indices of those that the family has, from cheap to expensive. serving: of each budget the member that it
    is best served by, None where it is below all. below: chains under the line between the models.
    models_bytes: of the weights of all models."""

    networks: tuple[Network, ...]
    members: tuple[int, ...]
    serving: tuple[int | None, ...]
    below: int
    models_bytes: int

    def joined(self, smaller: Sequence[Smaller]) -> list[Smaller]:
        """Those of the models on smaller images that are members, in the order of their numbers."""
        own = sorted(
            (one for one in self.chosen() if one.whole and not one.given), key=lambda one: one.chain.front.model
        )
        return [next(each for each in smaller if each.scores is one.scores) for one in own]

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
    smaller: Sequence[Smaller] = (),
) -> Study:
    """Chooses members for the budgets of `looking`.

    Chains that lie under the line between the models, by more than chance, are no candidates; nor is what another takes
    no more than and is as good as.

    price: score, summed over the budgets, that bytes as many as those of all models must gain. most: members at most
    beside the models. wanted: for how many budgets those of `looking` stand, more or fewer than they are. timed: of a
    chain, amounts that it has on devices, which budgets may name. room: bytes that members may add at
    most. smaller: the models on smaller images, which add none.
    """
    held = sum(contents(probe.pool.plan.graphs).values())
    found = candidates(probe, replace(looking, price=price / max(held, 1)))
    models = [one for one in found if one.given]
    found += [
        Network(Chain((Fragment(number),)), one.price, one.scores, {}, whole=True)
        for number, one in enumerate(smaller, len(models))
    ]
    fine = [one for one in found if one.given or not under(one, models, looking.metric)]
    offers = [one.offer(timed) for one in fine]
    made = choose(offers, looking.budgets, price / max(held, 1) / wanted, most, room)
    order = tuple(sorted(made.members, key=lambda k: fine[k].price.ordering()))
    below = sum(not one.whole for one in found) - sum(not one.whole for one in fine)
    return _numbered(Study(tuple(fine), order, made.serving, below, held), len(models))


def _numbered(found: Study, models: int) -> Study:
    """The same, with the models on smaller images that are members numbered before the others, behind the models."""
    taken = sorted(k for k in found.members if found.networks[k].whole and not found.networks[k].given)
    others = [k for k, one in enumerate(found.networks) if one.whole and not one.given and k not in taken]
    number = {k: Chain((Fragment(place),)) for place, k in enumerate((*taken, *others), models)}
    networks = [replace(one, chain=number.get(k, one.chain)) for k, one in enumerate(found.networks)]
    return replace(found, networks=tuple(networks))


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
