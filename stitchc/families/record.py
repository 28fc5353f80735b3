"""What plan.json tells of a family beside its members' networks: how they were chosen, and what they stand beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..documents import number
from ..passes.data.budget import format_quantity
from ..passes.data.line import Line
from ..passes.data.records import encode

if TYPE_CHECKING:
    from ..evaluate import Accuracy
    from ..passes.data.family import Family, Member
    from ..passes.data.model import Model
    from ..passes.data.plan import Plan
    from ..passes.data.values import Price
    from ..passes.family.candidates import Network
    from ..passes.family.choose import Offer
    from ..passes.family.study import Study
    from .budgets import Wanted
    from .options import FamilyOptions

#: A network with what it is compared by: its name, its price, its score.
Standing = tuple[str, "Price", float]


@dataclass(frozen=True, eq=False)
class Told:
    """A family with all that was measured of it. accuracy: of the members by name, None where it was not measured.
    rivals: the models on smaller images that are no members, as they were compared, and with their accuracy."""

    plan: Plan
    family: Family
    wanted: Wanted
    study: Study
    accuracy: Mapping[str, Accuracy | None]
    rivals: Sequence[tuple[Model, Network, Accuracy | None]] = ()

    def members(self) -> Iterator[tuple[Member, Network]]:
        """Each member with what was compared, from cheap to expensive."""
        return zip(self.family.members, self.study.chosen(), strict=True)

    def top1(self, member: Member) -> float | None:
        """Its accuracy."""
        found = self.accuracy.get(member.name)
        return found.top1 if found else None


def family_record(told: Told, options: FamilyOptions) -> dict[str, Any]:
    """The keys `budgets`, `rivals` and `family`; and under `members`, what each member's record has beside its network:
    its score, by how much its accuracy lies over the line between the models, the bytes that the file holds for it
    beyond those of the models and of cheaper members, and the names of what it is dominated by."""
    metric, study = told.wanted.metric, told.study
    given = [member for member, one in told.members() if one.given]
    line = Line((price_of(member)[metric], told.top1(member)) for member in given)
    adds = dict(_added(told.plan, told.family))
    standing = [(member.name, one.price, one.score) for member, one in told.members()]
    standing += [(model.name, one.price, one.score) for model, one, _ in told.rivals]
    return {
        "members": {
            member.name: {
                "score": number(one.score),
                "over_line": None if one.given else line.over(one.price[metric], told.top1(member)),
                "adds_bytes": adds[member.name],
                "dominated_by": dominating((member.name, one.price, one.score), standing, metric),
            }
            for member, one in told.members()
        },
        "budgets": list(_budgets(told)) if told.wanted.devices else [],
        "rivals": [_rival(model, one, found, line, metric) for model, one, found in told.rivals],
        "family": {
            "metric": metric, "share": options.share, "price": options.price,
            "models_bytes": study.models_bytes, "members_bytes": sum(adds.values()),
            "tried": study.tried, "below_line": study.below, "healed": study.healed,
            "score": study.rule, "score_images": study.images,
        },
    }  # fmt: skip


def price_of(member: Member) -> Price:
    """What a member takes."""
    assert member.hybrid.price is not None
    return member.hybrid.price


def _added(plan: Plan, family: Family) -> Iterator[tuple[str, int]]:
    """Of each member the bytes that neither the models nor cheaper members have: of its weights, and of what makes its
    images of the family's."""
    from ..passes.emit.conversion import conversions
    from ..passes.family.weights import added, contents

    first, held = conversions(plan, family), contents(plan.graphs)
    for member in family.members:
        new = added(member.hybrid.network, held)
        if member.name in first:
            new |= added(first[member.name], held)
        held |= new
        yield member.name, sum(new.values())


def dominating(own: Standing, others: Sequence[Standing], metric: str) -> list[str]:
    """The names of those that take no more and score no less, and are better in one of the two."""
    name, price, score = own
    return [
        other for other, its, value in others
        if other != name and its[metric] <= price[metric] and value >= score
        and (its[metric] < price[metric] or value > score)
    ]  # fmt: skip


def _rival(model: Model, one: Network, found: Accuracy | None, line: Line, metric: str) -> dict[str, Any]:
    top1 = found.top1 if found else None
    return {
        "kind": "smaller-input", "model": model.name, "input": encode(model.input),
        "cost": one.price.as_dict(), "score": number(one.score), "accuracy": top1,
        "over_line": line.over(one.price[metric], top1),
    }  # fmt: skip


def _budgets(told: Told) -> Iterator[dict[str, Any]]:
    """Each budget that somebody named, or that a device has, with the member that serves it, and a sentence where that
    is no stitch or none does."""
    names = {one.chain: member.name for member, one in told.members()}
    offers = [one.offer(told.wanted.timed) for one in told.study.networks]
    stated = zip(told.wanted.budgets, told.wanted.devices, told.study.serving, strict=True)
    for budget, device, serving in stated:
        name = None if serving is None else names[told.study.networks[serving].chain]
        said = _said(told, offers, budget, serving, name)
        yield {"device": device, "limits": dict(budget), "member": name, "said": said}


def _said(
    told: Told, offers: Sequence[Offer], budget: Mapping[str, float], serving: int | None, name: str | None
) -> str | None:
    """What is to be said where no stitch serves a budget."""
    words, networks = limits_text(budget), told.study.networks
    if serving is None:
        return f"Within {words} there is none: {_lacking(offers, budget)}."
    if not networks[serving].whole:
        return None
    within = [one for one, offer in zip(networks, offers, strict=True) if not one.whole and offer.within(budget)]
    best = max(within, key=lambda one: one.score, default=None)
    own = networks[serving].score
    if best is None:
        return f"Within {words}, {name} serves: no stitch that was tried is within it."
    if best.score <= own:
        return f"Within {words}, {name} serves: the best stitch scores {best.score:.3f}, and {name} {own:.3f}."
    return (
        f"Within {words}, {name} serves: the best stitch scores {best.score - own:.4f} more, which is not worth the "
        f"{format_quantity(sum(best.adds.values()), 'size')} that it adds."
    )


def _lacking(offers: Sequence[Offer], budget: Mapping[str, float]) -> str:
    """Which limits no network meets, with the least of each; or that no network meets all."""
    least = {metric: min(offer.cost[metric] for offer in offers) for metric in budget}
    above = {metric: amount for metric, amount in least.items() if amount > budget[metric]}
    if not above:
        return "each limit is met by some network that was tried, and all by none"
    return "the least of all that were tried is " + limits_text(above)


def limits_text(budget: Mapping[str, float]) -> str:
    """A budget in words: "4.00 MMACs and 150 k params"."""
    said = []
    for name, limit in budget.items():
        metric, _, device = name.partition(" on ")
        said.append(format_quantity(limit, metric) + (f" on {device}" if device else ""))
    return " and ".join(said)
