"""What plan.json holds of a plan, and `compile --json` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ..passes.data import metrics
from ..passes.data.chain import Chain, Fragment
from ..passes.data.hybrid import AdapterUse, Hybrid
from ..passes.data.records import encode
from ..passes.data.values import Price, added
from .words import SCHEMA, amounts, label, notes, number

if TYPE_CHECKING:
    from ..evaluate import Accuracy
    from ..passes.data.healing import Calibrated, Followed, Healing
    from ..passes.data.hybrid import Verified
    from ..passes.data.plan import Plan
    from ..passes.data.polishing import Polishing


def plan_document(
    plan: Plan, *, accuracy: Accuracy | None = None, parents: Sequence[Accuracy | None] = ()
) -> dict[str, Any]:
    """`stitchc compile --json` and `plan.json`, but for the files, versions and seconds that an artifact adds.

    accuracy: of the hybrid; parents: of the models, on the same images. Where None, the accuracy in a model's own
    record is taken.
    """
    measured = [*parents, *[None] * len(plan.models)][: len(plan.models)]
    best = plan.choice[0] if plan.choice else None
    hybrid = plan.hybrids[0] if plan.hybrids else None
    chain = hybrid.chain if hybrid else best.chain if best else None
    price = (hybrid and hybrid.price) or (best.price if best else Price())
    parts = (hybrid.members or (hybrid,)) if hybrid else ()
    chains = [one.chain for one in parts] or ([chain] if chain else [])
    table = plan.candidates
    return {
        "schema": SCHEMA,
        "models": [_model(plan, index, found) for index, found in enumerate(measured)],
        "input": encode(plan.input_of(chain) if chain else plan.models[0].input),
        "budget": {metric: _whole(limit) for metric, limit in plan.budget.items()},
        "candidates": {"total": len(table), "feasible": int(table.feasible.sum())} if table is not None else None,
        "chain": chain_record(plan, chain, _uses(plan, hybrid, chain)) if chain else [],
        **({"ensemble": [_member(plan, one) for one in hybrid.members]} if hybrid and hybrid.members else {}),
        "similarity": number(best.similarity) if best else None,
        "similarity_metric": plan.similarity[0].metric if plan.similarity else None,
        "probe": {"data": plan.images.name, "images": plan.similarity[0].images}
        if plan.images and plan.similarity
        else None,
        "rank": table.rank if table is not None else None,
        "stages": [asdict(stage) for stage in plan.stages],
        "score": number(best.score) if best else None,
        "cost": price.as_dict(),
        "uncounted": added(_uncounted(plan, fragment) for one in chains for fragment in one.fragments),
        "trainable_params": sum(_trainable(use) for one in parts for use in one.adapters),
        "accuracy": accuracy.as_dict() if accuracy else None,
        "class_names": _class_names(plan),
        "healing": healing_record(plan, hybrid.healing) if hybrid and hybrid.healing else None,
        "polishing": _polishing(hybrid.polishing) if hybrid and hybrid.polishing else None,
        "timed": [asdict(timed) for timed in plan.timed],
        "verified": verified_record(hybrid.verified) if hybrid and hybrid.verified else None,
        "rivals": [],
        "recommended": None,
        "seed": plan.seed,
        "notes": notes(plan),
    }


def verified_record(verified: Verified) -> dict[str, Any]:
    """The key `verified` of a plan document."""
    told = {key: number(value) if isinstance(value, float) else value for key, value in asdict(verified).items()}
    if verified.device is None:  # the module ran on the processor alone
        del told["device"], told["device_max_rel"]
    return told | {"batches": list(verified.batches)}


def _model(plan: Plan, index: int, measured: Accuracy | None) -> dict[str, Any]:
    model = plan.models[index]
    price = plan.prices[index] if index < len(plan.prices) else Price()
    return {
        "name": model.name,
        "source": model.source,
        "sha256": model.sha256,
        "licence": model.licence,
        "input": encode(model.input),
        **price.as_dict(),
        "accuracy": measured.top1 if measured else model.accuracy,
        "accuracy_on": measured.data if measured else ("its own record" if model.accuracy is not None else None),
    }


def chain_record(plan: Plan, chain: Chain, uses: Sequence[AdapterUse]) -> list[dict[str, Any]]:
    """Fragments and adapters in the order in which they run."""
    records: list[dict[str, Any]] = [_fragment(plan, chain.front)]
    for seam, use, fragment in zip(chain.seams(), uses, chain.fragments[1:], strict=True):
        given, wanted = plan.value_at(seam.leaves), plan.value_at(seam.enters)
        records.append({"adapter": {
            "name": use.name, **amounts(use.price, metrics.sums()),
            "residual": number(use.residual), "ridge": number(use.ridge),
            "from_shape": list(given.shape), "from_layout": given.layout,
            "to_shape": list(wanted.shape), "to_layout": wanted.layout,
        }})  # fmt: skip
        records.append(_fragment(plan, fragment))
    return records


def _member(plan: Plan, one: Hybrid) -> dict[str, Any]:
    """A chain of an ensemble."""
    return {
        "name": one.name, "chain": chain_record(plan, one.chain, one.adapters),
        "cost": (one.price or Price()).as_dict(), "healing": healing_record(plan, one.healing) if one.healing else None,
    }  # fmt: skip


def _fragment(plan: Plan, fragment: Fragment) -> dict[str, Any]:
    start, end = (None if i is None else plan.cuts[fragment.model][i] for i in (fragment.start, fragment.end))
    return {
        "model": plan.models[fragment.model].name, "from": start and start.node, "to": end and end.node,
        "from_path": start and start.path, "to_path": end and end.path,
        "from_label": start and label(start), "to_label": end and label(end),
    }  # fmt: skip


def _uses(plan: Plan, hybrid: Hybrid | None, chain: Chain) -> Sequence[AdapterUse]:
    """The adapters as they were fitted; before anything is stitched, as they were priced."""
    if hybrid is not None:
        return hybrid.adapters
    from ..passes.stitch.join import adapter_use

    return [adapter_use(plan, seam) for seam in chain.seams()]


def _uncounted(plan: Plan, fragment: Fragment) -> Counter[str]:
    """The calls in a fragment of operators that have no formula: what is before its end and what is after its start,
    less the whole model, which is what either of them has."""
    if not plan.uncounted:
        return Counter()
    cuts, whole = plan.cuts[fragment.model], Counter(plan.uncounted[fragment.model])
    before = whole if fragment.end is None else Counter(cuts[fragment.end].uncounted_before)
    after = whole if fragment.start is None else Counter(cuts[fragment.start].uncounted_after)
    return before + after - whole


def _trainable(adapter: AdapterUse) -> int:
    """A folded adapter has no weights of its own: its price is what it adds to the back's."""
    from ..passes import adapters

    return 0 if adapters.get(adapter.name).folds else int(adapter.price["params"])


