"""plan.json read back: a plan as far as the passes that come after a compile ask for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..passes.data import metrics
from ..passes.data.chain import Chain, Fragment
from ..passes.data.family import Family, Member
from ..passes.data.hybrid import AdapterUse, Hybrid
from ..passes.data.model import InputSpec, Model
from ..passes.data.plan import Plan
from ..passes.data.records import decode
from ..passes.data.values import Cut, Cuts, Price, Value


def input_of(record: Mapping[str, Any]) -> InputSpec:
    """What the stitched network must be given."""
    return decode(InputSpec, record["input"])


def plan_of(record: Mapping[str, Any]) -> Plan:
    """The models, without their networks, and the hybrid, without its graph, that a plan document tells of."""
    cuts = _Cuts(record)
    chain = cuts.chain(record["chain"])
    return cuts.plan(hybrids=(Hybrid("hybrid", chain, price_of(record), uses_of(record["chain"])),))


def family_of(record: Mapping[str, Any]) -> tuple[Plan, Family]:
    """The models, without their networks, and the members, without their graphs, that a family's record tells of."""
    cuts = _Cuts(record)
    members = []
    for said in record["members"]:
        hybrid = Hybrid(said["name"], cuts.chain(said["chain"]), price_of(said), uses_of(said["chain"]))
        members.append(Member(said["name"], hybrid, said["parent"]))
    return cuts.plan(), Family(tuple(members), input_of(record))


def price_of(record: Mapping[str, Any]) -> Price:
    """What a network takes, from the key `cost` of its record."""
    return Price({metric.name: record["cost"].get(metric.key) for metric in metrics.every() if metric.derive is None})


def uses_of(chain: Sequence[Mapping[str, Any]]) -> tuple[AdapterUse, ...]:
    """The adapters of a chain, from its record."""
    found = [link["adapter"] for link in chain if "adapter" in link]
    prices = [Price({metric.name: one.get(metric.key) for metric in metrics.sums()}) for one in found]
    return tuple(
        AdapterUse(one["name"], price, one.get("residual"), one.get("ridge"))
        for one, price in zip(found, prices, strict=True)
    )


class _Cuts:
    """The models of a record, and of each the cuts that its chains name."""

    def __init__(self, record: Mapping[str, Any]):
        self._record = record
        self._names = [known["name"] for known in record["models"]]
        self._cuts: list[list[Cut]] = [[] for _ in self._names]

    def chain(self, links: Sequence[Mapping[str, Any]]) -> Chain:
        """A chain, as its record has it."""
        fragments = []
        for link in links:
            if "model" in link:
                model = self._names.index(link["model"])
                fragments.append(Fragment(model, self._index(model, link, "from"), self._index(model, link, "to")))
        return Chain(tuple(fragments), tuple(link["adapter"]["name"] for link in links if "adapter" in link))

    def plan(self, hybrids: tuple[Hybrid, ...] = ()) -> Plan:
        """The plan of the models, with the cuts of all chains so far."""
        models = tuple(self._model(known) for known in self._record["models"])
        cuts = tuple(Cuts("", tuple(found)) for found in self._cuts)
        return Plan(models, self._record["seed"], cuts, hybrids=hybrids)

    def _index(self, model: int, link: Mapping[str, Any], end: str) -> int | None:
        if link[end] is None:
            return None
        cuts = self._cuts[model]
        cuts.append(Cut(len(cuts), link[end], link.get(f"{end}_path") or "", Value((), "NC")))
        return len(cuts) - 1

    def _model(self, known: Mapping[str, Any]) -> Model:
        spec = decode(InputSpec, known["input"])
        return Model(known["name"], spec, source=known["source"], sha256=known["sha256"], licence=known["licence"])
