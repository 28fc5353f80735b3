"""`stitchc inspect`."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import InspectOptions
from .parts import model_argument, option
from .run import Outcome, Run, verb


@verb("inspect", example="stitchc inspect 'torchvision/resnet50?weights=none' --rule stitchnet", record=InspectOptions)
@model_argument("model", metavar="MODEL", artifact=True)
@option("--why", is_flag=True, help="Also list the values that are no cut, with the reason.")
@option("--plot", type=click.Path(path_type=Path), metavar="FILE",
        help="Write the graph with its cuts marked: for Mermaid, .mmd, Graphviz, .dot, or Google's Model Explorer, "
        ".json.")  # fmt: skip
@option("--overlay", type=click.Path(path_type=Path), metavar="FILE.json",
        help="Write the multiply-adds of each node, as node data for the graph that --plot writes as "
        ".json.")  # fmt: skip
def command(run: Run, model: str, why: bool, plot: Path | None, overlay: Path | None) -> Outcome:
    """List the cuts of a model, with the cost before and after each."""
    from ..report.graph_files import WRITERS, check_graph_file, write_graph, write_overlay

    force = bool(run.common.get("force"))
    for path, endings in ((plot, tuple(WRITERS)), (overlay, (".json",))):
        if path is not None:
            check_graph_file(path, endings, force=force)
    import stitchc

    plan = stitchc.inspect(model, **run.given, progress=run.progress)
    from ..documents import inspect_document
    from ..report.cuts import CutTable, RejectedTable
    from ..report.notes import notes_of

    if plot is not None:
        write_graph(plot, plan)
    if overlay is not None:
        write_overlay(overlay, plan)
    cuts = plan.cuts[0]
    report = [*notes_of(plan), CutTable(plan.models[0], cuts, plan.prices[0])]
    return Outcome(inspect_document(plan), [*report, RejectedTable(cuts.rejected)] if why else report)
