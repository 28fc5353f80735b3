"""From candidates to the members of a family."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch.fx import GraphModule

from ..cost.chains import price_of, prices_of_graph
from ..data.chain import Chain
from ..data.hybrid import Hybrid
from ..data.model import InputSpec, first_of
from ..data.plan import Plan
from ..data.values import Price
from ..emit.conversion import conversion
from ..search.dominance import nondominated
from ..search.probe import Probe
from .candidates import Looking, Network, adds, candidates, promising
from .choose import choose
from .judge import Judge
from .smaller import smaller_chains, smaller_hybrid, with_weights_of
from .weights import added, contents

if TYPE_CHECKING:
    from ..cost.fragments import FragmentPrices

# Scores of one image that are nearer than this are the same: networks are fitted in float64 and run in float32.
_ROUNDING = 1e-3

#: Further amounts of chains, by name.
Timed = Mapping[str, Callable[[Chain], float]]

#: From chains of a pool and what they take to networks, fitted and healed together on all images.
Repair = Callable[[Sequence[tuple[Chain, Price]]], list[Hybrid]]


@dataclass(frozen=True, eq=False)
class Study:
    """What a family was chosen from. plan: of the models, with those on smaller images behind them. networks: the
    models, the same on smaller images, and the chains that were healed at last, on either, with their scores and what
    they take as members, which make their images of the family's.
    members: indices of those that the family has, from cheap to expensive. serving: of each budget the member that it
    is best served by, None where it is below all. rule, images: what they were scored by, and on how many images.
    tried: chains that were compared on few images. below: of these, such as lie under the line between the models at
    every size. healed: chains that were healed on all images. models_bytes: of the weights of all models.
    """

    plan: Plan
    networks: tuple[Network, ...]
    members: tuple[int, ...]
    serving: tuple[int | None, ...]
    rule: str
    images: int
    tried: int
    below: int
    healed: int
    models_bytes: int

    @property
    def input(self) -> InputSpec:
        """What the family's images are."""
        return dearest_input(self.plan)

    def chosen(self) -> list[Network]:
        """The members, from cheap to expensive."""
        return [self.networks[k] for k in self.members]

    def rivals(self) -> list[Network]:
        """The models on smaller images that are no members, as they are alone: who runs one hands it such images."""
        return [
            replace(one, hybrid=replace(one.hybrid, price=self.plan.prices[one.chain.front.model]))
            for k, one in enumerate(self.networks)
            if one.whole and k not in self.members
        ]


def study(
    probe: Probe,
    judge: Judge,
    looking: Looking,
    repair: Repair,
    *,
    price: float,
    most: int | None,
    wanted: int,
    timed: Timed | None = None,
    room: float = np.inf,
) -> Study:
    """Chooses members for the budgets of `looking`.

    Chains are tried on few images first; the most promising are repaired on all and scored again, each as it is and, as
    far as its models are of use there, on smaller images; and of these the members are chosen. A network that lies
    under the line between the models, by more than chance, is no candidate; nor is what another takes no more than and
    is as good as.

    price: score, summed over the budgets, that bytes as many as those of all models must gain. most: members at most
    beside the models. wanted: for how many budgets those of `looking` stand, more or fewer than they are; so many
    chains are repaired. timed: of a chain, amounts that it has on devices, which budgets may name. room: bytes that
    members may add at most.
    """
    plan, own = judge.plan, probe.pool.plan
    weights = sum(contents(own.graphs).values())
    of_byte = price / max(weights, 1)

    def chosen(networks: Sequence[Network]) -> tuple[tuple[int, ...], tuple[int | None, ...]]:
        offers = [one.offer(timed) for one in networks]
        found = choose(offers, looking.budgets, of_byte / wanted, most, room)
        return found.members, found.serving

    models, held = _models(judge)
    sizes = _useful(models, looking.metric)
    tried = candidates(probe, replace(looking, price=of_byte))
    previews = list(_at_sizes(
        judge, tried, sizes, held, lambda one: adds(own, one.own) | held.images(one.chain), looking
    ))  # fmt: skip
    fine = _told_apart([one for one in previews if not under(one, models, looking.metric)], looking.metric)
    first = [fine[k - len(models)] for k in chosen([*models, *fine])[0] if k >= len(models)]
    values = np.array([[one.price[looking.metric], -one.score] for one in [*models, *fine]])
    order = [fine[k - len(models)] for k in promising(values, len(values)) if k >= len(models)]
    chains = _distinct([*first, *order], wanted, room)
    made = repair(sorted(((chain, price_of(own, chain)) for chain in chains), key=lambda one: one[1].ordering()))
    last = _at_sizes(judge, made, sizes, held, held.beside, looking)
    networks = [*models, *last]
    able = [k for k, one in enumerate(networks) if one.given or not under(one, models, looking.metric)]
    members, serving = chosen([networks[k] for k in able])
    return Study(
        plan, tuple(networks), tuple(sorted((able[k] for k in members), key=lambda k: networks[k].price.ordering())),
        tuple(None if k is None else able[k] for k in serving), judge.rule, len(judge.images), len(tried),
        len(tried) - len({one.own for one in fine}), len(made), weights,
    )  # fmt: skip


