"""Healing the members of a family together."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.chain import Chain, Seam
from ..data.healing import Options
from ..data.hybrid import Hybrid
from ..data.plan import Plan
from ..heal.blockwise import heal
from ..heal.probe import HeldOutDivergence, Probe
from .weights import added, contents, digest, size_of

#: What of healing the members share.
SHARE = ("all", "healed", "auto")

#: A weight of a model, or of the adapter of a seam, whatever network it stands in.
Place = tuple[int | Seam, str]


@dataclass(eq=False)
class Healer:
    """Heals hybrids one after the other; the models' values for the images are computed once.

    what: as of the pass `heal`. share: "healed" heals each as if it were alone. "all" heals nothing but adapters.
    "auto" begins each with what the best of the hybrids before changed in the same layers, where that is better than
    the models' own weights, and keeps of a further change only what takes off `price` nats of divergence for each byte
    that the file does not hold already. room: bytes that all hybrids together may add at most; `unhealed` are those
    that will be healed, whose adapters take some of it. Where there is none left, nothing is kept that takes more.
    """

    plan: Plan
    what: str
    options: Options
    share: str
    price: float
    unhealed: Sequence[Hybrid] = ()
    room: float = float("inf")
    _held: dict[bytes, int] = field(init=False, repr=False)
    _reserved: dict[bytes, int] = field(init=False, repr=False)
    _changed: list[dict[Place, Tensor]] = field(init=False, repr=False, default_factory=list)

    def __post_init__(self) -> None:
        plan = self.plan
        assert plan.images is not None
        self._held = contents(plan.graphs)
        self._reserved = {k: v for one in self.unhealed for k, v in added(one.network, self._held).items()}
        self.room -= sum(self._reserved.values())
        self._probe = Probe.of(plan, plan.images, self.options, keep=True)

    def heal(self, hybrid: Hybrid, progress: Callable[[int, int], None] | None = None) -> Hybrid:
        """The hybrid, healed. Its own graph stays as it is."""
        graph = copy.deepcopy(hybrid.network)
        chain, auto = hybrid.chain, self.share == "auto"
        if auto:
            self._begin(graph, chain)
        what = "adapter" if self.share == "all" else self.what
        toll = (lambda tensors: self._toll(graph, tensors)) if auto else None
        healing = heal(graph, self._probe, chain, what, progress, toll)
        self._changed.append(self._changes(graph, chain))
        self.room -= self._beyond(graph)
        self._held |= added(graph, self._held)
        return replace(hybrid, graph=graph, healing=healing, verified=None)

    def _toll(self, graph: GraphModule, tensors: Sequence[Tensor]) -> float:
        """What a change of these costs: those that are the file's already would stand in it once more."""
        more = sum(size_of(tensor) for tensor in tensors if digest(tensor) in self._held)
        if more and self._beyond(graph) + more > self.room:
            return float("inf")
        return self.price * more

    def _beyond(self, graph: GraphModule) -> int:
        """Bytes of a network that neither the file has nor the adapters of the unhealed."""
        return sum(size for name, size in added(graph, self._held).items() if name not in self._reserved)

    @torch.no_grad()
    def _begin(self, graph: GraphModule, chain: Chain) -> None:
        """Gives a graph the weights of the hybrid before that bring it nearest to its parent, for what they add."""
        places = dict(_places(graph, chain))
        own = {place: tensor.clone() for place, tensor in places.items()}
        ways = [own, *({p: t for p, t in changed.items() if _fits(own.get(p), t)} for changed in self._changed)]
        worth = []
        for way in ways:
            _set(places, own | way)
            new = sum(added(graph, self._held).values()) if len(ways) > 1 else 0
            worth.append(self._divergence(graph, chain) + self.price * new if way else float("inf"))
        _set(places, own | ways[worth.index(min(worth))])

    def _divergence(self, graph: GraphModule, chain: Chain) -> float:
        values = self._probe.values(graph, chain.front.model)
        try:
            return HeldOutDivergence(values, self._probe, chain)()[0]
        finally:
            values.close()

    def _changes(self, graph: GraphModule, chain: Chain) -> dict[Place, Tensor]:
        """What of a graph is not as in its models."""
        models = [dict(graph.state_dict()) for graph in self.plan.graphs]
        return {
            place: tensor for place, tensor in _places(graph, chain)
            if not isinstance(place[0], int) or not _same(models[place[0]].get(place[1]), tensor)
        }  # fmt: skip


def _places(graph: GraphModule, chain: Chain) -> Iterator[tuple[Place, Tensor]]:
    """The weights of a chain's network, by what they are weights of."""
    seams = iter(chain.seams())
    owners = {
        part.name: part.fragment.model if part.fragment is not None else next(seams) for part in chain.parts()
    }  # fmt: skip
    for name, tensor in graph.state_dict().items():
        part, _, path = name.partition(".")
        if part in owners:
            yield (owners[part], path), tensor


def _set(places: Mapping[Place, Tensor], values: Mapping[Place, Tensor]) -> None:
    for place, tensor in places.items():
        tensor.copy_(values[place])


def _fits(own: Tensor | None, other: Tensor) -> bool:
    return own is not None and own.shape == other.shape and own.dtype == other.dtype


def _same(a: Tensor | None, b: Tensor) -> bool:
    return _fits(a, b) and a is not None and torch.equal(a, b)
