"""Looking without stitching: the cuts of a model, the likeness of two, the cost of one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .inputs import PROBE_IMAGES, arch_for, model_of, probe
from .progress import Progress, Silent, stage

if TYPE_CHECKING:
    from .compile import Budget
    from .passes.cost.conventions import Table
    from .passes.cost.stages import Stage
    from .passes.data.model import Images, Model
    from .passes.data.plan import Plan
    from .passes.latency.clock import Timing
    from .passes.pipeline import Pass


def inspect(
    model: str | Path | Model,
    *,
    rule: str = "single-tensor",
    seed: int = 0,
    trust_pickle: bool = False,
    arch: str | None = None,
    frontend: str = "auto",
    progress: Progress | None = None,
) -> Plan:
    """The cuts of one model under a rule, priced: `plan.cuts[0]`, `plan.prices[0]`, `plan.uncounted[0]`.

    Raises:
        ModelError: the model cannot be found, loaded or traced. InputError: a rule that does not exist.
    """
    watcher = progress or Silent()
    with stage(watcher, f"loading {_name(model)}"):  # and torch with it, which takes seconds
        loaded = model_of(model, trust_pickle=trust_pickle, arch=arch)
    from .passes import Cost, Partition, Trace
    from .passes.data.plan import Plan

    return _run([Trace(frontend=frontend), Partition(rule=rule), Cost()], Plan((loaded,), seed=seed), watcher)


def cost(
    model: str | Path | Model,
    *,
    seed: int = 0,
    trust_pickle: bool = False,
    arch: str | None = None,
    frontend: str = "auto",
    strict: bool = False,
    progress: Progress | None = None,
) -> Plan:
    """What a model or an artifact takes: `plan.prices[0]`, and in `plan.uncounted[0]` the operators without a formula.

    An artifact is measured on its generated code, not read from its plan. `stages`, `counted_by_conventions` and
    `timing` say more of the plan.

    Raises:
        ModelError: the model cannot be found, loaded or traced, or with `strict`, an operator has no formula.
    """
    plan = inspect(model, seed=seed, trust_pickle=trust_pickle, arch=arch, frontend=frontend, progress=progress)
    if strict and plan.uncounted[0]:
        from .passes.data.errors import ModelError
        from .passes.data.values import listed

        raise ModelError(
            f"{plan.models[0].name} calls operators that have no formula: {listed(plan.uncounted[0])}",
            "Without --strict they are counted as nothing and listed.",
        )
    return plan


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
    from .passes.latency.backends import on_backend
    from .passes.latency.clock import measure

    model = plan.models[0]
    image = torch.zeros(1, *model.input.size, device=device)
    run = on_backend(backend, Scoring(model.network).to(device), image)
    return measure(run, image, device=device, backend=backend)


def compare(
    a: str | Path | Model,
    b: str | Path | Model,
    data: str | Images | None = None,
    *,
    budget: Budget | None = None,
    metric: str | None = None,
    backend: str = "eager",
    allow_uncounted: bool = False,
    direction: str = "slow-to-fast",
    adapter: str = "auto",
    rank: str = "cascade",
    effort: str | float = "medium",
    min_share: float | None = None,
    similarity: str = "cka-unbiased",
    max_memory: int | None = None,
    confidence: float | None = None,
    rule: str = "single-tensor",
    probe_images: int = PROBE_IMAGES,
    seed: int = 0,
    trust_pickle: bool = False,
    arch: str | None = None,
    frontend: str = "auto",
    progress: Progress | None = None,
) -> Plan:
    """How alike all cuts of two models are, and the candidates ranked: `plan.similarity[0]`, `plan.candidates`.

    data: DATA words or Images; by default what both models' own records name, else noise (a note says so).
    backend: what latency is measured with, where a budget or `metric` asks for it. allow_uncounted, rank, effort,
    min_share: as `compile`. max_memory: bytes that comparing may take beside the models. confidence: of an interval
    around each similarity, 0.95 for one; None for none.

    Raises:
        ModelError, DataError: a model or the images cannot be loaded. Infeasible: no candidate meets the budget.
    """
    from .compile import analysis, asks_latency, least_share, read_budget
    from .passes import adapters
    from .passes.data.plan import Plan

    watcher = progress or Silent()
    limits = read_budget(budget, metric)
    adapters.expand(adapter)  # words that mean nothing are refused before anything slow begins
    models = []
    for words in (a, b):
        with stage(watcher, f"loading {_name(words)}"):
            models.append(model_of(words, trust_pickle=trust_pickle, arch=arch_for(words, arch)))
    images, notes = probe(models, data, probe_images)
    plan = Plan(tuple(models), seed=seed, images=images, notes=notes)
    passes = analysis(
        limits,
        direction=direction,
        adapter=adapter,
        rank=rank,
        effort=effort,
        min_share=least_share(min_share, rank, images),
        similarity=similarity,
        max_memory=max_memory,
        confidence=confidence,
        rule=rule,
        frontend=frontend,
        latency=backend if asks_latency(limits, metric) else None,
        allow_uncounted=allow_uncounted,
        progress=watcher,
    )
    return _run(passes, plan, watcher)


def _run(passes: list[Pass], plan: Plan, watcher: Progress) -> Plan:
    from .passes import Pipeline

    return Pipeline(passes, callback=watcher)(plan)


def _name(subject: str | Path | Model) -> str:
    return str(subject) if isinstance(subject, str | Path) else subject.name
