"""The methods of a search, each with what its options are where nobody says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..passes.data.errors import Infeasible, InputError
from ..passes.search.effort import SearchEffort
from ..progress import Progress
from .rules import rules_of

if TYPE_CHECKING:
    from ..families.options import FamilyOptions
    from ..passes.data.plan import Plan
    from ..passes.search.chains import Tried
    from ..passes.search.lazy import Found, Search
    from ..passes.search.pool import Pool
    from ..passes.search.space import Repeats, Route, Space
    from .options import SearchOptions


#: Of its MACs, what a model gives at least before another follows it, and after it follows another.
SHARE = 0.1


@dataclass(frozen=True)
class Words:
    """Options that each method has its own defaults of. block: of images that are compared at once, None for what the
    measure of similarity is used with."""

    adapters: tuple[str, ...]
    fragments: int
    rule: str
    similarity: str
    repeats: Repeats
    block: int | None = None


@dataclass(frozen=True)
class Method:
    """run: from a plan with what its cuts represent, the options, and the budgets (limits by metric), to the chains,
    the best first. words: its defaults."""

    run: Callable[[Plan, SearchOptions, Sequence[Mapping[str, float]], Progress], Found]
    words: Words


def settled(options: SearchOptions) -> Words:
    """The options, with the method's defaults for those that nobody set."""
    return said_words(options, METHODS[options.method].words)


def said_words(options: SearchOptions | FamilyOptions, words: Words) -> Words:
    """The words of a method, with those in their place that somebody has set."""
    names = ("adapters", "fragments", "rule", "similarity", "repeats")
    said = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return replace(words, **said)


