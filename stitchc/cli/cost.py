"""`stitchc cost`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from .options import Metric, arch, frontend, model_argument
from .parts import Name, option
from .run import Outcome, Run, verb


@verb("cost", example="stitchc cost 'timm/resnet50?weights=none' --metric macs")
@model_argument
@option("--metric", type=Metric(), multiple=True, help="Only this one; repeatable.")
@option(
    "--depth", type=click.IntRange(min=0), default=1, metavar="N", help="Of the modules in the table; 0 for none [1]."
)
@option("--latency", is_flag=True, help="Measure it, for one image.")
@option("--backend", type=Name("eager", "compile", "onnxruntime"), default="eager", help="To measure with [eager].")
@option("--conventions", is_flag=True, help="What thop and fvcore count, beside ours, and why.")
@option("--check", is_flag=True, help="Run thop and torch's counter on a copy, beside ours, and say why they differ.")
@option("--strict", is_flag=True, help="Fail where an operator has no formula.")
@arch
@frontend
def command(run: Run, model: str, metric: tuple[str, ...], depth: int, **given: Any) -> Outcome:
    """What a model or an artifact takes, in every metric.

    An artifact is measured on its generated code. One multiply-add is one MAC and two FLOPs."""
    import stitchc

    plan = stitchc.cost(model, arch=given["arch"], frontend=given["frontend"], strict=given["strict"], **run.loading)
    from ..documents import cost_document
    from ..examine import counted_by_conventions, stages, timing
    from ..other_counters import compare_counters
    from ..report.cost import ConventionTable, CostTable, CounterTable, StageTable, TimingLine
    from ..report.notes import notes_of

    found, price, uncounted = plan.models[0], plan.prices[0], plan.uncounted[0]
    timed = timing(plan, given["backend"]) if given["latency"] or "latency" in metric else None
    if timed:
        price = replace(price, latency_ms=timed.median_ms)
    by_convention = counted_by_conventions(plan) if given["conventions"] else None
    compared = compare_counters(plan) if given["check"] else None
    parts = stages(plan, depth) if depth else []
    report = [*notes_of(plan), CostTable(found.name, price, metric)]
    report += [TimingLine(timed)] if timed else []
    report += [StageTable(parts)] if parts and not metric else []
    report += [ConventionTable(*by_convention)] if by_convention else []
    report += [CounterTable(compared)] if compared else []
    document = cost_document(
        found, price, uncounted, stages=parts, timing=timed, conventions=by_convention, check=compared
    )
    return Outcome(document, report)
