"""Adapters for many candidates at once, in closed form: what the pass `fit` does for the plan's choice.

One sweep over the probe images serves all candidates: each parent runs once a batch, up to the last cut that is needed,
and the values at all needed cuts are taken on the way. Adapters that read the same of the same front (whatever their
backs) share its second moments and each factorisation; only the products with the back's values are their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import prod

import torch
from torch import Tensor

from . import adapters
from .adapters.base import Adapter
from .candidates import Candidate
from .compose import values_at
from .join import ends
from .model import Images
from .plan import Plan
from .ridge import Moments, Solution, choose_ridges, solve

#: Penalties to choose among, relative to the mean variance of a feature.
RIDGES = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
#: Positions to use at most, evenly over the images.
ROWS = 200_000
#: Bytes that the moments of one sweep may take.
MEMORY = 1 << 30
# Multiply-adds that the normal equations of one system may take: half a minute on two cores.
OPERATIONS = 1e12
# The im2col of one slice of images takes at most this much memory, and so do the values kept of one batch.
SLICE_BYTES = 256 << 20

End = tuple[int, int]  # (index of the model in the plan, index of the cut in its cuts)


@dataclass(frozen=True, eq=False)
class Fitted:
    """A candidate with its adapter, in eval mode, its weights set.

    residual: the share of the variance of the back's values that the fit leaves unexplained on held-out images, when
    fitted on the others; the weights themselves are from all images. ridge: the penalty that was chosen.
    """

    candidate: Candidate
    adapter: Adapter
    residual: float
    ridge: float

    @property
    def r2(self) -> float:
        """The held-out coefficient of determination."""
        return 1 - self.residual


@torch.no_grad()  # not inference_mode: what is made here may be trained later
def fit_all(
    plan: Plan,
    candidates: Sequence[Candidate],
    *,
    batch: int = 64,
    ridges: Sequence[float] = RIDGES,
    rows: int = ROWS,
    memory: int = MEMORY,
    progress: Callable[[int, int], None] | None = None,
) -> list[Fitted]:
    """Each candidate with its adapter fitted: regularised least squares from the front's values to those that the
    back's own parent has for the same images, in float64. The plan needs graphs, cuts and images.

    Every fifth image is held out, to choose each ridge by; the weights are then solved from all. The result for a
    candidate does not depend on which others are fitted beside it, but for rounding.

    batch: images a forward pass, fewer where the values at the cuts are large. rows: positions to use at most, drawn at
    random and evenly over the images; fewer for adapters of many features, whose normal equations would take more than
    `OPERATIONS`, but never under 16 a feature if there are so many. memory: bytes of moments; where they would take
    more there are several sweeps, and one system too large for it alone has one of its own. progress: called with
    (images done, images in all sweeps).
    """
    with torch.random.fork_rng(devices=[]):
        built = [adapters.get(c.adapter)(*ends(plan, c)).eval() for c in candidates]
    groups = _groups(_systems(candidates, built), memory)
    images = _images(plan)
    done: dict[int, Fitted] = {}
    for index, systems in enumerate(groups):
        for seen in _sweep(plan, systems, batch, rows):
            if progress:
                progress(index * len(images) + seen, len(groups) * len(images))
        while systems:  # each lets go of its moments
            done |= systems.pop().solved(candidates, built, ridges)
    return [done[index] for index in range(len(candidates))]


@dataclass(eq=False)
class _System:
    """The normal equations of all adapters that read the same of one front.

    reader: one of them. columns: of each back and way to read its values, the place in y. users: for each candidate by
    its index, its columns. fitting, held_out: the moments over the two parts of the images.
    """

    front: End
    reader: Adapter
    columns: dict[End, slice] = field(default_factory=dict)
    targets: list[tuple[End, Adapter]] = field(default_factory=list)
    users: dict[int, slice] = field(default_factory=dict)
    fitting: Moments | None = None
    held_out: Moments | None = None

    def join(self, index: int, back: End, adapter: Adapter) -> None:
        if back not in self.columns:
            self.columns[back] = slice(self.channels, self.channels + adapter.back.channels)
            self.targets.append((back, adapter))
        self.users[index] = self.columns[back]

    @property
    def channels(self) -> int:
        return max((place.stop for place in self.columns.values()), default=0)

    @property
    def size_bytes(self) -> int:
        features = self.reader.features
        return 2 * 8 * features * (features + self.channels)

    def begin(self) -> None:
        self.fitting, self.held_out = (Moments.zeros(self.reader.features, self.channels) for _ in range(2))

    def add(self, values: Mapping[End, Tensor], held: Tensor, rows: int, generator: torch.Generator) -> None:
        """The rows of one batch: `rows` of each image at most. held: which images are held out, bool [images]."""
        assert self.fitting and self.held_out
        for part in torch.arange(len(held)).split(self._images_per_slice()):
            design = self.reader.design(values[self.front][part])
            targets = [adapter.target(values[back][part]) for back, adapter in self.targets]
            if rows < design.shape[1]:
                # Drawn image by image, so that the draw does not depend on how the images are batched.
                keep = torch.stack([torch.randperm(design.shape[1], generator=generator)[:rows] for _ in part])
                image = torch.arange(len(part))[:, None]
                design, targets = design[image, keep], [target[image, keep] for target in targets]
            y = torch.cat(targets, dim=2)
            for moments, mask in ((self.fitting, ~held[part]), (self.held_out, held[part])):
                moments.add(design[mask].flatten(0, 1), y[mask].flatten(0, 1))

    def _images_per_slice(self) -> int:
        reader = self.reader
        positions = max(reader.back.pixels + reader.back.tokens, reader.front.pixels)
        return max(1, SLICE_BYTES // (4 * reader.features * positions))

    def solved(
        self, candidates: Sequence[Candidate], built: Sequence[Adapter], ridges: Sequence[float]
    ) -> dict[int, Fitted]:
        """The adapters of all users, by their index, with their weights set."""
        assert self.fitting and self.held_out
        chosen = choose_ridges(self.fitting, self.held_out, ridges, list(self.users.values()))
        everything = self.fitting + self.held_out
        solutions: dict[float, Solution] = {}
        done = {}
        for (index, place), (ridge, left) in zip(self.users.items(), chosen, strict=True):
            if ridge not in solutions:
                solutions[ridge] = solve(everything, ridge)
            built[index].load(solutions[ridge].weight[place].float(), solutions[ridge].bias[place].float())
            done[index] = Fitted(candidates[index], built[index], left, ridge)
        return done


def rows_per_image(adapter: Adapter, images: int, rows: int = ROWS) -> int:
    """How many positions of each image the fit of an adapter uses at most."""
    affordable = max(int(OPERATIONS / adapter.features**2), 16 * adapter.features)
    return -(-min(rows, affordable) // images)


def _systems(candidates: Sequence[Candidate], built: Sequence[Adapter]) -> list[_System]:
    systems: dict[object, _System] = {}
    for index, (candidate, adapter) in enumerate(zip(candidates, built, strict=True)):
        system = systems.setdefault((candidate.front, adapter.reading), _System(candidate.front, adapter))
        system.join(index, candidate.back, adapter)
    return list(systems.values())


def _groups(systems: Sequence[_System], memory: int) -> list[list[_System]]:
    """The systems in as few groups as their order allows, each within `memory` or alone."""
    groups: list[list[_System]] = []
    for system in systems:
        if not groups or sum(other.size_bytes for other in groups[-1]) + system.size_bytes > memory:
            groups.append([])
        groups[-1].append(system)
    return groups


def _sweep(plan: Plan, systems: Sequence[_System], batch: int, rows: int) -> Iterator[int]:
    """Adds all images to the moments of all systems; yields how many images are done, batch by batch."""
    images = len(_images(plan))
    rows_of = [rows_per_image(system.reader, images, rows) for system in systems]
    generators = [torch.Generator().manual_seed(plan.seed) for _ in systems]
    for system in systems:
        system.begin()
    done = 0
    for values in _values(plan, {end for system in systems for end in (system.front, *system.columns)}, batch):
        count = len(next(iter(values.values())))
        held = torch.arange(done, done + count) % 5 == 4
        for system, rows_here, generator in zip(systems, rows_of, generators, strict=True):
            system.add(values, held, rows_here, generator)
        done += count
        yield done


def _values(plan: Plan, wanted: set[End], batch: int) -> Iterator[dict[End, Tensor]]:
    """The values at all wanted cuts for the same images, batch by batch."""
    by_model = {model: sorted(end for end in wanted if end[0] == model) for model, _ in sorted(wanted)}
    taken = sum(prod(plan.cuts[model][cut].value.shape) for model, cut in wanted)
    size = max(1, min(batch, SLICE_BYTES // (4 * taken)))
    heads = {
        model: values_at(plan.graphs[model], [plan.cuts[model][cut].node for _, cut in ends_of])
        for model, ends_of in by_model.items()
    }
    views = [_images(plan).batches(plan.models[model].input, size) for model in by_model]
    for shown in zip(*views, strict=True):
        values: dict[End, Tensor] = {}
        for (model, ends_of), batch_of in zip(by_model.items(), shown, strict=True):
            values |= zip(ends_of, heads[model](batch_of), strict=True)
        yield values


def _images(plan: Plan) -> Images:
    assert plan.images is not None, "fitting needs images"
    return plan.images
