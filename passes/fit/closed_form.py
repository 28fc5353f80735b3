"""Closed-form fits of the adapters of many candidates at once, which the passes `fit` and `rank` use.

One sweep over the probe images serves all candidates: each parent runs once a batch, up to the last value that is
needed. Adapters with the same design matrix (whatever their backs) share its second moments and factorisations; only
the products with the back's values are computed for each.

An adapter that is not exactly the fitted linear map (a ReLU at the end, a low rank) takes another sweep to measure its
residual on the held-out images; one that needs statistics first (a norm before) takes another sweep ahead.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor
from torch.fx import GraphModule

from .. import adapters
from ..adapters import convert
from ..adapters.base import Adapter
from ..data.chain import Seam
from ..data.memory import Memory
from ..data.model import Images
from ..data.plan import Plan
from ..graphs.compose import fragment, values_at
from ..graphs.conventions import by_name, preactivation, result
from ..graphs.live import forward_batch
from ..graphs.placement import device_of
from ..numerics.held_out import held_out, measured
from ..numerics.offload import TensorStore
from ..numerics.ridge import Moments
from ..stitch.join import ends, folded
from .limits import refuse_too_large
from .normal_equations import (
    Known,
    NormalEquations,
    Place,
    Prefix,
    Solved,
    Source,
    rows_per_image,
)

#: Penalties to choose among, relative to the mean variance of a feature.
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: Positions to use at most, evenly over the images.
ROWS = 200_000


@dataclass(frozen=True, eq=False)
class Fitted:
    """A seam with its adapter, in eval mode, its weights set.

    residual: the share of the variance of the back's values that the adapter leaves unexplained on held-out images,
    when fitted on the others; the weights themselves are from all images. ridge: the penalty that was chosen; None for
    an adapter without a linear map. output_residual: the share of the variance of the back's own output that the whole
    leaves unexplained on the same images, likewise; None where it was not asked for.
    """

    seam: Seam
    adapter: Adapter
    residual: float
    ridge: float | None
    output_residual: float | None = None

    @property
    def r2(self) -> float:
        """The held-out coefficient of determination."""
        return 1 - self.residual


@torch.no_grad()  # not inference_mode: what is made here may be trained later
def fit_all(
    plan: Plan,
    seams: Sequence[Seam],
    *,
    prefix: Prefix | Known | None = None,
    batch: int = 64,
    ridges: Sequence[float] = RIDGES,
    rows: int = ROWS,
    max_memory: int | None = None,
    store: TensorStore | None = None,
    through: bool = False,
    roughly: bool = False,
    final: bool = True,
    channels: int | None = None,
    measured: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> list[Fitted]:
    """Each seam with its adapter fitted: regularised least squares from the values at the cut that is left to those
    that the next fragment's own parent has for the same images, in float64. The plan needs graphs, cuts and images.

    prefix: the chain before the seams, where it is more than a part of one model: the values are then taken from it, or
    are its own, where they are known.

    Every fifth image is held out, to choose each ridge by; the weights are then solved from all. The result for a
    candidate does not depend on which others are fitted beside it, but for rounding.

    batch: images a forward pass, fewer where the values at the cuts are large. rows: positions to use at most, drawn at
    random and evenly over the images; fewer for adapters of many features, whose normal equations would take more than
    half a minute, but never under 16 a feature if there are so many. max_memory: bytes that fitting may take at one
    moment (see `data/memory.py`); where the moments would take more there are several sweeps. store: where the weights
    of adapters are held. through: run the backs too, on what the adapters make of the held-out images, for
    `output_residual`. roughly: take products and sums in float32, and choose penalties by some of the back's channels,
    evenly spaced, of which the residuals then are: in less time, and less memory. final: solve the weights from all
    images; without, only the residuals are of use, and they may be those of at most so many `channels` of each back's
    value, evenly spaced. measured: measure the residuals of adapters that are not exactly the fitted linear map;
    without, theirs are of that map, and there is one sweep less. progress: called with (images done, images in all
    sweeps).

    Raises:
        InputError: the normal equations of a single adapter take more than their share of the memory.
    """
    memory = Memory.of(max_memory)
    store = store or TensorStore(memory.weights)
    refuse_too_large(plan, seams, memory)
    jobs = [_Job.of(plan, seam, prefix, store, through, measured, final) for seam in seams]
    sweeps = list(_sweeps(jobs, memory, through, roughly, final, channels))
    images = len(_images(plan))
    for index, sweep in enumerate(sweeps):
        sweep.begin(plan, rows)
        done = 0
        for shown in _values(plan, sweep.places, batch, memory, scored_only=isinstance(sweep, _Measure)):
            sweep.add(shown)
            store.unload()
            done += shown.images
            if progress:
                progress(index * images + done, len(sweeps) * images)
        sweep.end(ridges)
    return [job.finish() for job in jobs]


@dataclass(frozen=True, eq=False)
class _Batch:
    """The values at places for the same images. held: which of them are held out of the fit; scored: which of them it
    is measured on, the same unless the images are too few to hold any out. Both bool, for each that there are values
    of. images: how many were passed, those that were left out included."""

    values: Mapping[Place, Tensor]
    held: Tensor
    scored: Tensor
    images: int


@dataclass(eq=False)
class _Job:
    """A seam while its adapter is fitted.

    store: where weights are held. measured: whether the adapter is held against the held-out images, fitted on the
    others; `whole` is then the same fitted on all, where that is asked for (`final`). front, back: where the values at
    its cuts are taken. target: where the value is that the linear map is fitted to. output: the output of the back's
    own parent. left, left_at_output: the measured residuals at the cut and at the output. tail: the back behind the
    seam, where the output is measured.
    """

    seam: Seam
    adapter: Adapter
    front: Place
    back: Place
    target: Place
    output: Place
    store: TensorStore
    measured: bool
    final: bool
    whole: Adapter | None = None
    solved: tuple[float, float] | None = None
    left: _Left | None = None
    left_at_output: _Left | None = None
    tail: GraphModule | None = None

    @classmethod
    def of(
        cls, plan: Plan, seam: Seam, prefix: Prefix | Known | None, store: TensorStore, through: bool, measured: bool,
        final: bool,
    ) -> _Job:  # fmt: skip
        back = seam.enters.model
        adapter = adapters.built(seam.adapter, *ends(plan, seam), plan.seed).to(device_of(plan.graphs[back]))
        store.put_weights(adapter)
        graph, node = plan.graphs[back], plan.cuts[back][seam.enters.cut].node
        aim = preactivation(graph, node) if adapter.preactivation else node
        front: Place = seam.leaves.model, plan.cuts[seam.leaves.model][seam.leaves.cut].node
        if prefix is not None:
            front = prefix, "" if isinstance(prefix, Known) else result(prefix.graph.graph).name
        return cls(
            seam,
            adapter,
            front,
            (back, node),
            (back, aim),
            (back, result(graph.graph).name),
            store,
            through or (measured and not adapter.exact),
            final,
        )

    def observe(self, shown: _Batch) -> None:
        kept = ~shown.held
        self.adapter.observe(shown.values[self.front][kept], shown.values[self.target][kept])

    def take(self, solved: Solved) -> None:
        if not solved.whole and self.final:
            self.whole = copy.deepcopy(self.adapter)
            self.store.put_weights(self.whole)
        adapter = self.whole if self.whole is not None and solved.whole else self.adapter
        adapter.load(solved.solution, solved.moments)
        self.store.unload()

    def measure(self, shown: _Batch) -> None:
        """Adds a batch to the residuals at the cut, and at the output, on the held-out images."""
        back = self.adapter.back
        x, y = shown.values[self.front][shown.scored], shown.values[self.back][shown.scored]
        made = self.adapter(x)
        if not self.adapter.exact:
            self.left = self.left or _Left()
            self.left.add(convert.rows(made, back).flatten(0, 1), convert.rows(y, back).flatten(0, 1))
        if self.tail:
            self.left_at_output = self.left_at_output or _Left()
            self.left_at_output.add(self.tail(made).flatten(1), shown.values[self.output][shown.scored].flatten(1))

    def open(self, plan: Plan) -> None:
        """Prepares the back to be run on the adapter's output."""
        _, node = self.back
        self.tail = fragment(folded(plan.graphs[self.seam.enters.model], node, self.adapter), start=node)

    def finish(self) -> Fitted:
        ridge, left = self.solved or (None, 0.0)
        left = self.left.share if self.left else left
        through = self.left_at_output.share if self.left_at_output else None
        return Fitted(self.seam, self.whole or self.adapter, left, ridge, through)


