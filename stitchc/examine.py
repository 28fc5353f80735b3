"""Examination without stitching: the cuts of a model, the similarity of those of two, the cost of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .device import resolve, with_memory
from .inputs import model_of, name_of
from .keywords import with_options
from .options import CompareOptions, CostOptions, InspectOptions
from .passes.data.float32 import in_full_precision
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    from .passes.cost.conventions import Table
    from .passes.cost.stages import Stage
    from .passes.data.model import Model
    from .passes.data.plan import Plan
    from .passes.latency.clock import Timing


@with_options(InspectOptions)
def inspect(model: str | Path | Model, *, options: InspectOptions, progress: Progress | None = None) -> Plan:
    """The cuts of one model under a rule, priced: `plan.cuts[0]`, `plan.prices[0]`, `plan.uncounted[0]`.

    Raises:
        ModelError: the model cannot be found, loaded or traced. InputError: a rule that does not exist.
    """
    return _examined(model, options, progress or Silent())


@with_options(CostOptions)
def cost(model: str | Path | Model, *, options: CostOptions, progress: Progress | None = None) -> Plan:
    """What a model or an artifact takes: `plan.prices[0]`, and in `plan.uncounted[0]` the operators without a formula.

    An artifact is measured on its generated code, not read from its plan. `stages`, `counted_by_conventions` and
    `timing` say more of the plan.

    Raises:
        ModelError: the model cannot be found, loaded or traced, or with `strict`, an operator has no formula.
    """
    plan = _examined(model, options, progress or Silent())
    if options.strict and plan.uncounted[0]:
        from .passes.data.errors import ModelError
        from .passes.data.values import listed

        raise ModelError(
            f"{plan.models[0].name} calls operators that have no formula: {listed(plan.uncounted[0])}",
            "Without `strict` they are counted as nothing and listed.",
        )
    return plan


def _examined(model: str | Path | Model, options: InspectOptions | CostOptions, progress: Progress) -> Plan:
    with stage(progress, f"loading {name_of(model)}"):  # and torch with it, which takes seconds
        loaded = model_of(model, trust=options.trust, arch=options.arch)
    from .passes import Cost, Partition, Pipeline, Plan, Trace

    passes = [options.make(Trace), options.make(Partition), Cost(adapters=())]
    return Pipeline(passes, callback=progress)(Plan((loaded,), seed=options.seed))


def stages(plan: Plan, depth: int = 1) -> list[Stage]:
    """What each module of the plan's first model takes, `depth` names deep."""
    from .passes.cost.stages import stages

    return stages(plan.graphs[0], plan.models[0].input.size, depth)


def counted_by_conventions(plan: Plan) -> tuple[Table, list[str]]:
    """What thop and fvcore count of the plan's first model beside our own, by kind, and why they differ."""
    from .passes.cost.conventions import conventions, reasons

    table = conventions(plan.graphs[0], plan.models[0].input.size)
    return table, reasons(table)


def timing(plan: Plan, backend: str = "eager", device: str = "cpu") -> Timing:
    """How long the plan's first model takes for one image: measured, not predicted.

    Raises:
        InputError: an unknown backend, or one that cannot run it.
    """
    import torch

    from .passes.data.scores import Scoring
    from .passes.graphs.placement import exactly, on_device
    from .passes.latency.backends import on_backend
    from .passes.latency.clock import measure

    model, place = plan.models[0], resolve(device)
    image = torch.zeros(1, *model.input.size, device=place)
    run = on_backend(backend, on_device(Scoring(model.network), exactly(place)), image)
    return measure(run, image, device=str(place), backend=backend)


@with_options(CompareOptions, "data")
def compare(
    a: str | Path | Model, b: str | Path | Model, *, options: CompareOptions, progress: Progress | None = None
) -> Plan:
    """The similarity of all cuts of two models, and the candidates ranked: `plan.similarity[0]`, `plan.candidates`.

    a, b: the models, by their words or loaded.

    Raises:
        ModelError, DataError: a model or the images cannot be loaded. Infeasible: no candidate meets the budget.
    """
    from .compile_passes import analysis, looking
    from .passes import Pipeline, adapters
    from .start import begin

    watcher = progress or Silent()
    adapters.expand(options.adapters)  # words that mean nothing are refused before anything slow begins
    options = with_memory(options)
    plan = begin((a, b), options, watcher)
    assert plan.images is not None
    with in_full_precision():
        passes = [*looking(options), *analysis(options, plan.images, watcher)]
        return Pipeline(passes, callback=watcher)(plan)
