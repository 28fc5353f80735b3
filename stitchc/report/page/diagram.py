"""The chain drawn as boxes: fragments in their models' colours, adapters between, shapes on the lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...passes.data import metrics
from ...passes.data.chain import Fragment
from ...passes.data.plan import Plan
from ...passes.data.values import Price
from ..numbers import amount, percent, shape
from ..table import short
from .markup import Html, join, tag
from .markup import name as breakable
from .members import Member, members


@dataclass(frozen=True)
class Diagram:
    """record: a plan document. plan: with priced cuts, None where they are not at hand and costs are left out."""

    record: Mapping[str, Any]
    plan: Plan | None = None

    def html(self) -> Html:
        """A list in the order in which it runs, in a row where there is room, else in a column; one for each chain."""
        return join(*(self._drawn(member) for member in members(self.record, self.plan)))

    def _drawn(self, member: Member) -> Html:
        names = [model["name"] for model in self.record["models"]]
        shown = dict(zip(names, short(names), strict=True))
        costs = self._costs(member)
        whole = member.cost.get("macs")
        boxes = [_end("image", shape(self.record["input"]["size"]))]
        for k, link in enumerate(member.links):
            if "adapter" in link:
                adapter = link["adapter"]
                boxes += [_wire(adapter.get("from_shape")), _adapter(adapter, whole), _wire(adapter.get("to_shape"))]
            else:
                boxes += [] if k else [_wire(None)]
                boxes.append(_fragment(link, names.index(link["model"]), shown[link["model"]], costs[k], whole))
        classes = self.record.get("class_names")
        boxes += [_wire(None), _end("scores", f"{len(classes)} classes" if classes else "")]
        title = tag("h3", member.title) if member.title else None
        return join(title, tag("ol", *boxes, class_="chain", aria_label=f"The chain {member.title}".rstrip()))

    def _costs(self, member: Member) -> list[Price | None]:
        """Of each link what it costs, where that is known: of adapters it is in the record."""
        if member.chain is None or self.plan is None:
            return [None] * len(member.links)
        own = iter(member.chain.fragments)
        return [None if "adapter" in link else _priced(self.plan, next(own)) for link in member.links]


def _priced(plan: Plan, fragment: Fragment) -> Price | None:
    if fragment.model >= len(plan.prices):
        return None
    cuts = plan.cuts[fragment.model].cuts
    end = plan.prices[fragment.model] if fragment.end is None else cuts[fragment.end].before
    start = Price() if fragment.start is None else cuts[fragment.start].before
    if end is None or start is None:
        return None
    return end if fragment.start is None else end - start


def _fragment(link: Mapping[str, Any], model: int, name: str, cost: Price | None, whole: float | None) -> Html:
    start, end = (link.get(f"{side}_label") or link[side] for side in ("from", "to"))
    span = tag(
        "span", tag("code", breakable(start or "input")), " → ", tag("code", breakable(end or "output")), class_="span"
    )
    return tag("li", tag("b", breakable(name)), span, *_amounts(cost or {}, whole), class_=f"box fragment m{model % 6}")


def _adapter(adapter: Mapping[str, Any], whole: float | None) -> Html:
    cost = {m.name: adapter.get(m.key) for m in metrics.sums()}
    residual = adapter.get("residual")
    fitted = tag("span", f"unexplained variance {percent(residual)}", class_="dim") if residual is not None else None
    name = tag("code", adapter["name"])
    return tag("li", tag("b", "adapter"), tag("span", name, class_="span"), *_amounts(cost, whole), fitted,
               class_="box adapter")  # fmt: skip


def _amounts(cost: Mapping[str, float | None], whole: float | None) -> list[Html]:
    said = [f"{amount(cost[m.name], m.unit)} {m.column}" for m in metrics.sums() if cost.get(m.name) is not None]
    if not said:
        return []
    macs = cost.get("macs")
    share = max(0.0, macs / whole) if macs is not None and whole else None
    bar = share is not None and tag(
        "span", tag("span", style=f"width:{min(share, 1):.1%}"), class_="bar",
        title=f"{percent(share, 0)} of the multiply-adds", role="img", aria_label=f"{percent(share, 0)} of the MACs",
    )  # fmt: skip
    return [tag("span", ", ".join(said), class_="dim"), *([bar] if bar else [])]


def _wire(sizes: Sequence[int] | None) -> Html:
    return tag("li", tag("span", shape(sizes) if sizes else "", class_="shape"), class_="wire")


def _end(what: str, said: str) -> Html:
    return tag("li", tag("b", what), tag("span", said, class_="dim") if said else None, class_="box end")