class _Left:
    """Accumulates the share of the variance of rows, each channel around its mean, that predictions leave
    unexplained."""

    def __init__(self) -> None:
        self.errors = 0.0
        self.moments: Moments | None = None

    def add(self, made: Tensor, wanted: Tensor) -> None:
        self.moments = self.moments or Moments.zeros(0, wanted.shape[1], device=wanted.device)
        self.moments.add(wanted[:, :0], wanted)
        self.errors += float((made - wanted).double().square().sum())

    @property
    def share(self) -> float:
        variation = float(self.moments.variation().sum()) if self.moments else 0.0
        return self.errors / variation if variation > 0 else 0.0


@dataclass(eq=False)
class _Observe:
    """The sweep in which adapters collect the statistics that they need before they can be fitted."""

    jobs: list[_Job]

    @property
    def places(self) -> set[Place]:
        return {place for job in self.jobs for place in (job.front, job.target)}

    def begin(self, plan: Plan, rows: int) -> None: ...

    def add(self, shown: _Batch) -> None:
        for job in self.jobs:
            job.observe(shown)

    def end(self, ridges: Sequence[float]) -> None: ...


@dataclass(eq=False)
class _Collect:
    """The sweep that collects the moments of several sets of normal equations; at its end they are solved. final: as
    `fit_all`."""

    jobs: list[_Job]
    memory: Memory
    final: bool
    equations: list[NormalEquations] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    generators: list[torch.Generator] = field(default_factory=list)

    @property
    def places(self) -> set[Place]:
        return set[Place]().union(*(one.places for one in self.equations))

    def has_room(self, more: NormalEquations) -> bool:
        """Whether the moments of one set more fit into memory, solved one set after the other."""
        needed = [one.bytes for one in (*self.equations, more)]
        return sum(moments for moments, _ in needed) + max(work for _, work in needed) <= self.memory.equations

    def begin(self, plan: Plan, rows: int) -> None:
        for one in self.equations:
            one.begin(_device(plan, one.front[0]))
            self.rows.append(rows_per_image(one.reader, len(_images(plan)), rows))
            self.generators.append(torch.Generator().manual_seed(plan.seed))

    def add(self, shown: _Batch) -> None:
        for one, rows, generator in zip(self.equations, self.rows, self.generators, strict=True):
            one.add(shown.values, shown.held, rows, generator, self.memory.rows)

    def end(self, ridges: Sequence[float]) -> None:
        for one in self.equations:
            chosen = one.choose(ridges)
            for user, solved in chosen.items():
                self.jobs[user].solved = solved
            partly = [user for user in one.users if self.jobs[user].measured]
            only_ridges = {user: ridge for user, (ridge, _) in chosen.items()}
            for solution in one.solve(only_ridges, partly, whole=self.final):
                self.jobs[solution.user].take(solution)


