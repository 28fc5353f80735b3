"""A pool of models in, the best chain of their fragments out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .compile import complete
from .compile_passes import synthesis
from .device import moving, timed_on
from .heads.put import check as check_head
from .keywords import with_options
from .options import CompileOptions
from .passes.data.errors import Infeasible, InputError, QuantityError
from .passes.data.pass_options import RANKS_OF_PAIRS, VOTE
from .progress import Progress, Silent, stage
from .searches.methods import METHODS, settled
from .searches.options import SearchOptions
from .searches.rules import check_method, check_rules, not_together
from .searches.sweep import chosen
from .start import opened

if TYPE_CHECKING:
    from .families.options import FamilyOptions
    from .passes.data.budget import Limit
    from .passes.data.model import Images, Model
    from .passes.data.plan import Plan
    from .passes.data.values import Price
    from .passes.pipeline import Pass
    from .passes.search.chains import Tried
    from .passes.search.lazy import Found
    from .report.page.section import Section
    from .searches.methods import Words

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
    beside: tuple[tuple[Model, Price, float | None], ...] = ()

    def _repr_html_(self) -> str:
        from .report.notebook import search_html

        return search_html(self)

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
    from .passes import Candidate
    from .report.page.compared import search_section
    from .searches.record import search_document

    watcher, given = progress or Silent(), options
    _check(models, options)
    with opened(models, given, watcher) as (plan, options, measured, folder):
        _check_models(plan, options)
        if options.dry_run:
            return Searched(looked_at(plan, options, settled(options), watcher))
        check_images(plan, options.rank)
        pool = plan = looked_at(
            plan, options, settled(options), watcher, backend=options.backend if _asks_time(options) else None
        )
        budgets = _budgets(plan, options)
        each = [{metric: limit / options.ensemble for metric, limit in budget.items()} for budget in budgets]
        with stage(watcher, "searching"):
            found = METHODS[options.method].run(plan, options, each, watcher)
        if options.sweep:
            found = replace(found, tried=_as_written(plan, found.tried, budgets, options, watcher))
        found = replace(found, tried=_measured(plan, found.tried, measured, options, watcher))
        if options.sweep:
            return Searched(pool, found, budgets=budgets, beside=_beside(plan, budgets, measured, options, watcher))
        best = [found.tried[k] for k in found.members]
        check_ensemble(options, best)
        used, stated = _stated(plan, (options, given), best)
        choice, *others = [(Candidate(one.chain, nan, one.price, True, one.score),) for one in best]
        plan = replace(plan, choice=choice, budget=dict(budgets[0]))

        def shown(plan: Plan, record: Mapping[str, Any]) -> list[Section]:
            return [search_section(search_document(Searched(pool, found, plan, record), options.keep))]

        return Searched(pool, found, *complete(plan, models, used, stated, measured, folder, watcher, others, shown))


def _as_written(
    plan: Plan, tried: Sequence[Tried], budgets: Sequence[Mapping[str, float]], options: SearchOptions,
    progress: Progress,
) -> tuple[Tried, ...]:  # fmt: skip
    """The chains, those of the front with the network that a compile makes of them: fitted and healed on all images,
    where the search took a part. The others without one, as nobody asks for it."""
    from .passes import Candidate, Pipeline

    front, found = {*chosen(tried, budgets)}, []
    for place, one in enumerate(tried):
        network = None
        if place in front:
            (used,) = _stated(plan, (options,), [one])
            stated = replace(plan, choice=(Candidate(one.chain, nan, one.price, True, one.score),))
            network = Pipeline(synthesis(used, progress), callback=progress)(stated).hybrid.graph
        found.append(replace(one, network=network))
    return tuple(found)


def _stated(plan: Plan, options: Sequence[SearchOptions], best: Sequence[Tried]) -> list[CompileOptions]:
    """The options of the compile that makes a network of chains, for each of those given."""
    from .passes.stitch.stated import words_of

    words = VOTE.join(words_of(plan, one.chain) for one in best)
    return [one.make(CompileOptions, chain=words, similarity=settled(one).similarity) for one in options]


def check_ensemble(options: SearchOptions, members: Sequence[Tried]) -> None:
    """Raises Infeasible where there are fewer chains than are to vote."""
    if len(members) < options.ensemble:
        raise Infeasible(
            f"of the chains that were stitched, {len(members)} take one input, are within a share of the budget and "
            f"can vote, and {options.ensemble} were asked for",
            "Take fewer members, raise the budget or the effort, or let chains be more alike: `differ=1`.",
        )


def _check(models: Sequence[str | Path | Model], options: SearchOptions) -> None:
    """What can be refused before anything slow begins, is.

    Raises:
        InputError, CutError: it is refused.
    """
    from .passes import adapters

    if not models:
        raise InputError("search was given no models", "Name one or more: stitchc search digits/resnet digits/vit.")
    check_rank(options.rank)
    check_method(options)
    if options.method == "milp":
        check_rules(options, len(models), settled(options).fragments)
    if options.sweep and (options.method != "exact" or options.out is not None):
        raise InputError(
            "a sweep is the front of an exact search over several budgets, and writes no artifact",
            "Leave the method and `out` out. `compile` makes a chain of the front, given as its `chain`.",
        )
    if options.ensemble > 1 and (options.sweep or options.method == "milp"):
        why = "a sweep has several budgets" if options.sweep else "milp finds one chain"
        raise InputError(
            f"an ensemble is of several chains under one budget, and {why}",
            "Take another method, and no sweep; or leave `ensemble` out.",
        )
    if options.asks_latency:
        raise QuantityError("latency does not add up along a chain, so search holds no budget of it", _ADDITIVE)
    moving(options.device)
    check_head(options)
    for name in options.adapters or ():
        adapters.get(name)


def _check_models(plan: Plan, options: SearchOptions) -> None:
    """What can be refused once models are loaded, before anything slow begins, is. StitchNet's algorithm scores
    networks by their seams, whatever they tell apart.

    Raises:
        InputError: it is refused.
    """
    from .classes import check_alike

    not_together(plan.models, options.apart or ())
    if options.method != "stitchnet":
        check_alike(plan.models, "search")


def check_rank(rank: str) -> None:
    """Refuses rules that score no network.

    Raises:
        InputError: it is one.
    """
    if rank in RANKS_OF_PAIRS:
        raise InputError(
            f"`rank={rank!r}` scores pairs of cuts, and a search scores whole networks",
            "Take `rank='cascade'`, or another score.",
        )


def check_images(plan: Plan, rank: str) -> None:
    """Refuses images that chains cannot be scored with by a rule.

    Raises:
        InputError: they cannot.
    """
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
    plan: Plan, options: SearchOptions | FamilyOptions, words: Words, progress: Progress, *, backend: str | None = None
) -> Plan:
    """The plan with graphs, cuts and prices; and with what the cuts represent, unless only the pool is wanted.
    backend: what the latency of fragments is measured with, where that is asked for too."""
    from .cache import Store
    from .passes import Cost, Latency, Partition, Pipeline, Represent, Trace

    told = progress.update
    passes: list[Pass] = [options.make(Trace), Partition(rule=words.rule), Cost(adapters=())]
    if not options.dry_run:
        passes += moving(options.device)
        store = Store("similarity")
        passes.append(options.make(Represent, metric=words.similarity, batch=words.block, store=store, progress=told))
        if backend is not None:
            passes.append(
                options.make(
                    Latency,
                    backend=backend,
                    device=timed_on(options.device, backend),
                    store=Store("latency"),
                    progress=told,
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
    from .searches.sweep import limits

    return limits(options.sweep) if options.sweep else ()


def _beside(
    plan: Plan, budgets: Sequence[Mapping[str, float]], images: Images | None, options: SearchOptions,
    progress: Progress,
) -> tuple[tuple[Model, Price, float | None], ...]:  # fmt: skip
    """What a front stands beside: each model, and unless rivals were declined the same on smaller images, down to the
    first within the least budget; with its top-1, None where it cannot be measured."""
    from .evaluate import accuracy_if_matched

    if options.rivals != "none":
        from .passes import Cost, Partition, Trace
        from .passes.family.smaller import with_smaller

        look = [options.make(Trace), Partition(rule=settled(options).rule), Cost(adapters=()), *moving(options.device)]
        metric = list(budgets[0])[-1]
        with stage(progress, "the models on smaller images"):
            plan = with_smaller(plan, look, metric, budgets[0][metric])
    found: list[tuple[Model, Price, float | None]] = []
    for model, price in zip(plan.models, plan.prices, strict=True):
        accuracy = None
        if images is not None:
            with stage(progress, f"measuring {model.name}"):
                accuracy, _ = accuracy_if_matched(
                    model.network, model.input, images, model, device=options.device, progress=progress
                )
        found.append((model, price, accuracy.top1 if accuracy else None))
    return tuple(found)


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
