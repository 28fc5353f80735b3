"""plan.json read back: a plan as far as the passes that come after a compile ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .passes.data.chain import Chain, Fragment
from .passes.data.hybrid import Hybrid
from .passes.data.model import InputSpec, Model
from .passes.data.plan import Plan
from .passes.data.records import decode
from .passes.data.values import Cut, Cuts, Value


def input_of(record: Mapping[str, Any]) -> InputSpec:
    """What the stitched network must be given."""
    return decode(InputSpec, record["input"])


def plan_of(record: Mapping[str, Any]) -> Plan:
    """The models, without their networks, and the hybrid, without its graph, that a plan document tells of."""
    chain, cuts = _chain(record)
    return Plan(tuple(_model(record, known) for known in record["models"]), record["seed"], cuts,
                hybrids=(Hybrid("hybrid", chain),))  # fmt: skip


def _model(record: Mapping[str, Any], known: Mapping[str, Any]) -> Model:
    spec = decode(InputSpec, known.get("input") or record["input"])
    return Model(known["name"], spec, source=known["source"], sha256=known["sha256"], licence=known["licence"])


def _chain(record: Mapping[str, Any]) -> tuple[Chain, tuple[Cuts, ...]]:
    """The chain, and of each model the cuts that it names."""
    names = [known["name"] for known in record["models"]]
    cuts: list[list[Cut]] = [[] for _ in names]

    def index(model: int, link: Mapping[str, Any], end: str) -> int | None:
        if link[end] is None:
            return None
        cuts[model].append(Cut(len(cuts[model]), link[end], link.get(f"{end}_path") or "", Value((), "NC")))
        return len(cuts[model]) - 1

    fragments = []
    for link in record["chain"]:
        if "model" in link:
            model = names.index(link["model"])
            fragments.append(Fragment(model, index(model, link, "from"), index(model, link, "to")))
    adapters = tuple(link["adapter"]["name"] for link in record["chain"] if "adapter" in link)
    return Chain(tuple(fragments), adapters), tuple(Cuts("", tuple(found)) for found in cuts)
