"""Chains stitched for real: a tree of their beginnings, each of which is fitted and run once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from ..adapters.base import Adapter
from ..data.chain import Chain
from ..data.values import Price
from ..fit.normal_equations import Known
from ..graphs.compose import fragment
from ..graphs.live import forward_batch
from ..stitch.join import folded
from .probe import Probe
from .space import Route

_BATCH = 64


@dataclass(frozen=True, eq=False)
class Tried:
    """A chain that was stitched.

    price: as the emitted artifact will have it. expected: the score that the losses of its seams add up to. scores: on
    each image, float64 [images]. similarity: the product of those at its seams, where StitchNet's algorithm took them.
    healed: its score after healing, None where it was not healed. adapters: fitted
    on the chain so far, one for each seam. network: healed. accuracy: of that, where somebody measured it.
    """

    chain: Chain
    price: Price
    adapters: tuple[Adapter, ...] = field(repr=False, default=())
    expected: float | None = None
    scores: np.ndarray | None = field(repr=False, default=None)
    similarity: float | None = None
    healed: float | None = None
    network: GraphModule | None = field(repr=False, default=None)
    accuracy: float | None = None

    @property
    def unhealed(self) -> float | None:
        """Mean of the scores over the images."""
        return None if self.scores is None else float(self.scores.mean())

    @property
    def score(self) -> float:
        """What speaks for the chain: the score after healing, else before, else the similarity."""
        return next(score for score in (self.healed, self.unhealed, self.similarity) if score is not None)

    @property
    def standing(self) -> tuple[bool, float]:
        """What chains are ordered by: those that were healed first, by that score; the others by theirs."""
        return (self.healed is not None, self.score)


#: A chain with its adapters, and its score on each image, float64 [images].
Grown = tuple[Route, tuple[Adapter, ...], np.ndarray]


@dataclass(frozen=True, eq=False)
class _Reached:
    """Values where a chain so far ends: [images, ...], of the images that are fitted on and of those that are shown."""

    fit: Tensor
    shown: Tensor


class Tree:
    """Fits and scores chains, the beginnings that they share only once; depth first, so that few values are kept."""

    def __init__(self, probe: Probe):
        self._probe, self._plan = probe, probe.pool.plan

    def grown(self, routes: Sequence[Route]) -> Iterator[Grown]:
        """Each chain with its adapters, fitted seam after seam on what the chain so far gives, and its score on each
        image. In another order."""
        for route in routes:
            if not route.seams:
                yield route, (), self._probe.model_scores(route.model)
        first = [route.seams[0] for route in routes if route.seams]
        self._probe.measure(first)
        self._probe.fit_again(first)
        for model in sorted({route.model for route in routes}):
            mine = [route for route in routes if route.model == model and route.seams]
            for reached, group in self._left(model, None, None, None, mine, 0):
                for row in dict.fromkeys(route.seams[0] for route in group):
                    adapters = (self._probe.fitted[row].adapter,)
                    yield from self._entered(reached, adapters, [r for r in group if r.seams[0] == row])

    def _entered(self, before: _Reached, adapters: tuple[Adapter, ...], routes: Sequence[Route]) -> Iterator[Grown]:
        """Chains that all begin with the seams of these adapters, the last of which is passed here."""
        done, adapter = len(adapters), adapters[-1]
        end = self._probe.pool.seam(routes[0].seams[done - 1]).enters
        start = self._plan.node_at(*end)
        values = self._through(adapter, before)
        if any(len(route.seams) == done for route in routes):
            logits = self._batched(self._fragment(end.model, start, adapter, None), values.shown)
            scores = self._probe.score(logits, end.model)
            yield from ((route, adapters, scores) for route in routes if len(route.seams) == done)
        further = [route for route in routes if len(route.seams) > done]
        for reached, group in self._left(end.model, start, adapter, values, further, done):
            rows = list(dict.fromkeys(route.seams[done] for route in group))
            seams = [self._probe.pool.seam(row) for row in rows]
            known = Known(reached.fit, group[0].model)
            fitted = self._probe.fit(seams, prefix=known, rows=self._probe.effort.rows)
            for row, one in zip(rows, fitted, strict=True):
                mine = [route for route in group if route.seams[done] == row]
                yield from self._entered(reached, (*adapters, one.adapter), mine)
        self._drop(values)

    def _left(
        self, model: int, start: str | None, adapter: Adapter | None, given: _Reached | None,
        routes: Sequence[Route], done: int,
    ) -> Iterator[tuple[_Reached, list[Route]]]:  # fmt: skip
        """The values at each point at which chains leave the model that they are in, with these chains."""
        leaving: dict[int, list[Route]] = defaultdict(list)
        for route in routes:
            leaving[int(self._probe.pool.source[route.seams[done]])].append(route)
        for point in sorted(leaving):
            graph = self._fragment(model, start, adapter, self._plan.node_at(*self._probe.pool.end(point)))
            reached = self._from_images(graph, model) if given is None else self._through(graph, given)
            yield reached, leaving[point]
            self._drop(reached)

    def _from_images(self, graph: GraphModule, model: int) -> _Reached:
        spec = self._plan.models[model].input
        size = forward_batch(self._probe.memory.running, graph, _BATCH)
        with torch.no_grad():
            fit, shown = (
                torch.cat([graph(batch) for batch in images.batches(spec, size)])
                for images in (self._probe.fit_images, self._probe.shown)
            )
        return self._kept(fit, shown)

    def _through(self, network: nn.Module, given: _Reached) -> _Reached:
        return self._kept(self._batched(network, given.fit), self._batched(network, given.shown))

    @torch.no_grad()
    def _batched(self, network: nn.Module, values: Tensor) -> Tensor:
        """What a network makes of values that are kept, which it may not write over."""
        return torch.cat([network(part.clone()) for part in values.split(_BATCH)])

    def _kept(self, fit: Tensor, shown: Tensor) -> _Reached:
        return _Reached(self._probe.store.put(fit), self._probe.store.put(shown))

    def _drop(self, reached: _Reached) -> None:
        self._probe.store.free(reached.fit)
        self._probe.store.free(reached.shown)

    def _fragment(self, model: int, start: str | None, adapter: Adapter | None, end: str | None) -> GraphModule:
        graph = self._plan.graphs[model]
        if adapter is not None and start is not None:
            graph = folded(graph, start, adapter)
        return fragment(graph, start, end)
