"""StitchNet's Algorithm 1 (Teerapittayanon et al., "StitchNet: Composing Neural Networks from Pre-Trained Fragments",
arXiv 2301.01947): chains grown fragment by fragment, as far as the product of the similarities at their seams allows.

As printed, the algorithm compares what the chain gives with N_ik(D), the output of the candidate; section II-A compares
it with the candidate's input, which is also what a stitch has to reach, and that is done here. A candidate that goes on
where the chain has come to in the same model is joined without a stitch: the two are one span of that model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import isnan
from typing import NamedTuple

import torch
from torch import Tensor

from .. import adapters as registry
from ..adapters.base import Adapter
from ..cost.adapter_prices import adapter_price
from ..cost.chains import price_of
from ..data.chain import Chain, End, Fragment, Seam
from ..data.errors import unknown
from ..data.plan import Plan
from ..data.values import Price
from ..fit.closed_form import fit_all
from ..fit.limits import tried
from ..fit.normal_equations import Known
from ..graphs.compose import fragment
from ..numerics import similarity as measures
from ..numerics.gram import gram, regroup, whole
from ..stitch.join import folded
from .space import Repeats

STARTS = ("all", "smallest", "largest", "closest")
CANDIDATES = ("cka", "params", "latency")
#: The metric that fragments are ordered by, of these words.
_ORDER = {"smallest": "params", "largest": "params", "closest": "latency", "params": "params", "latency": "latency"}
# Images of a forward pass, at most.
_BATCH = 64


class Piece(NamedTuple):
    """A fragment of the pool: of a model, the piece of that number, up to its first cut, or from each cut to the next,
    or from the last cut on."""

    model: int
    number: int


@dataclass(frozen=True, eq=False)
class StitchNet:
    """A network that the algorithm has composed. pieces: in the order in which they run. chain: the same, with pieces
    that follow one another in one model as one fragment. score: the product of the similarities. adapters: fitted, one
    for each seam. price: of the whole."""

    pieces: tuple[Piece, ...]
    chain: Chain
    score: float
    adapters: tuple[Adapter, ...] = field(repr=False)
    price: Price


@dataclass(frozen=True, eq=False)
class _Partial:
    """A chain so far. values: what it gives, [images, ...]."""

    pieces: tuple[Piece, ...]
    fragments: tuple[Fragment, ...]
    adapters: tuple[Adapter, ...]
    values: Tensor
    score: float


@dataclass(eq=False)
class Algorithm1:
    """One run of the algorithm over a plan with graphs, cuts, parts, prices, representations and images.

    width: fragments that are tried next, the paper's K. threshold: that the product of the similarities stays above, T.
    longest: pieces of a network at most, L. start: which starting fragments: all, the one of the fewest or the most
    parameters, or the one of the least latency. candidates: which fragments come next: those whose inputs are most
    similar to what the chain gives, those of the fewest parameters, or those of the least latency (which the pass
    `latency` fills in). repeats: see `space`. adapter: that stitches; "fused" is the paper's.

    Similarity is that of the plan's representations. Fragments that the adapter cannot join to the chain, or that it
    cannot be fitted to within max_memory, are no candidates.
    progress: called with the networks found, 0, and how it is going.
    """

    plan: Plan
    width: int = 2
    threshold: float = 0.5
    longest: int = 16
    start: str = "all"
    candidates: str = "cka"
    repeats: Repeats = "loops"
    adapter: str = "fused"
    max_memory: int | None = None
    progress: Callable[[int, int, str], None] | None = None
    found: list[StitchNet] = field(default_factory=list)

    def __post_init__(self) -> None:
        for given, known, what in ((self.start, STARTS, "choice of the start"),
                                   (self.candidates, CANDIDATES, "choice of candidates")):  # fmt: skip
            if given not in known:
                raise unknown(given, what, known)
        first = self.plan.representations[0]
        self._metric, self._sizes = measures.get(first.metric), list(first.sizes)
        self._adapter = registry.get(self.adapter)

    @torch.no_grad()
    def run(self) -> bool:
        """Fills `found`; returns whether it was interrupted. The order is that of the recursion."""
        try:
            for piece in self.starting():
                self._grow(self._begun(piece))
        except KeyboardInterrupt:
            if not self.found:
                raise
            return True
        return False

    def pieces(self) -> list[Piece]:
        """The whole pool."""
        return [Piece(m, k) for m, cuts in enumerate(self.plan.cuts) for k in range(len(cuts) + 1)]

    def starting(self) -> list[Piece]:
        """The fragments that networks begin with."""
        first = [piece for piece in self.pieces() if piece.number == 0 and not self._ends(piece)]
        if self.start == "all" or not first:
            return first
        amounts = [self._amount(piece, _ORDER[self.start]) for piece in first]
        choose = max if self.start == "largest" else min
        return [first[amounts.index(choose(amounts))]]

    def _grow(self, so_far: _Partial) -> None:
        if len(so_far.pieces) >= self.longest:
            return
        for piece, likeness in self._next(so_far):
            score = so_far.score * likeness
            if score > self.threshold:
                stitched = self._stitched(so_far, piece, score)
                if self._ends(piece):
                    self._done(stitched)
                else:
                    self._grow(stitched)

    def _next(self, so_far: _Partial) -> Iterator[tuple[Piece, float]]:
        """The middle and terminating fragments to try, each with the similarity of its input to what the chain gives;
        of equals, the earlier in the pool."""
        able = [piece for piece in self.pieces() if piece.number and self._able(so_far, piece)]
        own = self._vector(so_far.values)
        likeness: dict[Piece, float] = {}
        for model in {piece.model for piece in able}:
            vectors = self.plan.representations[model].vectors
            row = measures.similarity(own, vectors, self._metric, self._sizes)[0]
            likeness |= {piece: float(row[piece.number - 1]) for piece in able if piece.model == model}
        if self.candidates == "cka":
            able.sort(key=lambda piece: (isnan(likeness[piece]), -likeness[piece]))
        else:
            able.sort(key=lambda piece: self._amount(piece, _ORDER[self.candidates]))
        yield from ((piece, likeness[piece]) for piece in able[: self.width])

    def _able(self, so_far: _Partial, piece: Piece) -> bool:
        """Whether a fragment may come next, and can be joined."""
        last = so_far.pieces[-1]
        if piece == Piece(last.model, last.number + 1):
            return True
        before = [p.number for p in so_far.pieces if p.model == piece.model]
        if before and (self.repeats == "none" or (self.repeats == "forward" and piece.number <= max(before))):
            return False
        seam = self._seam(last, piece)
        if isinstance(adapter_price(self._adapter, *map(self.plan.value_at, (seam.leaves, seam.enters))), str):
            return False
        return bool(tried(self.plan, [seam], self.max_memory)[0])

    def _begun(self, piece: Piece) -> _Partial:
        model, images = self.plan.models[piece.model], self.plan.images
        assert images is not None
        graph = fragment(self.plan.graphs[piece.model], None, self.plan.node_at(piece.model, 0))
        values = torch.cat([graph(batch) for batch in images.batches(model.input, _BATCH)])
        return _Partial((piece,), (Fragment(piece.model, None, 0),), (), values, 1.0)

    def _stitched(self, so_far: _Partial, piece: Piece, score: float) -> _Partial:
        last, fragments = so_far.pieces[-1], so_far.fragments
        graph, end = self.plan.graphs[piece.model], None if self._ends(piece) else piece.number
        start = self.plan.node_at(piece.model, piece.number - 1)
        values, adapters = so_far.values, so_far.adapters
        if piece == Piece(last.model, last.number + 1):
            fragments = (*fragments[:-1], replace(fragments[-1], end=end))
        else:
            fragments = (*fragments, Fragment(piece.model, piece.number - 1, end))
            known = Known(values, fragments[0].model)
            (made,) = fit_all(self.plan, [self._seam(last, piece)], prefix=known, max_memory=self.max_memory)
            adapters = (*adapters, made.adapter)
            values = _through(made.adapter, values)
            assert start is not None
            graph = folded(graph, start, made.adapter)
        reached = _through(fragment(graph, start, self.plan.node_at(piece.model, end)), values)
        return _Partial((*so_far.pieces, piece), fragments, adapters, reached, score)

    def _done(self, network: _Partial) -> None:
        chain = Chain(network.fragments, (self._adapter.notation,) * len(network.adapters))
        price = price_of(self.plan, chain)
        self.found.append(StitchNet(network.pieces, chain, network.score, network.adapters, price))
        if self.progress:
            self.progress(len(self.found), 0, f"{len(self.found)} networks, the last scores {network.score:.3f}")

    def _seam(self, last: Piece, piece: Piece) -> Seam:
        leaves, enters = End(last.model, last.number), End(piece.model, piece.number - 1)
        return Seam(leaves, self._adapter.notation, enters)

    def _ends(self, piece: Piece) -> bool:
        return piece.number == len(self.plan.cuts[piece.model])

    def _amount(self, piece: Piece, metric: str) -> float:
        """What a fragment takes; of the latency, which is no sum over parts, the difference of what is before its
        ends."""
        start, end = piece.number - 1 if piece.number else None, None if self._ends(piece) else piece.number
        if metric != "latency":
            return self.plan.parts[piece.model].spans.piece(start, end).sums[metric]
        cuts = self.plan.cuts[piece.model]
        before = 0.0 if start is None else (cuts[start].before or Price())[metric]
        return (self.plan.prices[piece.model] if end is None else cuts[end].before or Price())[metric] - before

    def _vector(self, values: Tensor) -> Tensor:
        """The representation of values as the pass `represent` makes them of cuts: [1, length]."""
        units, norms = [], []
        for block in regroup(iter([values]), self._sizes):
            matrix, energy = whole(gram(block))
            unit, norm = measures.unit_vectors(matrix[None], energy[None], self._metric)
            units.append(unit)
            norms.append(norm)
        return measures.join_blocks(units, norms, self._metric)


def _through(network: torch.nn.Module, values: Tensor) -> Tensor:
    """What a network makes of values that are kept, which it may not write over."""
    return torch.cat([network(part.clone()) for part in values.split(_BATCH)])


def ranked(found: Sequence[StitchNet]) -> list[StitchNet]:
    """The networks from the best score on, of equals the cheaper first; each chain once."""
    best: dict[Chain, StitchNet] = {}
    for one in found:
        if one.chain not in best or best[one.chain].score < one.score:
            best[one.chain] = one
    return sorted(best.values(), key=lambda one: (-one.score, one.price.ordering()))