@dataclass(eq=False)
class _Measure(_Observe):
    """The sweep that measures residuals on the held-out images. through: also at the output of the back."""

    through: bool = False

    @property
    def places(self) -> set[Place]:
        outputs = {job.output for job in self.jobs} if self.through else set()
        return outputs | {place for job in self.jobs for place in (job.front, job.back)}

    def begin(self, plan: Plan, rows: int) -> None:
        for job in self.jobs if self.through else ():
            job.open(plan)

    def add(self, shown: _Batch) -> None:
        for job in self.jobs:
            job.measure(shown)


_Sweep = _Observe | _Collect


def _sweeps(
    jobs: list[_Job], memory: Memory, through: bool, roughly: bool, final: bool, channels: int | None
) -> Iterator[_Sweep]:
    """As few sweeps as possible: each collects the moments of as many sets of equations as the memory holds."""
    observers = [job for job in jobs if job.adapter.observes]
    if observers:
        yield _Observe(observers)
    collect = _Collect(jobs, memory, final)
    for one in _equations(jobs, memory, channels, roughly):
        if collect.equations and not collect.has_room(one):
            yield collect
            collect = _Collect(jobs, memory, final)
        collect.equations.append(one)
    if collect.equations:
        yield collect
    if shown := [job for job in jobs if job.measured]:
        yield _Measure(shown, through)


