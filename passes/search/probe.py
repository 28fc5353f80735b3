"""What seams lose, measured: pairs of models are stitched at them, fitted, and shown images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.fx import GraphModule

from ..data.chain import Seam
from ..data.memory import Memory
from ..data.model import InputSpec
from ..data.some_images import Part
from ..fit.closed_form import Fitted, fit_all
from ..graphs.outputs import outputs
from ..graphs.placement import device_of
from ..numerics.offload import TensorStore
from ..rank.scores import Reference, held_against, score_of
from ..rank.stitched import Stitched
from ..represent.vector_cache import Store
from .effort import SearchEffort
from .kept import Kept
from .pool import Pool

# Seams that are fitted and probed between two reports of progress.
_CHUNK = 24
# Images that R2 is taken from, and positions of all together.
_R2_IMAGES, _R2_ROWS = 64, 4096
_R2_RIDGES = (1e-3, 1e-1, 10.0)

#: Called with the steps done, the steps in all, and how it is going in a few words.
Progress = Callable[[int, int, str], None]


class Probe:
    """Scores networks made of the models of a pool, all on the same images, and keeps what was measured of seams.

    What networks are held against is as `rank.scores` says, with all models of the pool. The score of the best model
    alone is what losses are counted from: own: float64 [models], what each model scores; deficit: by how much less than
    the best. loss, r2: float64 [seams], NaN where not measured. fitted: adapters of seams, by row. store: where what
    was measured is kept from run to run (`kept`).
    """

    def __init__(
        self, pool: Pool, effort: SearchEffort, rule: str = "cascade", max_memory: int | None = None,
        store: Store | None = None,
    ):  # fmt: skip
        plan = pool.plan
        assert plan.images is not None
        self.pool, self.effort, self._max_memory = pool, effort, max_memory
        half = len(plan.images) // 2
        self.fit_images = Part(plan.images, 0, min(effort.fit_images, half))
        self.shown = Part(plan.images, half, min(half + effort.shown, len(plan.images)))
        self._score = score_of(rule)
        self.memory = Memory.of(max_memory)
        self.store = TensorStore(self.memory.weights, device_of(plan.graphs[0]))
        self._stitched = Stitched(plan, max_memory)
        self._parents = [self._stitched.parent(model, self.shown) for model in range(len(plan.models))]
        self._references: dict[int, Reference] = {}
        self.own = np.array([self.model_scores(model).mean() for model in range(len(plan.models))])
        self.deficit = self.own.max() - self.own
        self.loss, self.r2 = np.full(len(pool), np.nan), np.full(len(pool), np.nan)
        self.fitted: dict[int, Fitted] = {}
        ends = pool.source * (pool.target.max(initial=0) + 1) + pool.target
        cheap = np.lexsort([*pool.seam_cost.T, ends])  # of each two cuts, the cheapest adapter first
        _, first, self._pair = np.unique(ends[cheap], return_index=True, return_inverse=True)
        self._cheapest = cheap[first]
        self._pair = self._pair[np.argsort(cheap)]
        self.kept = Kept.of(pool, store, effort, rule, (self.fit_images, self.shown))

    def reference(self, last: int) -> Reference:
        """What networks are held against whose last fragment is of a model."""
        if last not in self._references:
            self._references[last] = held_against(self.pool.plan, last, self._parents.__getitem__, self.shown.labels)
        return self._references[last]

    def score(self, logits: Tensor, last: int) -> np.ndarray:
        """The score of a network on each image that is shown: float64 [images]. Where its outputs are not finite, 0."""
        found = self._score(logits, self.reference(last)).double()
        return torch.where(found.isfinite(), found, 0.0).cpu().numpy()

    def model_scores(self, model: int) -> np.ndarray:
        """What a model alone scores on each image that is shown: float64 [images]."""
        return self.score(self._parents[model], model)

    def logits(self, graph: GraphModule, spec: InputSpec) -> Tensor:
        """What a network says of the images that are shown: float32 [images, classes]."""
        return outputs(graph, self.shown, spec, self.memory)

    def fit(self, seams: Sequence[Seam], **more: object) -> list[Fitted]:
        """Adapters fitted on the images that are kept for that; more: of `fit_all`."""
        plan = replace(self.pool.plan, images=self.fit_images)
        return fit_all(plan, seams, max_memory=self._max_memory, store=self.store, roughly=True, **more)  # type: ignore[arg-type]

    def probed(self, row: int) -> bool:
        """Whether a seam was stitched and scored."""
        return not np.isnan(self.loss[row])

    def compare(self, rows: Sequence[int]) -> None:
        """Fills the held-out R2 of seams, from a fit to few positions of few images: that of the cheapest adapter, for
        all adapters that join the same two cuts."""
        asked = np.unique(self._pair[list(rows)])
        cheapest = [self._cheapest[pair] for pair in asked if np.isnan(self.r2[self._cheapest[pair]])]
        known = {self._pair[row]: r2 for row, r2 in self.kept.known("r2", cheapest).items()}
        cheapest = [row for row in cheapest if self._pair[row] not in known]
        if cheapest:
            made = self._roughly(cheapest)
            known |= {self._pair[row]: one.r2 for row, one in zip(cheapest, made, strict=True)}
            self.kept.add("r2", cheapest, [one.r2 for one in made])
        of_pairs = np.array([known.get(pair, np.nan) for pair in range(len(self._cheapest))])
        self.r2 = np.where(np.isnan(self.r2), of_pairs[self._pair], self.r2)

    def _roughly(self, rows: Sequence[int]) -> list[Fitted]:
        """Seams fitted to few positions of few images."""
        images = Part(self.fit_images, 0, min(_R2_IMAGES, len(self.fit_images)))
        plan = replace(self.pool.plan, images=images)
        seams = [self.pool.seam(row) for row in rows]
        return fit_all(
            plan, seams, rows=_R2_ROWS, ridges=_R2_RIDGES, max_memory=self._max_memory, roughly=True, final=False
        )

    def fit_again(self, rows: Sequence[int]) -> None:
        """Fills `fitted` for seams whose losses are known from an earlier run."""
        missing = [row for row in dict.fromkeys(rows) if row not in self.fitted]
        for start in range(0, len(missing), _CHUNK):
            group = missing[start : start + _CHUNK]
            made = self.fit([self.pool.seam(row) for row in group], rows=self.effort.rows)
            self.fitted |= dict(zip(group, made, strict=True))
            self.store.unload()

    def measure(self, rows: Sequence[int], progress: Progress | None = None, said: str = "") -> None:
        """Fills the loss of seams: by how much the two models, stitched there, score less than the best model, less
        half of what each of them loses alone; below 0 where they score more than the mean of both."""
        known = self.kept.known("loss", [row for row in dict.fromkeys(rows) if not self.probed(row)])
        for row, loss in known.items():
            self.loss[row] = loss
        rows = [row for row in dict.fromkeys(rows) if not self.probed(row)]
        for start in range(0, len(rows), _CHUNK):
            group = rows[start : start + _CHUNK]
            made = self.fit([self.pool.seam(row) for row in group], rows=self.effort.rows)
            for row, one, logits in zip(group, made, self._stitched.logits(made, self.shown), strict=True):
                front, back = one.seam.leaves.model, one.seam.enters.model
                lost = self.own.max() - self.score(logits, back).mean()
                self.loss[row] = lost - (self.deficit[front] + self.deficit[back]) / 2
                self.fitted[row] = one
            self.kept.add("loss", group, self.loss[group].tolist())
            self.store.unload()
            if progress:
                progress(min(start + _CHUNK, len(rows)), len(rows), said)
