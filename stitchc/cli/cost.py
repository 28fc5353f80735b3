"""`stitchc cost`."""

from __future__ import annotations

from .options import Metric, arch, frontend, model_argument
from .parts import option
from .run import Outcome, Run, verb


@verb("cost", example="stitchc cost 'timm/resnet50?weights=none' --metric macs")
@model_argument
@option("--metric", type=Metric(), multiple=True, help="Only this one; repeatable.")
@arch
@frontend
def command(run: Run, model: str, metric: tuple[str, ...], arch: str | None, frontend: str) -> Outcome:
    """What a model or an artifact takes, in every metric.

    An artifact is measured on its generated code. One multiply-add is one MAC and two FLOPs."""
    import stitchc

    plan = stitchc.cost(model, arch=arch, frontend=frontend, **run.loading)
    from ..documents import cost_document
    from ..report.cost import CostTable
    from ..report.notes import notes_of

    found, price, uncounted = plan.models[0], plan.prices[0], plan.uncounted[0]
    report = [*notes_of(plan), CostTable(found.name, price, uncounted, metric)]
    return Outcome(cost_document(found, price, uncounted), report)
