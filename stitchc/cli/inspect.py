"""`stitchc inspect`."""

from __future__ import annotations

from .options import arch, frontend, model_argument
from .parts import Name, option
from .run import Outcome, Run, verb


@verb("inspect", example="stitchc inspect 'torchvision/resnet50?weights=none' --rule stitchnet")
@model_argument
@option("--rule", type=Name("single-tensor", "stitchnet"), default="single-tensor", help="What counts as a cut.")
@option("--why", is_flag=True, help="List the values that are no cut too, with the reason.")
@arch
@frontend
def command(run: Run, model: str, rule: str, why: bool, arch: tuple[str, ...], frontend: str) -> Outcome:
    """The cuts of one model, and the cost before and after each."""
    import stitchc

    plan = stitchc.inspect(model, rule=rule, arch=arch, frontend=frontend, **run.loading)
    from ..documents import inspect_document
    from ..report.cuts import CutTable, RejectedTable
    from ..report.notes import notes_of

    cuts = plan.cuts[0]
    report = [*notes_of(plan), CutTable(plan.models[0], cuts, plan.prices[0])]
    return Outcome(inspect_document(plan), [*report, RejectedTable(cuts.rejected)] if why else report)
