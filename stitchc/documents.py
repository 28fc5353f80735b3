"""The JSON documents of the verbs, made from plans. Their keys are a contract: add, but change and drop none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from .passes.data import metrics
from .passes.data.plan import AdapterUse, Fragment
from .passes.data.records import encode
from .passes.data.values import Price

if TYPE_CHECKING:
    import numpy as np

    from .evaluate import Accuracy
    from .passes.cost.conventions import Table
    from .passes.cost.stages import Stage
    from .passes.data.candidates import Candidate
    from .passes.data.healing import Healing
    from .passes.data.metrics import Metric
    from .passes.data.model import Model
    from .passes.data.plan import Plan, Verified
    from .passes.data.values import Cut
    from .passes.latency.clock import Timing

SCHEMA = 1


def inspect_document(plan: Plan) -> dict[str, Any]:
    """`stitchc inspect --json`: the cuts of the plan's first model."""
    (model, *_), (cuts, *_), (price, *_) = plan.models, plan.cuts, plan.prices
    return {
        "schema": SCHEMA,
        "model": {
            "name": model.name,
            "source": model.source,
            **_amounts(price, metrics.counts()),
            "input": list(model.input.size),
        },
        "rule": cuts.rule,
        "cuts": [_cut(cut) for cut in cuts.cuts],
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
    document["candidates"] = [candidate_record(plan, candidate) for candidate in ranked(plan, top)]
    document["timed"] = [asdict(timed) for timed in plan.timed]
    document["rank"] = plan.candidates.rank if plan.candidates is not None else None
    document["stages"] = [asdict(stage) for stage in plan.stages]
    return document | {"notes": notes(plan)}


def pareto_record(plan: Plan, axes: Sequence[str], rows: Sequence[int], knee: int | None) -> dict[str, Any]:
    """The key `pareto` of a comparison: the candidates of the front, best first in the first metric."""
    assert plan.candidates is not None
    return {
        "metrics": list(axes),
        "candidates": [candidate_record(plan, plan.candidates[row]) | {"knee": row == knee} for row in rows],
    }


def cost_document(
    model: Model,
    price: Price,
    uncounted: Mapping[str, int],
    *,
    stages: Sequence[Stage] = (),
    timing: Timing | None = None,
    conventions: tuple[Table, Sequence[str]] | None = None,
) -> dict[str, Any]:
    """`stitchc cost --json`."""
    document = {
        "schema": SCHEMA,
        "model": {"name": model.name, "source": model.source},
        "cost": price.as_dict(),
        "uncounted": dict(uncounted),
        "stages": [_stage(stage) for stage in stages],
        "latency": asdict(timing) if timing else None,
    }
    if conventions:
        table, why = conventions
        totals = {name: sum(kinds.values()) for name, kinds in table.items()}
        document["conventions"] = {"totals": totals, "kinds": {n: dict(k) for n, k in table.items()}, "why": list(why)}
    return document


def eval_document(model: str, accuracy: Accuracy) -> dict[str, Any]:
    """`stitchc eval --json`."""
    return {"schema": SCHEMA, "model": model, **asdict(accuracy)}


def verify_document(verified: Verified) -> dict[str, Any]:
    """`stitchc verify --json`, and the key `verified` of a plan."""
    return {"schema": SCHEMA, **verified_record(verified)}


def plan_document(
    plan: Plan, *, accuracy: Accuracy | None = None, parents: Sequence[Accuracy | None] = ()
) -> dict[str, Any]:
    """`stitchc compile --json` and `plan.json`, but for the files, versions and seconds that an artifact adds.

    accuracy: of the hybrid; parents: of the models, on the same images. Where None, a model's own record speaks.
    """
    measured = [*parents, *[None] * len(plan.models)][: len(plan.models)]
    best = plan.choice[0] if plan.choice else None
    table = plan.candidates
    front = plan.models[_front(plan)].input
    return {
        "schema": SCHEMA,
        "models": [_model(plan, index, found) for index, found in enumerate(measured)],
        "input": encode(front),
        "budget": {metric: _whole(limit) for metric, limit in plan.budget.items()},
        "candidates": {"total": len(table), "feasible": int(table.feasible.sum())} if table is not None else None,
        "chain": _chain(plan, best),
        "similarity": number(best.similarity) if best else None,
        "similarity_metric": plan.similarity[0].metric if plan.similarity else None,
        "probe": {"data": plan.images.name, "images": plan.similarity[0].images}
        if plan.images and plan.similarity
        else None,
        "rank": table.rank if table is not None else None,
        "stages": [asdict(stage) for stage in plan.stages],
        "score": number(best.score) if best else None,
        "cost": (plan.price or (best.price if best else Price())).as_dict(),
        "trainable_params": sum(_trainable(link) for link in plan.chain if isinstance(link, AdapterUse)),
        "accuracy": asdict(accuracy) if accuracy else None,
        "healing": _healing(plan.healing) if plan.healing else None,
        "timed": [asdict(timed) for timed in plan.timed],
        "verified": verified_record(plan.verified) if plan.verified else None,
        "seed": plan.seed,
        "notes": notes(plan),
    }


def verified_record(verified: Verified) -> dict[str, Any]:
    return {key: number(value) if isinstance(value, float) else value for key, value in asdict(verified).items()} | {
        "batches": list(verified.batches)
    }


def candidate_record(plan: Plan, candidate: Candidate) -> dict[str, Any]:
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


def notes(plan: Plan) -> list[str]:
    """What a report must say first: the plan's own notes, then each model's, with its name."""
    return [*plan.notes, *(f"{model.name}: {note}" for model in plan.models for note in model.notes)]


def label(cut: Cut) -> str:
    """A cut by the module whose output it is or, within a module, by its node: so it is told apart from others."""
    return cut.path if cut.path and cut.path in cut.paths else cut.node


def number(value: float | None) -> float | None:
    """JSON has no NaN."""
    return None if value is None or math.isnan(value) else float(value)


def _amounts(price: Price, asked: Iterable[Metric]) -> dict[str, float | None]:
    return {metric.key: price.get(metric.name) for metric in asked}


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "path": stage.path,
        **_amounts(stage.sums, metrics.sums()),
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


def _model(plan: Plan, index: int, measured: Accuracy | None) -> dict[str, Any]:
    model = plan.models[index]
    price = plan.prices[index] if index < len(plan.prices) else Price()
    return {
        "name": model.name,
        "source": model.source,
        "sha256": model.sha256,
        "licence": model.licence,
        **price.as_dict(),
        "accuracy": measured.top1 if measured else model.accuracy,
        "accuracy_on": measured.data if measured else ("its own record" if model.accuracy is not None else None),
    }


def _chain(plan: Plan, best: Candidate | None) -> list[dict[str, Any]]:
    """The chain, or the one that the best candidate would become: what a dry run shows."""
    links = plan.chain or (_chain_of(plan, best) if best else ())
    records: list[dict[str, Any]] = []
    for index, link in enumerate(links):
        if isinstance(link, Fragment):
            start, end = _find(plan, link, link.start), _find(plan, link, link.end)
            records.append({
                "model": plan.models[link.model].name, "from": link.start, "to": link.end,
                "from_path": start and start.path, "to_path": end and end.path,
                "from_label": start and label(start), "to_label": end and label(end),
            })  # fmt: skip
            continue
        before, after = links[index - 1], links[index + 1]
        assert isinstance(before, Fragment) and isinstance(after, Fragment)
        given, wanted = _find(plan, before, before.end), _find(plan, after, after.start)
        records.append({"adapter": {
            "name": link.name, **_amounts(link.price, metrics.sums()),
            "residual": number(link.residual), "ridge": number(link.ridge),
            "from_shape": given and list(given.value.shape), "from_layout": given and given.value.layout,
            "to_shape": wanted and list(wanted.value.shape), "to_layout": wanted and wanted.value.layout,
        }})  # fmt: skip
    return records


def _chain_of(plan: Plan, candidate: Candidate) -> tuple[Fragment | AdapterUse, ...]:
    (front, i), (back, j) = candidate.front, candidate.back
    leaves, enters = plan.cuts[front][i], plan.cuts[back][j]
    adapter = candidate.price - (leaves.before or Price()) - (enters.after or Price())
    return (
        Fragment(front, None, leaves.node),
        AdapterUse(candidate.adapter, adapter),
        Fragment(back, enters.node, None),
    )


def _end(plan: Plan, end: tuple[int, int]) -> dict[str, Any]:
    model, index = end
    cut = plan.cuts[model][index]
    return {"model": plan.models[model].name, "cut": cut.node, "path": cut.path, "index": cut.index}


def _trainable(adapter: AdapterUse) -> int:
    """A folded adapter has no weights of its own: its price is what it adds to the back's."""
    from .passes import adapters

    return 0 if adapters.get(adapter.name).folds else int(adapter.price["params"])


def _find(plan: Plan, fragment: Fragment, node: str | None) -> Cut | None:
    """The cut of a fragment's model at a node; None at the model's own ends."""
    if node is None or fragment.model >= len(plan.cuts):
        return None
    return next((cut for cut in plan.cuts[fragment.model].cuts if cut.node == node), None)


def _front(plan: Plan) -> int:
    """The model that the image enters."""
    if plan.chain and isinstance(plan.chain[0], Fragment):
        return plan.chain[0].model
    return plan.choice[0].front[0] if plan.choice else 0


def _healing(healing: Healing) -> dict[str, Any]:
    """Before, after, and what each block changed; shares and nats on the probe images that were held out."""
    return {
        "images": healing.images,
        "held_out": healing.held_out,
        "agreement_before": healing.agreement,
        "agreement": healing.healed_agreement,
        "divergence_before": number(healing.divergence),
        "divergence": number(healing.healed_divergence),
        "blocks": [encode(block) for block in healing.blocks],
    }


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value
