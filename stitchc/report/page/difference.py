"""The seam as a difference of graphs: which blocks of the models are kept, healed or dropped, and what is new."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...passes.data import metrics
from ...passes.data.plan import Plan
from ...passes.data.values import Price
from ..blocks import Block, Change, changes
from ..numbers import amount, percent, shape, significant
from ..table import short
from .from_rich import scrolling
from .markup import Html, join, tag
from .members import Member, members

_SIGNS = {"kept": "=", "healed": "~", "dropped": "−", "new": "+"}
_KINDS = 3  # of operators named in a row; the rest is counted


@dataclass(frozen=True)
class Difference:
    """The blocks of all models of a plan's hybrid, or of what it would be. record: its plan document."""

    plan: Plan
    record: Mapping[str, Any]

    def html(self) -> Html:
        """A strip for each model, its blocks as wide as what they compute; then all changes in the order of the
        chain, which open to their blocks. Of chains that vote, each in turn."""
        key = (tag("span", _sign(state), f" {state}", class_=f"key {state}") for state in _SIGNS)
        return join(tag("p", *key, class_="keys"), *map(self._drawn, members(self.record, self.plan)))

    def _drawn(self, member: Member) -> Html:
        assert member.chain is not None
        found = changes(self.plan, member.chain, member.healing)
        names = short([model.name for model in self.plan.models])
        models = list(dict.fromkeys(change.model for change in found if change.model is not None))
        strips = (_strip(model, names[model], [c for c in found if c.model == model]) for model in models)
        return join(
            tag("h3", member.title) if member.title else None,
            tag("div", *strips, class_="strips"),
            tag("div", *(_change(c, names, member.adapters) for c in found), class_="changes"),
        )


def _strip(model: int, name: str, found: Sequence[Change]) -> Html:
    """All blocks of a model side by side."""
    parts = sorted(((b, _state(c, b)) for c in found for b in c.blocks), key=lambda part: part[0].index)
    total = sum(_macs(b) for b, _ in parts) or 1
    kept = [b for b, state in parts if state != "dropped"]
    share = sum(map(_macs, kept)) / total
    said = f"{len(kept)} of {len(parts)} blocks kept, {percent(share, 0)} of its multiply-adds"
    cells = (
        tag("span", class_=state, style=f"flex-grow:{max(_macs(b) / total, 0.002) * 1000:.0f}",
            title=f"{b.name}: {state}{_costs(b.price)}")
        for b, state in parts
    )  # fmt: skip
    head = tag("div", tag("b", name), tag("span", said, class_="dim"), class_="lane-head")
    return tag("div", head, tag("div", *cells, class_="strip", role="img", aria_label=f"{name}: {said}"),
               class_=f"lane m{model % 6}")  # fmt: skip


def _state(change: Change, block: Block) -> str:
    return "healed" if change.state == "kept" and block.is_healed else change.state


def _macs(block: Block) -> float:
    return (block.price.get("macs") or 0) if block.price is not None else 0


def _change(change: Change, names: Sequence[str], adapters: Sequence[Mapping[str, Any]]) -> Html:
    if change.model is None:
        assert change.seam is not None
        return _new(adapters[change.seam])
    first, last = change.blocks[0].name, change.blocks[-1].name
    count = len(change.blocks)
    span = first if count == 1 else f"{first} … {last}"
    healed = sum(block.is_healed for block in change.blocks)
    state = "healed" if healed else change.state
    prices = [block.price for block in change.blocks if block.price is not None]
    total = sum(prices[1:], start=prices[0]) if len(prices) == count else None
    said = f"{count} {'block' if count == 1 else 'blocks'} {change.state}"
    more = f", {healed} of them healed" if healed else ""
    head = tag(
        "summary", _sign(state),
        tag("span", tag("b", names[change.model], class_="model"), " ", tag("code", span), class_="what"),
        tag("span", f"{said}{more}{_costs(total)}", class_="dim"),
    )  # fmt: skip
    return tag("details", head, _blocks(change), class_=f"change {state} m{change.model % 6}")


def _new(adapter: Mapping[str, Any]) -> Html:
    given, wanted = (shape(adapter.get(f"{side}_shape") or ()) for side in ("from", "to"))
    said = f"{given} → {wanted}" if given and wanted else ""
    price = Price({metric.name: adapter.get(metric.key) for metric in metrics.sums()})
    residual = adapter.get("residual")
    unexplained = "" if residual is None else f", unexplained variance {percent(residual)}"
    what = tag("span", tag("b", "adapter", class_="model"), " ", tag("code", adapter["name"]), class_="what")
    told = tag("span", f"new: {said}{_costs(price)}{unexplained}", class_="dim")
    return tag("div", tag("div", _sign("new"), what, told, class_="summary"), class_="change new")


def _blocks(change: Change) -> Html:
    head = tag("tr", *(tag("th", name, scope="col", class_=side) for name, side in (
        ("", None), ("block, by its end", None), ("what it calls", None), ("shape at its end", None),
        ("MACs", "number"), ("params", "number"), ("healed", None),
    )))  # fmt: skip
    rows = (tag("tr", *_cells(block, _state(change, block)), class_=_state(change, block)) for block in change.blocks)
    return scrolling(tag("table", tag("thead", head), tag("tbody", *rows)), "Blocks")


def _cells(block: Block, state: str) -> Iterator[Html]:
    yield tag("td", _sign(state))
    yield tag("td", tag("code", block.name))
    yield tag("td", _operators(block))
    yield tag("td", shape(block.shape) or "-")
    for name in ("macs", "params"):
        value = block.price.get(name) if block.price is not None else None
        yield tag("td", amount(value, metrics.get(name).unit), class_="number")
    yield tag("td", "; ".join(map(_healed, block.healed)))


def _healed(one: Mapping[str, Any]) -> str:
    if not one["kept"]:
        return f"{one['path']}: undone"
    return (
        f"{one['path']}: {one['operators']} refitted, divergence {significant(one['divergence'], 2)} nats after, "
        f"agreement {percent(one['agreement'])}"
    )


def _operators(block: Block) -> str:
    """`2 Conv2d, ReLU`: what a block calls, the most frequent first."""
    kinds = sorted(block.operators.items(), key=lambda item: -item[1])
    named = [name if times == 1 else f"{times} {name}" for name, times in kinds[:_KINDS]]
    rest = sum(times for _, times in kinds[_KINDS:])
    return ", ".join([*named, *([f"{rest} more"] if rest else [])])


def _costs(price: Price | None) -> str:
    if price is None:
        return ""
    known = [metric for metric in metrics.sums() if price.get(metric.name) is not None]
    return "".join(f", {amount(price[metric.name], metric.unit)} {metric.column}" for metric in known)


def _sign(state: str) -> Html:
    return tag("span", _SIGNS[state], class_="sign", aria_hidden="true")
