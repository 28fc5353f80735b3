"""The documents of the verbs that only look: inspect, compare, cost, eval, verify."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..passes.data import metrics
from ..passes.data.records import encode
from ..passes.data.values import Price, added
from .plan import verified_record
from .words import SCHEMA, amounts, notes, number

if TYPE_CHECKING:
    import numpy as np

    from ..evaluate import Accuracy
    from ..other_counters import Comparison
    from ..passes.cost.conventions import Table
    from ..passes.cost.stages import Stage
    from ..passes.data.candidates import Candidate
    from ..passes.data.hybrid import Verified
    from ..passes.data.model import Model
    from ..passes.data.plan import Plan
    from ..passes.data.values import Cut
    from ..passes.latency.clock import Timing


def inspect_document(plan: Plan) -> dict[str, Any]:
    """`stitchc inspect --json`: the cuts of the plan's first model."""
    (model, *_), (cuts, *_), (price, *_) = plan.models, plan.cuts, plan.prices
    return {
        "schema": SCHEMA,
        "model": {
            "name": model.name,
            "source": model.source,
            **amounts(price, metrics.counts()),
            "input": list(model.input.size),
        },
        "input": encode(model.input),
        "rule": cuts.rule,
        "cuts": [_cut(cut) for cut in cuts.cuts],
        "uncounted": dict(plan.uncounted[0]),
        "fragments": len(cuts) + 1,
        "rejected": [asdict(rejected) for rejected in cuts.rejected],
        "notes": notes(plan),
    }


def compare_document(plan: Plan, top: int | None = None) -> dict[str, Any]:
    """`stitchc compare --json`: the similarity matrix and the candidates, best first, at most `top`."""
    document: dict[str, Any] = {"schema": SCHEMA, "models": [model.name for model in plan.models]}
    if plan.similarity:
        pair = plan.similarity[0]
        document["similarity"] = {
            "metric": pair.metric,
            "images": pair.images,
            "data": plan.images.name if plan.images else None,
            "rows": [cut.node for cut in plan.cuts[pair.a].cuts],
            "columns": [cut.node for cut in plan.cuts[pair.b].cuts],
            "matrix": _rows(pair.matrix),
        }
        if pair.low is not None and pair.high is not None:
            interval = {"confidence": pair.confidence, "low": _rows(pair.low), "high": _rows(pair.high)}
            document["similarity"]["interval"] = interval
    document["candidates"] = [_candidate(plan, candidate) for candidate in ranked(plan, top)]
    document["uncounted"] = added(plan.uncounted)
    document["timed"] = [asdict(timed) for timed in plan.timed]
    document["rank"] = plan.candidates.rank if plan.candidates is not None else None
    document["stages"] = [asdict(stage) for stage in plan.stages]
    return document | {"notes": notes(plan)}


def pareto_record(plan: Plan, axes: Sequence[str], rows: Sequence[int], knee: int | None) -> dict[str, Any]:
    """The key `pareto` of a comparison: the candidates of the front, best first in the first metric."""
    assert plan.candidates is not None
    return {
        "metrics": list(axes),
        "candidates": [_candidate(plan, plan.candidates[row]) | {"knee": row == knee} for row in rows],
    }


def cost_document(
    model: Model,
    price: Price,
    uncounted: Mapping[str, int],
    *,
    stages: Sequence[Stage] = (),
    timing: Timing | None = None,
    conventions: tuple[Table, Sequence[str]] | None = None,
    check: Comparison | None = None,
) -> dict[str, Any]:
    """`stitchc cost --json`."""
    document = {
        "schema": SCHEMA,
        "model": {"name": model.name, "source": model.source},
        "input": encode(model.input),
        "notes": list(model.notes),
        "cost": price.as_dict(),
        "uncounted": dict(uncounted),
        "stages": [_stage(stage) for stage in stages],
        "latency": asdict(timing) if timing else None,
    }
    if check:
        document["check"] = {"macs": dict(check.macs), "why": list(check.why)}
    if conventions:
        table, why = conventions
        totals = {name: sum(kinds.values()) for name, kinds in table.items()}
        document["conventions"] = {"totals": totals, "kinds": {n: dict(k) for n, k in table.items()}, "why": list(why)}
    return document


def eval_document(name: str, model: Model, accuracy: Accuracy) -> dict[str, Any]:
    """`stitchc eval --json`. name: what the model was called."""
    said = {"input": encode(model.input), "notes": [*model.notes, *accuracy.notes]}
    return {"schema": SCHEMA, "model": name, **accuracy.as_dict(), **said}


def verify_document(verified: Verified) -> dict[str, Any]:
    """`stitchc verify --json`, and the key `verified` of a plan."""
    return {"schema": SCHEMA, **verified_record(verified)}


def _candidate(plan: Plan, candidate: Candidate) -> dict[str, Any]:
    """A candidate as an item of the key `candidates`."""
    return {
        "front": _end(plan, candidate.front),
        "back": _end(plan, candidate.back),
        "adapter": candidate.adapter,
        "similarity": number(candidate.similarity),
        "score": number(candidate.score),
        "cost": candidate.price.as_dict(),
        "feasible": candidate.feasible,
    }


def ranked(plan: Plan, top: int | None = None) -> Iterator[Candidate]:
    """The candidates from best to worst, only feasible ones once there is a budget; all when nobody ranked."""
    table = plan.candidates
    if table is None:
        return
    rows = table.order if len(table.order) or table.rank else range(len(table))
    for row in rows[:top]:
        yield table[int(row)]


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "path": stage.path,
        **amounts(stage.sums, metrics.sums()),
        "weights_bytes": stage.weights_bytes,
        "memory_bytes": stage.memory_bytes,
        "uncounted": stage.uncounted,
    }


def _rows(matrix: np.ndarray) -> list[list[float | None]]:
    return [[number(x) for x in row] for row in matrix.tolist()]


def _cut(cut: Cut) -> dict[str, Any]:
    around = {"before": cut.before or Price(), "after": cut.after or Price()}
    return {
        "index": cut.index,
        "node": cut.node,
        "path": cut.path,
        "shape": list(cut.value.shape),
        "layout": cut.value.layout,
        "tokens": cut.value.tokens,
    } | {f"{metric.key}_{side}": price.get(metric.name) for metric in metrics.sums() for side, price in around.items()}


def _end(plan: Plan, end: tuple[int, int]) -> dict[str, Any]:
    model, index = end
    cut = plan.cuts[model][index]
    return {"model": plan.models[model].name, "cut": cut.node, "path": cut.path, "index": cut.index}
