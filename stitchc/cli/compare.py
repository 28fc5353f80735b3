"""`stitchc compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..passes.data import metrics
from .options import (
    CHOICE,
    IMAGES,
    Share,
    arch,
    budget,
    data,
    frontend,
    pair_arguments,
    probe_images,
    ranking,
    read_budget,
)
from .parts import option
from .run import Outcome, Run, verb


@verb("compare", example="stitchc compare digits/resnet digits/plain --budget 12M --metric flops")
@pair_arguments
@data
@probe_images
@budget
@ranking
@option("--top", type=click.IntRange(min=1), default=10, metavar="N", group=CHOICE, help="Candidates to show [10].")
@option("--confidence", type=Share(), metavar="Q", group=CHOICE, help="Draw intervals around similarities: 95%.")
@option(
    "--plot",
    type=click.Path(path_type=Path),
    metavar="FILE",
    group=IMAGES,
    help="Write the heat map: .png, .svg, .pdf or .html.",
)
@option("--pareto", metavar="X,Y", group=CHOICE, help="Draw the front over two metrics: macs,similarity.")
@arch
@frontend
def command(run: Run, a: str, b: str, top: int, plot: Path | None, pareto: str | None, **given: Any) -> Outcome:
    """How alike the cuts of two models are; candidates, ranked."""
    limits = read_budget(given)
    axes = [word.strip() for word in pareto.split(",")] if pareto else []
    for axis in set(axes) & set(metrics.names()):
        if metrics.get(axis).combine == "measured":
            given["metric"] = axis
    from ..report.plot import check_plot

    if plot:
        check_plot(plot, force=run.force)
    if axes:
        from ..passes.data.pareto import check_axes

        check_axes(axes)
    import stitchc

    plan = stitchc.compare(a, b, budget=limits, **given, **run.loading)
    from ..documents import compare_document
    from ..report.candidates import CandidateTable
    from ..report.notes import notes_of
    from ..report.stages import Stages
    from ..report.stitch import heat_map

    stages = [Stages(plan)] if plan.stages else []
    report = [*notes_of(plan), heat_map(plan), *stages, CandidateTable(plan, top)]
    document = compare_document(plan, top)
    if axes:
        from ..documents import pareto_record
        from ..passes.data.pareto import knee, pareto_front
        from ..report.pareto import ParetoTable

        assert plan.candidates is not None
        front = pareto_front(plan.candidates, axes)
        best = knee(plan.candidates, axes, front)
        report.append(ParetoTable(plan, axes, front.tolist(), best))
        document["pareto"] = pareto_record(plan, axes, front.tolist(), best)
    if plot and plot.suffix.lower() != ".html":
        from ..report.plot import write_plot

        write_plot(plot, plan)
    elif plot:
        from ..report.html import write_page

        write_page(plot, f"{plan.models[0].name} and {plan.models[1].name}", report, force=run.force)
    return Outcome(document, report)
