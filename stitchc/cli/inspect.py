"""`stitchc inspect`."""

from __future__ import annotations

from ..options import InspectOptions
from .parts import MODEL_OR_ARTIFACT, argument, option
from .run import Outcome, Run, verb


@verb("inspect", example="stitchc inspect 'torchvision/resnet50?weights=none' --rule stitchnet", record=InspectOptions)
@argument("model", metavar="MODEL", text=MODEL_OR_ARTIFACT)
@option("--why", is_flag=True, help="Also list the values that are no cut, with the reason.")
def command(run: Run, model: str, why: bool) -> Outcome:
    """List the cuts of a model, with the cost before and after each."""
    import stitchc

    plan = stitchc.inspect(model, **run.given, progress=run.progress)
    from ..documents import inspect_document
    from ..report.cuts import CutTable, RejectedTable
    from ..report.notes import notes_of

    cuts = plan.cuts[0]
    report = [*notes_of(plan), CutTable(plan.models[0], cuts, plan.prices[0])]
    return Outcome(inspect_document(plan), [*report, RejectedTable(cuts.rejected)] if why else report)