def exact(plan: Plan, options: SearchOptions, budgets: Sequence[Mapping[str, float]], progress: Progress) -> Found:
    """The best chains under each budget, by losses that are probed where they matter, stitched and healed."""
    words = settled(options)
    count = -(-max(SearchEffort.of(options.effort).chains, options.keep) // len(budgets))
    return _probed(plan, options, budgets, lambda pool: _best_routes(words, options, budgets, count, plan), progress)


def milp(plan: Plan, options: SearchOptions, budgets: Sequence[Mapping[str, float]], progress: Progress) -> Found:
    """The best chain under rules that do not add up along it, by an integer program over the same losses."""

    def search(pool: Pool) -> Search:
        rules = rules_of(pool, options)

        def routes(space: Space) -> list[Route]:
            from ..passes.search.milp import solve

            words = settled(options)
            found = solve(space, rules, fragments=words.fragments, budget=budgets[0], repeats=words.repeats)
            return _stitches([found.found.route])

        return routes

    return _probed(plan, options, budgets, search, progress)


def _probed(
    plan: Plan, options: SearchOptions, budgets: Sequence[Mapping[str, float]], search: Callable[[Pool], Search],
    progress: Progress,
) -> Found:  # fmt: skip
    from ..cache import Store
    from ..passes.data.healing import healing_options
    from ..passes.search.lazy import Lazy
    from ..passes.search.losses import Predictor, similarities
    from ..passes.search.pool import Pool
    from ..passes.search.probe import Probe

    words, effort = settled(options), SearchEffort.of(options.effort)
    share = SHARE if options.min_share is None else options.min_share
    pool = Pool.of(
        plan, words.adapters, repeats=words.repeats == "loops", min_share=share, max_memory=options.max_memory
    )
    if not len(pool):
        raise nothing_to_join(words.adapters)
    probe = Probe(pool, effort, options.rank, options.max_memory, Store("seams"))
    healing = None if options.heal == "none" else (options.heal, healing_options(options, options.max_memory))
    predictor = Predictor(pool, similarities(plan))
    return Lazy(probe, predictor, search(pool), healing, budgets, options.ensemble, progress.update).run()


def _best_routes(
    words: Words, options: SearchOptions, budgets: Sequence[Mapping[str, float]], count: int, plan: Plan
) -> Search:
    """The best chains of two fragments or more under each budget; of several, those that no chain meets are left
    out."""
    from ..passes.search.exact import diverse

    def within(space: Space, limits: Mapping[str, float]) -> list[Route]:
        found = diverse(
            space, count + len(plan.models), options.differ,
            fragments=words.fragments, budget=limits, repeats=words.repeats,
        )  # fmt: skip
        return _stitches([one.route for one in found])[:count]

    def routes(space: Space) -> list[Route]:
        found: dict[Route, None] = {}
        for limits in budgets:
            try:
                found |= dict.fromkeys(within(space, limits))
            except Infeasible:
                if not found and limits is budgets[-1]:
                    raise
        return list(found)

    return routes


def _stitches(routes: Sequence[Route]) -> list[Route]:
    """Those of two fragments or more.

    Raises:
        Infeasible: there are none.
    """
    found = [route for route in routes if route.seams]
    if not found:
        raise Infeasible(
            "within the budget there is no chain but a whole model", "Raise the budget, or allow more fragments.", {}
        )
    return found


def stitchnet(plan: Plan, options: SearchOptions, budgets: Sequence[Mapping[str, float]], progress: Progress) -> Found:
    """Algorithm 1 of StitchNet, on all images; its networks within the budget, by the product of similarities."""
    from ..passes.search.chains import Tried
    from ..passes.search.lazy import Found
    from ..passes.search.stitchnet import Algorithm1, ranked
    from ..passes.stitch.join import graph_of

    words = settled(options)
    if len(words.adapters) != 1:
        raise InputError(
            f"StitchNet's algorithm stitches with one adapter, and {len(words.adapters)} were named",
            "Name one, or none for the paper's, which is fused into the next layer.",
        )
    run = Algorithm1(
        plan, options.width, options.threshold, words.fragments, options.start, options.candidates, words.repeats,
        words.adapters[0], options.max_memory, progress.update,
    )  # fmt: skip
    stopped, (limits,) = run.run(), budgets
    stitched = [one for one in ranked(run.found) if one.adapters]
    within = [one for one in stitched if all(one.price[metric] <= limit for metric, limit in limits.items())]
    if not within:
        nearest = {metric: min((one.price[metric] for one in stitched), default=float("inf")) for metric in limits}
        raise Infeasible(
            f"of the {len(run.found)} networks that the algorithm found, "
            + ("none is within the budget" if stitched else "each is a whole model"),
            "Raise the budget, lower the threshold, or try more fragments at each step.",
            {metric: amount for metric, amount in nearest.items() if amount != float("inf")},
        )
    tried = [
        Tried(
            one.chain, one.price, one.adapters, similarity=one.score,
            network=graph_of(plan, one.chain, one.adapters) if place < options.keep else None,
        )
        for place, one in enumerate(within)
    ]  # fmt: skip
    return Found(tuple(tried), len(run.found), stopped, members=_alike(plan, tried)[: options.ensemble])


def _alike(plan: Plan, tried: Sequence[Tried]) -> tuple[int, ...]:
    """The chains that take the same input as the first."""
    wanted = plan.input_of(tried[0].chain)
    return tuple(k for k, one in enumerate(tried) if plan.input_of(one.chain) == wanted)


def nothing_to_join(adapters: Sequence[str]) -> InputError:
    """What is said of models that adapters cannot join anywhere."""
    return InputError(
        f"no two cuts of the models can be joined by {', '.join(adapters)}",
        "`inspect` lists the cuts of a model. Or name other `adapters`.",
    )


_EXACT = Words(("identity", "linear", "conv3x3"), 3, "single-tensor", "cka-unbiased", "forward")
METHODS: Mapping[str, Method] = {
    "exact": Method(exact, _EXACT),
    "milp": Method(milp, _EXACT),
    "stitchnet": Method(stitchnet, Words(("fused",), 16, "stitchnet", "cka", "loops")),
}
