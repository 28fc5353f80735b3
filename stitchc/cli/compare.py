"""`stitchc compare`."""

from __future__ import annotations

from pathlib import Path

import click

from ..options import CompareOptions
from ..passes.data import metrics
from ..passes.data.pass_options import CHOICE, IMAGES
from .parts import model_argument, option
from .plotting import check, plot_option
from .run import Outcome, Run, verb


@verb(
    "compare", example="stitchc compare digits/resnet digits/plain --budget 12M --metric flops", record=CompareOptions
)
@model_argument("a", metavar="A")
@model_argument("b", metavar="B", text="The other model.")
@option("--top", type=click.IntRange(min=1), default=10, metavar="N", group=CHOICE,
        help="Number of candidates to show. [10]")  # fmt: skip
@plot_option("the similarity matrix", IMAGES)
@option("--pareto", metavar="X,Y", group=CHOICE,
        help="Also show the candidates that are best in two metrics at once, such as macs,similarity.")  # fmt: skip
def command(run: Run, a: str, b: str, top: int, plot: Path | None, pareto: str | None) -> Outcome:
    """Show the similarity of the cuts of two models, and rank the candidates."""
    axes = [word.strip() for word in pareto.split(",")] if pareto else []
    given = dict(run.given)
    for axis in set(axes) & set(metrics.names()):
        if metrics.get(axis).combine == "measured":
            given["metric"] = axis
    CompareOptions.of(given)  # what cannot be is refused before a progress bar is made
    check(run, plot)
    if axes:
        from ..passes.data.pareto import check_axes

        check_axes(axes)
    import stitchc

    plan = stitchc.compare(a, b, **given, progress=run.progress)
    from ..documents import compare_document
    from ..report.candidates import CandidateTable
    from ..report.notes import notes_of
    from ..report.stages import Stages
    from ..report.stitch import heat_map

    stages = [Stages(plan)] if plan.stages else []
    report = [*notes_of(plan), heat_map(plan), *stages, CandidateTable(plan, top)]
    document = compare_document(plan, top)
    fronts = []
    if axes:
        from ..documents import pareto_record
        from ..passes.data.pareto import knee, pareto_front
        from ..report.pareto import ParetoTable

        assert plan.candidates is not None
        front = pareto_front(plan.candidates, axes)
        best = knee(plan.candidates, axes, front)
        fronts = [ParetoTable(plan, axes, front.tolist(), best)]
        document["pareto"] = pareto_record(plan, axes, front.tolist(), best)
    if plot:
        from ..report.page.compared import compared_sections
        from ..report.pictures import similarity_picture
        from ..report.plot import write_plot

        title = f"{plan.models[0].name} and {plan.models[1].name}"
        sections = list(compared_sections(plan, top, fronts))
        write_plot(plot, title, sections, lambda: similarity_picture(plan))
    return Outcome(document, [*report, *fronts])
