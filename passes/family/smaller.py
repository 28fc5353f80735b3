"""The models of a plan on smaller images, and chains of them: networks that need no weights of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from torch.fx import GraphModule

from ..cost.chains import seam_price
from ..data.chain import Chain, Fragment
from ..data.errors import StitchError
from ..data.hybrid import Hybrid
from ..data.model import first_of
from ..data.plan import Plan
from ..pipeline import Pass, Pipeline
from ..rivals.sizes import multiples_below, stride_of
from ..stitch.join import built, graph_of

#: Sizes of a model that are tried at most.
SIZES = 4

#: What there is of each model in a plan.
_OF_MODELS = ("models", "graphs", "cuts", "parts", "prices", "uncounted")


def with_smaller(plan: Plan, look: Sequence[Pass], metric: str, least: float) -> Plan:
    """The plan with each of its models at multiples of its stride below its own size behind them, the largest first,
    down to the first that takes no more than `least`. A size that a model does not run at is left out.

    look: the passes that take a model to its graph, cuts and prices.
    """
    seen = [one for model in range(len(plan.models)) for one in _sizes(plan, model, look, metric, least)]
    joined: dict[str, Any] = {
        name: sum((getattr(one, name) for one in seen), getattr(plan, name)) for name in _OF_MODELS
    }
    return replace(plan, **joined)


def _sizes(plan: Plan, model: int, look: Sequence[Pass], metric: str, least: float) -> Iterator[Plan]:
    """A plan of the model alone for each smaller size."""
    own = plan.models[model]
    sizes = multiples_below(own.input.size, stride_of(plan.cuts[model], own.input.size))
    for _, size in zip(range(SIZES), sizes, strict=False):
        try:
            seen = Pipeline(look)(Plan((own.at(size),), plan.seed, images=plan.images))
        except StitchError:
            continue
        yield seen
        if seen.prices[0][metric] <= least:
            break


def with_only(plan: Plan, kept: Sequence[int]) -> tuple[Plan, dict[int, int]]:
    """The plan with some of its models, and where each of them then stands."""
    parts: dict[str, Any] = {name: tuple(getattr(plan, name)[model] for model in kept) for name in _OF_MODELS}
    return replace(plan, **parts), {model: place for place, model in enumerate(kept)}


def moved(chain: Chain, place: dict[int, int]) -> Chain:
    """The chain among models that stand elsewhere."""
    return replace(chain, fragments=tuple(replace(one, model=place[one.model]) for one in chain.fragments))


def smaller_chains(plan: Plan, chain: Chain, models: Sequence[int]) -> Iterator[Chain]:
    """A chain of models at their own sizes as others of the plan make it on smaller images: those whose sizes are one
    and the same share of the models' own, and that have the cuts of the chain.

    models: the indices of those that may be used.
    """
    first = first_of(plan.models)
    own = {fragment.model for fragment in chain.fragments}
    shares = {model: _share(plan, model, first[model]) for model in models if first[model] in own}
    for share in dict.fromkeys(shares.values()):
        at = {first[model]: model for model, its in shares.items() if its == share}
        found = [_fragment(plan, one, at[one.model]) for one in chain.fragments] if own <= at.keys() else [None]
        fragments = [one for one in found if one is not None]
        if len(fragments) == len(found):
            yield Chain(tuple(fragments), chain.adapters)


def _share(plan: Plan, model: int, own: int) -> tuple[Fraction, ...]:
    """A model's height and width as shares of its own ones."""
    sizes = zip(plan.models[model].input.size, plan.models[own].input.size, strict=True)
    return tuple(Fraction(size, whole) for size, whole in sizes)


def _fragment(plan: Plan, fragment: Fragment, model: int) -> Fragment | None:
    """The same fragment of a model at another size; None where that lacks one of its cuts."""
    places = {cut.node: k for k, cut in enumerate(plan.cuts[model].cuts)}
    nodes = [plan.node_at(fragment.model, cut) for cut in (fragment.start, fragment.end)]
    if any(node is not None and node not in places for node in nodes):
        return None
    start, end = (None if node is None else places[node] for node in nodes)
    return Fragment(model, start, end)


def with_weights_of(plan: Plan, chain: Chain, hybrid: Hybrid) -> GraphModule | None:
    """The network of a chain on smaller images, with the weights of the hybrid that is the same at the models' own
    sizes; None where those do not fit, as weights that are one for each position of the image."""
    try:
        graph = graph_of(plan, chain, [built(plan, seam) for seam in chain.seams()])
        graph.load_state_dict(hybrid.network.state_dict())
    except (StitchError, RuntimeError):  # load_state_dict raises the latter for other names and shapes
        return None
    return graph


def smaller_hybrid(plan: Plan, chain: Chain, hybrid: Hybrid, graph: GraphModule) -> Hybrid:
    """A hybrid on smaller images. What healing said of it was measured at the models' own sizes, and is left out."""
    from ..cost.chains import price_of

    uses = zip(hybrid.adapters, chain.seams(), strict=True)
    adapters = tuple(replace(use, price=seam_price(plan, seam)) for use, seam in uses)
    return replace(hybrid, chain=chain, price=price_of(plan, chain), adapters=adapters, healing=None, graph=graph)
