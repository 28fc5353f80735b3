"""A hybrid beside what could be had instead, as a part of a plan document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .documents import chain_record, number
from .passes.data import metrics
from .passes.data.line import Line
from .passes.data.model import first_of
from .passes.data.records import encode

if TYPE_CHECKING:
    from .evaluate import Accuracy
    from .passes.data.plan import Plan
    from .passes.data.rivals import Recommended, Rival
    from .passes.data.values import Price

#: Standard errors to either side of a figure within which it lies 95 times of 100.
NORMAL = 1.959964


def comparison_record(plan: Plan, hybrid: Accuracy | None, parents: Sequence[Accuracy | None]) -> dict[str, Any]:
    """The keys of a plan document that tell what the hybrid was compared to: `hybrid`, `rivals`, `recommended`,
    `recommendation`, and `written`, what the artifact holds; none of them where nothing was compared.

    hybrid, parents: accuracy on the same images, None where it was not measured. The line is between parents at the
    input sizes that they were given with.
    """
    found = plan.recommended
    if found is None:
        return {}
    images = hybrid.images if hybrid else None
    metric = next(iter(plan.budget), "macs")
    given = [(plan.prices[k], parents[k]) for k, own in enumerate(first_of(plan.models)) if own == k]
    line = Line([(price.get(metric), accuracy.top1 if accuracy else None) for price, accuracy in given])
    own = plan.hybrid
    assert own.price is not None

    def figures(price: Price, score: float | None, accuracy: float | None) -> dict[str, Any]:
        between = None if accuracy is None or images is None else list(interval(accuracy, images))
        over = line.over(price.get(metric), accuracy)
        return {
            "cost": price.as_dict(), "score": number(score), "accuracy": accuracy, "interval": between,
            "over_line": over,
        }  # fmt: skip

    return {
        "hybrid": {
            "input": encode(plan.input_of(own.chain)), "chain": chain_record(plan, own.chain, own.adapters),
            **figures(own.price, found.score, hybrid.top1 if hybrid else None),
        },
        "rivals": [_named(plan, rival) | figures(rival.price, rival.score, rival.accuracy) for rival in plan.rivals],
        "written": "hybrid",
        "recommended": "hybrid" if found.rival is None else found.rival,
        "recommendation": _recommendation(found, metric),
    }  # fmt: skip


def _named(plan: Plan, rival: Rival) -> dict[str, Any]:
    chain: list[dict[str, Any]] = []
    if rival.hybrid is not None and rival.parent is not None:
        chain = chain_record(plan, rival.hybrid.chain, rival.hybrid.adapters)
    elif rival.hybrid is not None:
        chain = [dict.fromkeys(("from", "to", "from_path", "to_path", "from_label", "to_label"))]
        chain[0] = {"model": rival.model.name, **chain[0]}
    return {
        "kind": rival.kind, "model": rival.model.name, "source": rival.model.source,
        "input": encode(rival.model.input), "chain": chain, "within": rival.within, "reason": rival.reason,
        "trained": rival.trained,
    }  # fmt: skip


def _recommendation(found: Recommended, metric: str) -> dict[str, Any]:
    """What it rests on. lead_interval: of 95 %, from the differences on the same images; it leaves out that the best of
    several looks better than it is."""
    spread = None
    if found.lead is not None and found.error is not None:
        spread = [found.lead - NORMAL * found.error, found.lead + NORMAL * found.error]
    over = None if found.lead is None else "hybrid" if found.over is None else found.over
    return {
        "by": found.by, "images": found.images, "over": over, "lead": found.lead, "error": number(found.error),
        "lead_interval": spread, "dominated_by": list(found.dominated), "line_metric": metrics.get(metric).name,
    }  # fmt: skip


def interval(share: float, images: int) -> tuple[float, float]:
    """Wilson's interval of 95 % around a share of so many images."""
    z = NORMAL**2 / images
    middle = (share + z / 2) / (1 + z)
    half = NORMAL * (share * (1 - share) / images + z / images / 4) ** 0.5 / (1 + z)
    return middle - half, middle + half