def _class_names(plan: Plan) -> list[str] | None:
    """What the hybrid's outputs mean, where the back's own record says it."""
    names = plan.models[plan.hybrid.chain.back.model].class_names if plan.hybrids else None
    return list(names) if names else None


def healing_record(plan: Plan, healing: Healing) -> dict[str, Any]:
    """Before, after, and what each block changed; shares and nats on the probe images that were held out."""
    return {
        "images": healing.images,
        "held_out": healing.held_out,
        "mirrored": healing.mirrored,
        "agreement_before": healing.agreement,
        "agreement": healing.healed_agreement,
        "divergence_before": number(healing.divergence),
        "divergence": number(healing.healed_divergence),
        "blocks": [encode(block) for block in healing.blocks],
        "followed": _followed(plan, healing.followed) if healing.followed else None,
        "calibrated": _calibrated(healing.calibrated) if healing.calibrated else None,
    }


def _followed(plan: Plan, followed: Followed) -> dict[str, Any]:
    return {
        "models": [plan.models[model].name for model in followed.models],
        "pull": followed.pull,
        "kept": followed.kept,
        "agreement_before": followed.agreement,
        "agreement": followed.followed_agreement,
        "divergence_before": number(followed.divergence),
        "divergence": number(followed.followed_divergence),
    }


def _calibrated(calibrated: Calibrated) -> dict[str, Any]:
    return {
        "scale": calibrated.scale,
        "divergence_before": number(calibrated.divergence),
        "divergence": number(calibrated.calibrated_divergence),
    }


def _polishing(polishing: Polishing) -> dict[str, Any]:
    """Before and after, on the probe images that were held out. How long it took is among the seconds of the passes."""
    return {
        "teachers": list(polishing.teachers),
        "images": polishing.images,
        "held_out": polishing.held_out,
        "steps": polishing.steps,
        "batch": polishing.batch,
        "kept": polishing.kept,
        "agreement_before": polishing.agreement,
        "agreement": polishing.polished_agreement,
        "divergence_before": number(polishing.divergence),
        "divergence": number(polishing.polished_divergence),
    }


def _whole(value: float) -> float:
    return int(value) if float(value).is_integer() else value