class _Held:
    """What the file holds anyhow: the weights of the models as they were given, and what makes the images of each of
    them of the family's own, which are those of the dearest."""

    def __init__(self, plan: Plan, given: Sequence[Hybrid]):
        self._plan, self._input = plan, dearest_input(plan)
        self._made: dict[int, tuple[GraphModule, FragmentPrices] | None] = {}
        self._contents = contents(one.network for one in given)
        for one in given:
            self._contents |= self.images(one.chain)

    def images(self, chain: Chain) -> dict[bytes, int]:
        """What makes a chain's images of the family's, beyond what is held."""
        first = self._first(chain)
        return added(first[0], self._contents) if first else {}

    def beside(self, one: Network) -> dict[bytes, int]:
        """All of a network that is not held."""
        return added(one.hybrid.network, self._contents) | self.images(one.chain)

    def as_member(self, hybrid: Hybrid) -> Hybrid:
        """The hybrid at the price that it has in the family, where it makes its images of the family's."""
        first = self._first(hybrid.chain)
        return replace(hybrid, price=price_of(self._plan, hybrid.chain, first[1])) if first else hybrid

    def _first(self, chain: Chain) -> tuple[GraphModule, FragmentPrices] | None:
        """What makes a chain's images of the family's, with its prices; None where they are the same."""
        model = chain.front.model
        if model not in self._made:
            graph = conversion(self._input, self._plan.models[model].input)
            self._made[model] = None if graph is None else (graph, prices_of_graph(graph, self._input.size))
        return self._made[model]


def _models(judge: Judge) -> tuple[list[Network], _Held]:
    """Every model of a plan as a network, those on smaller images behind the others; and what the file holds for those
    that were given."""
    plan, first = judge.plan, first_of(judge.plan.models)
    whole = [
        replace(Hybrid.whole(graph, model), price=price)
        for model, (graph, price) in enumerate(zip(plan.graphs, plan.prices, strict=True))
    ]
    held = _Held(plan, [whole[model] for model in sorted(set(first))])
    found = [
        Network(
            held.as_member(one), whole[own].chain, judge(one.network, one.chain), held.images(one.chain),
            given=own == model,
        )
        for model, (one, own) in enumerate(zip(whole, first, strict=True))
    ]  # fmt: skip
    return found, held


def dearest_input(plan: Plan) -> InputSpec:
    """What a family's images are: what the dearest of its models takes. A model counts as it is alone."""
    given = sorted(set(first_of(plan.models)))
    return plan.models[max(given, key=lambda model: plan.prices[model].ordering())].input


def _useful(models: Sequence[Network], metric: str) -> list[int]:
    """The models on smaller images that no model takes less than and is as good as."""
    best = nondominated(np.array([[one.price[metric], -one.score] for one in models]))
    return [k for k in sorted(best.tolist()) if not models[k].given]


def _at_sizes(
    judge: Judge, hybrids: Sequence[Hybrid], sizes: Sequence[int], held: _Held,
    of: Callable[[Network], Mapping[Any, int]], looking: Looking,
) -> Iterator[Network]:  # fmt: skip
    """Networks as they are, and on images of the sizes of some models, scored. of: what the file holds for one."""
    for done, hybrid in enumerate(hybrids):
        if looking.progress:
            looking.progress(done, len(hybrids), "scoring networks")
        for one in (hybrid, *_smaller(judge.plan, hybrid, sizes)):
            network = Network(held.as_member(one), hybrid.chain, judge(one.network, one.chain), {})
            yield replace(network, adds=of(network))


def _smaller(plan: Plan, hybrid: Hybrid, sizes: Sequence[int]) -> Iterator[Hybrid]:
    for chain in smaller_chains(plan, hybrid.chain, sizes):
        graph = with_weights_of(plan, chain, hybrid)
        if graph is not None:
            yield smaller_hybrid(plan, chain, hybrid, graph)


def _told_apart(networks: Sequence[Network], metric: str) -> list[Network]:
    """Of networks that take as much and score every image alike but for rounding, that which adds the fewest bytes: a
    layer that changes nothing stands before a seam of the one and behind that of the other."""
    found = list[Network]()
    for one in sorted(networks, key=lambda one: sum(one.adds.values())):
        if not any(_alike(one, other, metric) for other in found):
            found.append(one)
    return [one for one in networks if one in found]


def _alike(one: Network, other: Network, metric: str) -> bool:
    return one.price[metric] == other.price[metric] and bool((abs(one.scores - other.scores) < _ROUNDING).all())


def _distinct(networks: Sequence[Network], most: int, room: float) -> list[Chain]:
    """The first chains of these, at their models' own sizes, whose adapters there is room for together."""
    found, held = dict[Chain, None](), dict[Hashable, int]()
    for one in networks:
        more = {**held, **one.adds}
        if len(found) < most and sum(more.values()) <= room:
            found[one.own], held = None, more
    return list(found)


def under(one: Network, models: Sequence[Network], metric: str) -> bool:
    """Whether a network lies under the line between the models by more than the standard error on the images.

    The line leads from nothing, which costs nothing and scores 0, over the models from the cheapest to the dearest; of
    these, such as a cheaper one is as good as are left out. models: at their own sizes, or other networks, which do not
    count.
    """
    cost = one.price[metric]
    points: list[tuple[float, np.ndarray]] = [(0.0, np.zeros_like(one.scores))]
    for model in sorted(
        (model for model in models if model.given), key=lambda model: (model.price[metric], -model.score)
    ):
        if model.score > points[-1][1].mean():
            points.append((model.price[metric], model.scores))
    above = next((k for k, (at, _) in enumerate(points) if at >= cost), None)
    if above is None:  # dearer than all models
        return one.score < points[-1][1].mean()
    (low, first), (high, last) = points[max(above - 1, 0)], points[above]
    share = (cost - low) / (high - low) if high > low else 1.0
    over = one.scores - (first + share * (last - first))
    return float(over.mean()) < -float(over.std(ddof=1)) / len(over) ** 0.5
