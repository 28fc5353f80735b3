"""The JSON document of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..documents import SCHEMA, chain_record, notes, number

if TYPE_CHECKING:
    from ..passes.data.plan import Plan
    from ..passes.search.chains import Tried
    from ..passes.search.losses import Trust
    from ..search import Searched


def search_document(searched: Searched, keep: int | None = None) -> dict[str, Any]:
    """`stitchc search --json`: the pool, and the chains that were stitched, the best first, at most `keep`.

    score: of a chain as it comes out of the search, after healing where it was healed; unhealed: before; expected: what
    the losses of its seams add up to; similarity: the product of those at its seams, which is the score of StitchNet's
    algorithm; words: what `compile` takes as `chain`. accuracy: where it was measured; of the chosen one as it was
    written, fitted on all images. chosen: its index, None where none was written. plan: what the plan.json of its
    artifact holds. ensemble: the indices of the chains that vote, of all that were stitched, and the score of their
    joint vote.
    """
    plan, found = searched.pool, searched.found
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "pool": pool_record(plan),
        "chains": [_chain(plan, one) for one in searched.chains[:keep]],
        "chosen": 0 if searched.plan is not None else None,
    }
    if found is not None and len(found.members) > 1:
        document["ensemble"] = {"members": list(found.members), "score": number(found.voted)}
    if found is not None:
        document["search"] = {
            "stitched": found.stitched, "stopped": found.stopped, "probed": found.probed,
            "unsettled": found.unsettled, "seam_losses": _trust(found.seams), "chain_scores": _trust(found.chains),
        }  # fmt: skip
    if searched.budgets:
        document |= _front(searched)
    if searched.record is None:
        return document | {"notes": notes(plan)}
    accuracy = searched.record["accuracy"]
    document["chains"][0]["accuracy"] = accuracy and accuracy["top1"]
    return document | {"plan": dict(searched.record), "notes": list(searched.record["notes"])}


def _front(searched: Searched) -> dict[str, Any]:
    """The keys of a sweep: `front`, of each budget the index of its best chain; `models` beside them, on smaller images
    too; and `chains`, those of the front."""
    from .sweep import chosen

    best = chosen(searched.chains, searched.budgets)
    used = sorted({index for index in best if index is not None})
    front = [
        {"budget": dict(budget), "chain": None if index is None else used.index(index)}
        for budget, index in zip(searched.budgets, best, strict=True)
    ]
    return {
        "chains": [_chain(searched.pool, searched.chains[index]) for index in used],
        "front": front,
        "models": [{"name": m.name, "cost": price.as_dict(), "accuracy": top1} for m, price, top1 in searched.beside],
    }


def pool_record(plan: Plan) -> dict[str, Any]:
    """The fragments of a pool, one more of each model than it has cuts: those that begin with the input, those that end
    with the output, and those between. A model without cuts is one fragment that is both the first and the last."""
    cuts = [len(own) for own in plan.cuts]
    return {
        "models": [{"name": model.name, "source": model.source, "fragments": count + 1, **price.as_dict()}
                   for model, count, price in zip(plan.models, cuts, plan.prices, strict=True)],
        "rule": plan.cuts[0].rule,
        "fragments": sum(cuts) + len(cuts),
        "starting": len(cuts),
        "middle": sum(max(0, count - 1) for count in cuts),
        "terminating": len(cuts),
    }  # fmt: skip


def _chain(plan: Plan, one: Tried) -> dict[str, Any]:
    from ..passes.stitch.join import adapter_use
    from ..passes.stitch.stated import words_of

    return {
        "chain": chain_record(plan, one.chain, [adapter_use(plan, seam) for seam in one.chain.seams()]),
        "score": number(one.score), "healed": one.healed is not None, "unhealed": number(one.unhealed),
        "expected": number(one.expected), "similarity": number(one.similarity),
        "cost": one.price.as_dict(), "accuracy": one.accuracy, "words": words_of(plan, one.chain),
    }  # fmt: skip


def _trust(trust: Trust | None) -> dict[str, Any] | None:
    if trust is None:
        return None
    return {"cases": trust.cases, "rank_correlation": trust.rank_correlation, "error": trust.error}
