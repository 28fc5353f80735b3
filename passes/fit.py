"""The pass `fit`: the adapter's weights in closed form, from probe images, without labels or gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from . import adapters
from .adapters.base import Adapter
from .base import Pass
from .candidates import Candidate
from .compose import fragment
from .join import ends, join
from .model import Images
from .plan import Plan
from .ridge import Moments, choose_ridge, solve

# Multiply-adds that the normal equations of one adapter may take: half a minute on two cores.
OPERATIONS = 1e12
# Of several adapters, those with more features than this are not tried: their systems take gigabytes and minutes.
FEATURES = 4608
# The im2col of one slice of images takes at most this much memory.
SLICE_BYTES = 256 << 20


@dataclass(frozen=True)
class Fit(Pass):
    """Regularised least squares from the front's values to those that the back's own parent has for the same images.

    All adapters of the plan's choice are fitted in one sweep over the images; the one that leaves least unexplained on
    held-out images stays. Every fifth image is held out, to choose the ridge by; the weights are then solved from all.

    batch: images a forward pass. ridges: penalties to choose among, relative to the mean variance of a feature.
    rows: positions to use at most, drawn at random and evenly over the images; fewer for adapters of many features,
    whose normal equations would take more than `OPERATIONS`, but never under 16 a feature if there are so many.
    """

    name: ClassVar[str] = "fit"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "choice", "images")
    adds: ClassVar[tuple[str, ...]] = ("stitched", "chain", "price")

    batch: int = 64
    ridges: tuple[float, ...] = (1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)
    rows: int = 200_000
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    @torch.no_grad()  # not inference_mode: what is made here may be trained later
    def __call__(self, plan: Plan) -> Plan:
        candidates, built, notes = self._tried(plan)
        scored = []
        moments = self._moments(plan, built)
        for index, (fitting, held_out) in enumerate(moments):
            ridge, left = choose_ridge(fitting, held_out, self.ridges)
            scored.append((left, index, ridge))
        left, index, ridge = min(scored)
        fitting, held_out = moments[index]
        solution = solve(fitting + held_out, ridge)
        built[index].load(solution.weight.float(), solution.bias.float())
        return join(
            replace(plan, notes=plan.notes + notes), candidates[index], built[index], residual=left, ridge=ridge
        )

    def _tried(self, plan: Plan) -> tuple[list[Candidate], list[Adapter], tuple[str, ...]]:
        """The plan's choice with an adapter built for each, without those too large to be tried beside others."""
        built = [(c, adapters.get(c.adapter)(*ends(plan, c)).eval()) for c in plan.choice]
        smallest = min(adapter.features for _, adapter in built)
        tried = [(c, adapter) for c, adapter in built if adapter.features <= max(FEATURES, smallest)]
        left_out = [adapter.name for c, adapter in built if (c, adapter) not in tried]
        notes = tuple(
            f"{name} was not tried: it has more than {FEATURES:,} inputs here. --adapter {name} takes the time."
            for name in left_out
        )
        return [c for c, _ in tried], [adapter for _, adapter in tried], notes

    def _rows_per_image(self, adapter: Adapter, images: int) -> int:
        affordable = max(int(OPERATIONS / adapter.features**2), 16 * adapter.features)
        return -(-min(self.rows, affordable) // images)

    def _moments(self, plan: Plan, built: list[Adapter]) -> list[tuple[Moments, Moments]]:
        """For every adapter, the moments over the images to fit on and over those held out."""
        sums = [(_moments_for(adapter), _moments_for(adapter)) for adapter in built]
        generator = torch.Generator().manual_seed(plan.seed)
        for start, x, y in self._values(plan):
            held = (torch.arange(start, start + len(x)) % 5) == 4
            for adapter, (fitting, held_out) in zip(built, sums, strict=True):
                rows_per_image = self._rows_per_image(adapter, len(_images(plan)))
                for part in torch.arange(len(x)).split(_images_per_slice(adapter)):
                    design, target = adapter.design(x[part]), adapter.target(y[part])
                    if rows_per_image < target.shape[1]:
                        keep = torch.randperm(target.shape[1], generator=generator)[:rows_per_image]
                        design, target = design[:, keep], target[:, keep]
                    for sums_of, mask in ((fitting, ~held[part]), (held_out, held[part])):
                        sums_of.add(design[mask].flatten(0, 1), target[mask].flatten(0, 1))
        return sums

    def _values(self, plan: Plan) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Batch by batch: the index of the first image, the front's values, and the back's own for the same images."""
        front, back = plan.choice[0].front, plan.choice[0].back
        images = _images(plan)
        heads = [fragment(plan.graphs[model], end=plan.cuts[model][cut].node) for model, cut in (front, back)]
        views = [images.batches(plan.models[model].input, self.batch) for model, _ in (front, back)]
        done = 0
        for shown in zip(*views, strict=True):
            x, y = (head(batch) for head, batch in zip(heads, shown, strict=True))
            yield done, x, y
            done += len(x)
            if self.progress:
                self.progress(done, len(images))


def _images(plan: Plan) -> Images:
    assert plan.images is not None  # `requires` holds it
    return plan.images


def _moments_for(adapter: Adapter) -> Moments:
    return Moments.zeros(adapter.features, adapter.back.channels)


def _images_per_slice(adapter: Adapter) -> int:
    positions = adapter.back.pixels + adapter.back.tokens
    spread = max(positions, adapter.front.pixels)
    return max(1, SLICE_BYTES // (4 * adapter.features * spread))
