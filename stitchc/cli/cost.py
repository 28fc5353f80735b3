"""`stitchc cost`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..options import CostOptions
from ..passes.data import metrics
from ..passes.data.errors import InputError
from ..passes.data.pass_options import BACKENDS
from .parts import Name, model_argument, option
from .plotting import check as may_write
from .plotting import plot_option
from .run import Outcome, Run, verb

if TYPE_CHECKING:
    from rich.console import RenderableType

    from ..other_counters import Comparison
    from ..passes.cost.conventions import Table
    from ..passes.cost.stages import Stage
    from ..passes.data.plan import Plan
    from ..passes.data.values import Price
    from ..passes.latency.clock import Timing


@verb("cost", example="stitchc cost 'timm/resnet50?weights=none' --metric macs", record=CostOptions, anywhere=True)
@model_argument("model", metavar="MODEL", artifact=True)
@option(
    "--metric",
    type=Name(known=metrics.names),
    multiple=True,
    help="Show this metric alone. May be given several times.",
)
@option("--depth", type=click.IntRange(min=0), default=1, metavar="N",
        help="Depth of the table of modules, 0 for no table. [1]")  # fmt: skip
@option("--latency", is_flag=True, help="Also measure the latency for one image.")
@option("--backend", type=Name(*BACKENDS), default="eager",
        help="Runtime that latency is measured with. [eager]")  # fmt: skip
@option("--conventions", is_flag=True, help="Also show what thop and fvcore would count, and why they differ.")
@plot_option("the cost by stage")
@option("--check", is_flag=True, help="Also run thop and torch's own counter, and say why they differ.")
def command(
    run: Run,
    model: str,
    metric: tuple[str, ...],
    depth: int,
    latency: bool,
    backend: str,
    conventions: bool,
    plot: Path | None,
    check: bool,
) -> Outcome:
    """Show what a model or an artifact takes, in every metric.

    An artifact is measured on its generated code; of a family, each member. One multiply-add is one MAC and two
    FLOPs."""
    import stitchc

    from ..device import timed_on
    from ..families.members import is_family

    if is_family(model):
        if latency or conventions or check or plot or "latency" in metric:
            raise InputError(
                f"{model} is a family, and latency, conventions, other counters and pictures are of one network",
                f"Extract a member: `stitchc family extract {model} MEMBER -o OUT`.",
            )
        return _members(run, model, metric)
    if backend != "eager" and not (latency or "latency" in metric):
        raise InputError(
            f"nothing asks for latency, and --backend {backend} was given", "Add --latency, or leave --backend out."
        )
    if plot and not depth:
        raise InputError(f"'{plot}' is to show the cost by stage, and --depth 0 asks for no stages", "Leave it out.")
    may_write(run, plot)
    device = str(run.common.get("device", "cpu"))
    plan = stitchc.cost(model, **run.given, progress=run.progress)
    from ..documents import cost_document
    from ..examine import counted_by_conventions, stages, timing
    from ..other_counters import compare_counters

    found, price = plan.models[0], plan.prices[0]
    timed = timing(plan, backend, timed_on(device, backend)) if latency or "latency" in metric else None
    if timed:
        price |= {"latency": timed.median_ms}
    parts = stages(plan, depth) if depth else []
    by_convention = counted_by_conventions(plan) if conventions else None
    compared = compare_counters(plan) if check else None
    report = _report(plan, price, metric, timed, parts, by_convention, compared)
    if plot:
        from ..report.page.section import Section
        from ..report.pictures import stages_picture
        from ..report.plot import write_plot

        write_plot(plot, found.name, [Section("Cost", report)], lambda: stages_picture(found.name, parts))
    document = cost_document(
        found, price, plan.uncounted[0], stages=parts, timing=timed, conventions=by_convention, check=compared
    )
    return Outcome(document, report)


def _report(
    plan: Plan, price: Price, metric: Sequence[str], timed: Timing | None, parts: Sequence[Stage],
    by_convention: tuple[Table, list[str]] | None, compared: Comparison | None,
) -> list[RenderableType]:  # fmt: skip
    """What a terminal shows, of what was asked for."""
    from ..report.cost import ConventionTable, CostTable, CounterTable, StageTable, TimingLine
    from ..report.notes import notes_of

    report: list[RenderableType] = [*notes_of(plan), CostTable(plan.models[0].name, price, metric)]
    report += [TimingLine(timed)] if timed else []
    report += [StageTable(parts)] if parts and not metric else []
    report += [ConventionTable(*by_convention)] if by_convention else []
    report += [CounterTable(compared)] if compared else []
    return report


def _members(run: Run, folder: str, metric: tuple[str, ...]) -> Outcome:
    """The cost of each member of a family."""
    import stitchc

    from ..documents import SCHEMA, cost_document
    from ..families.members import members_of
    from ..passes.data.records import encode
    from ..report.members import MemberCosts
    from ..report.notes import Inputs

    given = dict(run.given)
    models = members_of(folder, trust=given.pop("trust", False))
    plans = [stitchc.cost(one, **given, progress=run.progress) for one in models]
    documents = [
        {"name": plan.models[0].name} | cost_document(plan.models[0], plan.prices[0], plan.uncounted[0])
        for plan in plans
    ]
    size = (Path(folder) / "model.safetensors").stat().st_size
    document = {"schema": SCHEMA, "model": {"name": Path(folder).name}, "size_bytes": size, "members": documents}
    prices = {plan.models[0].name: plan.prices[0] for plan in plans}
    return Outcome(document, [Inputs({Path(folder).name: encode(models[0].input)}), MemberCosts(prices, metric)])