def _equations(jobs: list[_Job], memory: Memory, channels: int | None, roughly: bool) -> list[NormalEquations]:
    """The sets of normal equations. Adapters with one design matrix share a set, as far as the memory allows."""
    equations: dict[Hashable, list[NormalEquations]] = {}
    for index, job in enumerate(jobs):
        if not job.adapter.features:
            continue
        shared = equations.setdefault((job.front, job.adapter.design_key, job.adapter.ridge), [])
        if not shared or not shared[-1].has_room(job.target, job.adapter, memory.equations):
            shared.append(NormalEquations(job.front, job.adapter, channels, roughly))
        shared[-1].join(index, job.target, job.adapter)
    return [one for several in equations.values() for one in several]


def _values(
    plan: Plan, wanted: set[Place], batch: int, memory: Memory, *, scored_only: bool = False
) -> Iterator[_Batch]:
    """The values at all wanted places for the same images, batch by batch. scored_only: of the others none are
    computed."""
    sources = sorted({source for source, _ in wanted}, key=_order)
    by_source = {source: sorted(node for other, node in wanted if other == source) for source in sources}
    graphs = {source: _graph(plan, source) for source in sources if not isinstance(source, Known)}
    heads = {source: values_at(graph, by_source[source]) for source, graph in graphs.items()}
    images = _images(plan)
    size = _batch_size(plan, wanted, batch, memory)
    for head in heads.values():
        size = forward_batch(memory.running, head, size)
    views = [_view(plan, source, size) for source in by_source]
    done = 0
    for shown in zip(*views, strict=True):
        count = len(shown[0])
        held = held_out(done, count)
        scored = measured(held, len(images))
        done += count
        wanted_of = scored if scored_only else torch.ones_like(scored)
        if not wanted_of.any():
            continue
        values: dict[Place, Tensor] = {}
        for (source, nodes), batch_of in zip(by_source.items(), shown, strict=True):
            given = batch_of[wanted_of]
            made = (given,) if isinstance(source, Known) else heads[source](given)
            values |= zip([(source, node) for node in nodes], made, strict=True)
        yield _Batch(values, held[wanted_of], scored[wanted_of], count)


def _view(plan: Plan, source: Source, size: int) -> Iterable[Tensor]:
    """What a source is given, batch by batch: images, or the values that are known."""
    if isinstance(source, Known):
        return source.values.split(size)
    return _images(plan).batches(plan.models[_order(source)[1]].input, size)


def _batch_size(plan: Plan, wanted: set[Place], batch: int, memory: Memory) -> int:
    """Fewer images where the values that are kept of them would take more than their share."""
    shapes = [_shape(plan, source, node) for source, node in wanted]
    return max(1, min(batch, memory.values // (4 * sum(prod(shape[1:]) for shape in shapes))))


def _shape(plan: Plan, source: Source, node: str) -> Sequence[int]:
    if isinstance(source, Known):
        return source.values.shape
    return by_name(_graph(plan, source).graph)[node].meta["shape"]


def _device(plan: Plan, source: Source) -> torch.device:
    return source.values.device if isinstance(source, Known) else device_of(_graph(plan, source))


def _graph(plan: Plan, source: int | Prefix) -> GraphModule:
    return plan.graphs[source] if isinstance(source, int) else source.graph


def _order(source: Source) -> tuple[bool, int]:
    """Models by their index, the beginnings of chains after them; second, the model whose input it takes."""
    return (False, source) if isinstance(source, int) else (True, source.model)


def _images(plan: Plan) -> Images:
    assert plan.images is not None, "fitting needs images"
    return plan.images
