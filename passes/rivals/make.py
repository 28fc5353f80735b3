"""The networks that could be had instead of a hybrid, made one after the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from torch.fx import GraphModule

from ..data.candidates import Candidate
from ..data.chain import Chain, Fragment
from ..data.errors import StitchError
from ..data.hybrid import Hybrid
from ..data.model import Images, InputSpec, Model, first_of
from ..data.plan import Plan
from ..data.rivals import Rival
from ..data.some_images import Part
from ..data.values import Price
from ..pipeline import Pipeline
from ..shorten import ADAPTER
from ..stitch.join import built, graph_of
from ..vote import voting
from .apart import AS_GIVEN
from .sizes import Size, at_least, between, multiples_below, saved, somewhat_smaller, stride_of

if TYPE_CHECKING:
    from . import Rivals

#: By how much the best score leads a network that was healed on 128 images where healing on more could not make it win.
#: From 128 to 512 images healing gained at most 2.3 points of accuracy (docs/healing_measured.md, by images).
LEAD = 0.1
#: The same of one that was healed on half of the images, whose score then decides: it is made of all images where it is
#: that near the best, since somebody may take it after all.
HALF_LEAD = 0.05
# A model that does not run at so many smaller sizes in succession runs at none.
_REFUSALS = 2
# Images that a model without some of its layers is repaired on first.
_PREVIEW_IMAGES = 128


class Maker:
    """Makes the rivals of a plan's hybrid, as the pass says."""

    def __init__(self, plan: Plan, step: Rivals, trails: Callable[[GraphModule, InputSpec, float], bool]):
        """trails: whether a network that was repaired on few images is so far behind what was made before that more
        would not make it win, as they gain less than this."""
        self._plan, self._step, self._trails = plan, step, trails
        self._halves: dict[GraphModule, GraphModule] = {}  # of networks, as they come out of the first half
        self.notes: tuple[str, ...] = ()
        self._timed = any("latency" in price for price in plan.prices)

    def made(self) -> Iterator[Rival]:
        """All rivals; each within the budget that is as it was given is followed by the same, trained."""
        for rival in self._as_they_are():
            yield rival
            if self._step.train and rival.hybrid is not None and rival.within and rival.kind in AS_GIVEN:
                yield replace(rival, hybrid=self._trained(rival, self._plan.images), trained=True)

    def network(self, rival: Rival, *, unseen: bool) -> GraphModule | None:
        """The network of a rival, if there is one. unseen: where it was fitted or trained, as it comes out of the first
        half of the images."""
        if rival.hybrid is None:
            return None
        if not unseen:
            return rival.hybrid.network
        if rival.kind == "parts-left-out" and not rival.preview:
            return self.from_half(rival.hybrid)
        return self._trained(rival, self._half()).network if rival.trained else rival.hybrid.network

    def _trained(self, rival: Rival, images: Images | None) -> Hybrid:
        """A network as it was given, trained by the passes that trained the hybrid."""
        plan = self._plan
        assert rival.hybrid is not None
        if rival.parent is None:
            plan = replace(
                plan,
                models=(*plan.models, rival.model),
                graphs=(*plan.graphs, rival.hybrid.network),
                prices=(*plan.prices, rival.price),
            )
        as_given = replace(rival.hybrid, graph=plan.graphs[rival.hybrid.chain.back.model])
        return Pipeline(self._step.train)(replace(plan, images=images, hybrids=(as_given,))).hybrid

    def _half(self) -> Part:
        assert self._plan.images is not None
        return Part(self._plan.images, 0, len(self._plan.images) // 2)

    def _as_they_are(self) -> Iterator[Rival]:
        """Parents first, then those within the budget on somewhat smaller images, what can be made of those that are
        over budget, and the other networks."""
        over, within = [], []
        first = first_of(self._plan.models)
        for index, model in enumerate(self._plan.models):
            if first[index] != index:
                continue  # a given model at another size, as which it is tried anyway
            price = self._plan.prices[index]
            if not self._within(price):
                over.append(index)
                continue
            within.append(index)
            whole = Hybrid("rival", Chain((Fragment(index),)), price, graph=self._plan.graphs[index])
            yield Rival("parent", model, index, whole, uncounted=self._plan.uncounted[index])
        for index in within if self._step.look else ():
            yield from self._somewhat_smaller(index)
        for index in over if self._step.look else ():
            yield from self._smaller(index)
        for index in over:
            yield from self._shorter(index)
        yield from self._unrepaired()
        for model in self._step.against if self._step.look else ():
            yield self._looked_at("against", model)

    def from_half(self, hybrid: Hybrid | None) -> GraphModule:
        """A chain with adapters, or an ensemble of some, as it comes out of the first half of the images."""
        assert hybrid is not None
        if hybrid.network in self._halves:
            return self._halves[hybrid.network]
        if hybrid.members:
            return voting([self.from_half(one) for one in hybrid.members])
        if not hybrid.adapters:
            return hybrid.network
        candidate = Candidate(hybrid.chain, math.nan, hybrid.price or Price(), True)
        return Pipeline(self._step.repair)(replace(self._plan, images=self._half(), choice=(candidate,))).hybrid.network

    def _within(self, price: Mapping[str, float]) -> bool:
        return all(metric in price and price[metric] <= limit for metric, limit in self._plan.budget.items())

    def _may_be_within(self, index: int, size: Size) -> bool:
        """Whether a model may meet the budget on images of a smaller size, as far as that can be told without tracing
        it there, which takes seconds."""
        own, price = self._plan.models[index].input.size, self._plan.prices[index]
        share = size[1] * size[2] / (own[1] * own[2])
        return all(
            metric not in price or at_least(metric, price[metric], share) <= limit
            for metric, limit in self._plan.budget.items()
        )

    def _looked_at(self, kind: str, model: Model) -> Rival:
        """A network that the plan does not hold, whole; with the reason where it does not run."""
        try:
            seen = Pipeline(self._step.look)(Plan((model,), self._plan.seed, images=self._plan.images))
        except StitchError as error:
            return Rival(kind, model, within=False, reason=error.message)
        chain = Chain((Fragment(len(self._plan.models)),))
        price = self._with_latency(seen.prices[0], seen.graphs[0], model)
        hybrid = Hybrid("rival", chain, price, graph=seen.graphs[0])
        return Rival(kind, model, None, hybrid, self._within(price), uncounted=seen.uncounted[0])

    def _somewhat_smaller(self, index: int) -> Iterator[Rival]:
        """A model on somewhat smaller images, where a budget is asked for that this saves."""
        size = self._plan.models[index].input.size
        smaller = somewhat_smaller(size, stride_of(self._plan.cuts[index], size))
        if smaller is not None and any(saved(metric) for metric in self._plan.budget):
            yield self._looked_at("smaller-input", self._plan.models[index].at(smaller))

    def _smaller(self, index: int) -> Iterator[Rival]:
        """A model on smaller images: from the largest that is within the budget down the multiples of its stride."""
        model, size = self._plan.models[index], self._plan.models[index].input.size
        stride = stride_of(self._plan.cuts[index], size)
        held = refused = 0
        larger: Size = size
        for smaller in multiples_below(size, stride):
            if not self._may_be_within(index, smaller):
                larger = smaller
                continue
            rival = self._looked_at("smaller-input", model.at(smaller))
            if rival.hybrid is None:
                refused += 1
                yield rival
                if refused == _REFUSALS:
                    return
                continue
            refused = 0
            if rival.within:
                if not held:
                    yield from self._finer(index, larger, smaller, stride)
                held += 1
                yield rival
            larger = smaller
            if held == self._step.sizes:
                return

    def _finer(self, index: int, larger: Size, smaller: Size, stride: int) -> Iterator[Rival]:
        """The largest size within the budget between one that is and one that is not."""
        for size in between(larger, smaller, stride):
            if not self._may_be_within(index, size):
                continue
            rival = self._looked_at("smaller-input", self._plan.models[index].at(size))
            if rival.within:
                yield rival
                return

    def _shorter(self, index: int) -> Iterator[Rival]:
        """A model without some of its layers: two fragments of it, chosen and repaired as a hybrid is."""
        if self._step.choose is None:
            return
        model, limits = self._plan.models[index], dict(self._plan.budget)
        limits.pop("latency", None)  # of what is chosen, it is measured
        try:
            done, preview = self._repaired(Pipeline(self._step.choose(limits))(_alone(self._plan, index)))
        except StitchError as error:
            yield Rival("parts-left-out", model, index, within=False, reason=error.message)
            return
        hybrid = done.hybrid
        price = self._with_latency(hybrid.price or Price(), hybrid.network, model)
        chain = replace(hybrid.chain, fragments=tuple(replace(f, model=index) for f in hybrid.chain.fragments))
        made = replace(hybrid, name="rival", chain=chain, price=price)
        yield Rival("parts-left-out", model, index, made, self._within(price), preview=preview)

    def _repaired(self, plan: Plan) -> tuple[Plan, bool]:
        """A plan with its choice made a network and repaired; and whether on few images only, where it trails by far.
        With polishing, which takes the time that was asked for, there is no trial before."""
        repair, images = Pipeline(self._step.repair), plan.images
        assert images is not None
        if len(images) < 2 * _PREVIEW_IMAGES or self._plan.hybrid.polishing is not None:
            return repair(plan), False
        few: dict[int, Plan] = {}
        for count, lead in self._trials(len(images)):
            few[count] = repair(replace(plan, images=Part(images, 0, count)))
            if self._trails(few[count].hybrid.network, plan.models[0].input, lead):
                self.notes += (
                    f"{plan.models[0].name} without some of its layers was repaired on {count} images only: after that "
                    "it was too far behind for more to make it the best.",
                )
                return few[count], True
        done, half = repair(plan), few.get(len(images) // 2)
        if half is not None:
            self._halves[done.hybrid.network] = half.hybrid.network
        return done, False

    def _trials(self, images: int) -> Iterator[tuple[int, float]]:
        """On how many images a network is repaired before it is on all, and how near the best it then has to be. The
        half is needed anyway where it must be scored on images that it never saw."""
        yield _PREVIEW_IMAGES, LEAD
        if self._step.unseen and images // 2 > _PREVIEW_IMAGES:
            yield images // 2, HALF_LEAD

    def _unrepaired(self) -> Iterator[Rival]:
        """A hybrid that is one model without some of its layers, as it is before it is healed."""
        hybrid = self._plan.hybrid
        if len(self._plan.models) > 1 or hybrid.healing is None or set(hybrid.chain.adapters) != {ADAPTER}:
            return
        graph = graph_of(self._plan, hybrid.chain, [built(self._plan, seam) for seam in hybrid.chain.seams()])
        made = replace(hybrid, name="rival", graph=graph, healing=None, polishing=None, verified=None)
        yield Rival("unrepaired", self._plan.models[0], 0, made, uncounted=self._plan.uncounted[0])

    def _with_latency(self, price: Price, graph: GraphModule, model: Model) -> Price:
        if not self._timed:
            return price
        import torch

        from ..graphs.placement import device_of, on_device
        from ..latency.backends import on_backend
        from ..latency.clock import measure

        place = torch.device("cpu") if self._step.backend == "onnxruntime" else device_of(graph)
        image = torch.zeros(1, *model.input.size, device=place)
        run = on_backend(self._step.backend, on_device(graph, place), image)
        return price | {"latency": measure(run, image, device=str(place)).median_ms}


def _alone(plan: Plan, index: int) -> Plan:
    """A plan of one of the models, with what is known of it."""
    return Plan(
        models=(plan.models[index],),
        seed=plan.seed,
        images=plan.images,
        graphs=(plan.graphs[index],),
        cuts=(plan.cuts[index],),
        prices=(plan.prices[index],),
        uncounted=(plan.uncounted[index],),
        parts=(plan.parts[index],),
        representations=plan.representations[index : index + 1],
    )
