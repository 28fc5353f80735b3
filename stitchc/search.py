"""A pool of models in, the best chain of their fragments out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compile import begin, complete, folder_of, measured_on
from .device import in_full_precision, moving, timed_on, with_memory
from .keywords import with_options
from .options import CompileOptions
from .passes.data.errors import InputError, QuantityError
from .progress import Progress, Silent, stage
from .search_methods import METHODS, settled
from .search_options import SearchOptions

if TYPE_CHECKING:
    from .family_options import FamilyOptions
    from .passes.data.budget import Limit
    from .passes.data.model import Images, Model
    from .passes.data.plan import Plan
    from .passes.pipeline import Pass
    from .passes.search.chains import Tried
    from .passes.search.lazy import Found
    from .search_methods import Words

# Ranks that score pairs of cuts, and no network.
_OF_PAIRS = ("cka", "fit")
_ADDITIVE = "Give a budget of params, macs or flops."


@dataclass(frozen=True)
class Searched:
    """The result of a search.

    pool: the plan of the models, with their cuts. found: what the search says, None after a dry run. plan: of the chain
    that was chosen, stitched, verified and compared, and record what the plan.json of its artifact holds; None where
    nothing was. budgets: of a sweep. models: top-1 of each, where it was measured.
    """

    pool: Plan
    found: Found | None = None
    plan: Plan | None = None
    record: Mapping[str, Any] | None = None
    budgets: tuple[Mapping[str, float], ...] = ()
    models: tuple[float | None, ...] = ()

    @property
    def chains(self) -> tuple[Tried, ...]:
        """Those that were stitched, the best first: the first is the one that was chosen."""
        return self.found.tried if self.found else ()


@with_options(SearchOptions)
def search(*models: str | Path | Model, options: SearchOptions, progress: Progress | None = None) -> Searched:
    """Finds the best chain of fragments of some models within a budget, and writes it to `out` as an artifact.

    models: one or more, by their words or loaded. data, evaluate, budget, out: as `stitchc.compile` takes them. Ctrl-C
    (KeyboardInterrupt) ends the search; the best chain that was stitched by then is written.

    Raises:
        InputError: something given cannot be used. Infeasible: no chain meets the budget. VerificationError: what was
        emitted does not agree with the stitched graph; nothing is left in `out`.
    """
    watcher, given = progress or Silent(), options
    _check(models, options)
    options = with_memory(options)
    with folder_of(options) as folder, in_full_precision():
        plan = begin(models, options, watcher)
        if options.dry_run:
            return Searched(looked_at(plan, options, settled(options), watcher))
        check_images(plan, options.rank)
        measured = measured_on(plan, options)
        plan = looked_at(plan, options, settled(options), watcher, timed=_asks_time(options))
        budgets = _budgets(plan, options)
        with stage(watcher, "searching"):
            found = METHODS[options.method].run(plan, options, budgets, watcher)
        found = replace(found, tried=_measured(plan, found.tried, measured, options, watcher))
        if options.sweep:
            return Searched(plan, found, budgets=budgets, models=_models_measured(plan, measured, options, watcher))
        chosen, used, stated = _stated(plan, (options, given), budgets[0], found.tried[0])
        return Searched(plan, found, *complete(chosen, models, used, stated, measured, folder, watcher))


def _stated(
    plan: Plan, options: Sequence[SearchOptions], limits: Mapping[str, float], best: Tried
) -> tuple[Plan, CompileOptions, CompileOptions]:
    """The plan with a chain as its choice, and the options of the compile that makes it, for each of those given."""
    from .passes import Candidate
    from .passes.stitch.stated import words_of

    choice = (Candidate(best.chain, nan, best.price, True, best.score),)
    words = words_of(plan, best.chain)
    used, given = (one.make(CompileOptions, chain=words, similarity=settled(one).similarity) for one in options)
    return replace(plan, choice=choice, budget=dict(limits)), used, given


def _check(models: Sequence[str | Path | Model], options: SearchOptions) -> None:
    """What can be refused before anything slow begins, is.

    Raises:
        InputError, CutError: it is refused.
    """
    from .passes import adapters

    if not models:
        raise InputError("search was given no models", "Name one or more: stitchc search digits/resnet digits/vit.")
    if options.rank in _OF_PAIRS:
        raise InputError(
            f"`rank={options.rank!r}` scores pairs of cuts, and a search scores whole networks",
            "Take `rank='cascade'`, or another score.",
        )
    if options.sweep and (options.method != "exact" or options.out is not None):
        raise InputError(
            "a sweep is the front of an exact search over several budgets, and writes no artifact",
            "Leave the method and `out` out. `compile` makes a chain of the front, given as its `chain`.",
        )
    if options.asks_latency:
        raise QuantityError("latency does not add up along a chain, so search holds no budget of it", _ADDITIVE)
    moving(options.device)
    for name in options.adapters or ():
        adapters.get(name)


def check_images(plan: Plan, rank: str) -> None:
    """Refuses images that chains cannot be scored with."""
    from .passes.rank import cannot_probe

    assert plan.images is not None
    if reason := cannot_probe(plan.images):
        raise InputError(
            f"chains are stitched and scored, and cannot be with '{plan.images.name}': {reason}",
            "Name images with `data`; some hundreds, without labels, are enough.",
        )
    if rank == "accuracy" and plan.images.labels is None:
        raise InputError(
            f"rank 'accuracy' needs labels, and '{plan.images.name}' has none",
            "Take `rank='cascade'`, which does without, or give labelled images.",
        )


def looked_at(
    plan: Plan, options: SearchOptions | FamilyOptions, words: Words, progress: Progress, *, timed: bool = False
) -> Plan:
    """The plan with graphs, cuts and prices; and with what the cuts represent, unless only the pool is wanted. timed:
    whether the latency of fragments is asked for too."""
    from .cache import Store
    from .passes import Cost, Latency, Partition, Pipeline, Represent, Trace

    told = progress.update
    passes: list[Pass] = [options.make(Trace), Partition(rule=words.rule), Cost(adapters=())]
    if not options.dry_run:
        passes += moving(options.device)
        store = Store("similarity")
        passes.append(options.make(Represent, metric=words.similarity, batch=words.block, store=store, progress=told))
        if timed:
            passes.append(
                options.make(
                    Latency, device=timed_on(options.device, options.backend), store=Store("latency"), progress=told
                )
            )
    return Pipeline(passes, callback=progress)(plan)


def _asks_time(options: SearchOptions) -> bool:
    return "latency" in (options.candidates, {"closest": "latency"}.get(options.start))


def _budgets(plan: Plan, options: SearchOptions) -> tuple[dict[str, float], ...]:
    """The budget in the metrics' own units; of a sweep, each.

    Raises:
        QuantityError: a metric that does not add up along a chain, or operators that it has no formula for.
    """
    from .passes.search.pool import columns
    from .passes.select import refuse_uncounted

    fixed = {limit.metric: limit.resolve(plan.prices) for limit in options.budget}
    swept = [{limit.metric: limit.resolve(plan.prices)} for limit in _swept(options)]
    budgets = tuple(fixed | one for one in swept or [{}])
    for metric in budgets[0]:
        if metric not in columns():
            raise QuantityError(f"{metric} does not add up along a chain, so search holds no budget of it", _ADDITIVE)
    if not options.allow_uncounted:
        refuse_uncounted(plan, budgets[0])
    return budgets


def _swept(options: SearchOptions) -> tuple[Limit, ...]:
    from .sweep import limits

    return limits(options.sweep) if options.sweep else ()


def _models_measured(
    plan: Plan, images: Images | None, options: SearchOptions, progress: Progress
) -> tuple[float | None, ...]:
    """Top-1 of each model, None where it cannot be measured."""
    from .evaluate import accuracy_if_matched

    found: list[float | None] = []
    for model in plan.models if images is not None else ():
        assert images is not None
        with stage(progress, f"measuring {model.name}"):
            accuracy, _ = accuracy_if_matched(
                model.network, model.input, images, model, device=options.device, progress=progress
            )
        found.append(accuracy.top1 if accuracy else None)
    return tuple(found) or (None,) * len(plan.models)


def _measured(
    plan: Plan, tried: Sequence[Tried], images: Images | None, options: SearchOptions, progress: Progress
) -> tuple[Tried, ...]:
    """The chains that were healed, with their accuracy."""
    if images is None:
        return tuple(tried)
    from .evaluate import accuracy_if_matched

    found = []
    for one in tried:
        if one.network is not None:
            owner = replace(plan.models[one.chain.back.model], name="the chain")
            with stage(progress, "measuring chains"):
                accuracy, _ = accuracy_if_matched(
                    one.network, plan.input_of(one.chain), images, owner, device=options.device, progress=progress
                )
            one = replace(one, accuracy=accuracy.top1 if accuracy else None)
        found.append(one)
    return tuple(found)
