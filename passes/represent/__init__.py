"""The pass `represent`: how each cut represents the images, from one forward pass of each model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from ..data.errors import DataError, ModelError
from ..data.memory import Memory
from ..data.model import first_of
from ..data.pass_options import MemoryOptions
from ..data.plan import Plan
from ..data.representation import Representation
from ..pipeline import Pass

if TYPE_CHECKING:
    from torch import Tensor

    from ..data.values import Cut
    from ..numerics.gram import Gram
    from ..numerics.similarity import Metric
    from .vector_cache import Store


@dataclass(frozen=True)
class Represent(Pass, MemoryOptions):
    """For each cut of every model one vector, such that the dot product of two vectors is the similarity of their cuts.

    metric: "cka-unbiased", "cka", "cka-pooled", "rbf-cka" or "procrustes" (see `numerics.similarity`). images: how many
    of the first to show, all where there are fewer; batch: the size of the blocks that they are compared in; None for
    what the metric is used with (512 in blocks of 64; for "cka" 1,280 in blocks of 256, as ReStNet). The result depends
    on the images and on these, and on nothing else: not on how the images are batched by their loader. one_size: of a
    model that the plan has at several input sizes, each takes the vectors of the first, which saves running it again.
    Between two networks for CIFAR-10 at 32 and at 28 pixels, CKA differed by 0.02 in the mean (0.12 at most, rank
    correlation 0.99), between two for ImageNet at 224 and at 192 as much (0.07, 0.99). max_memory:
    bytes that it may take beside the models (`estimate` says how many); the blocks are halved until it fits, and a note
    says so. store: where the vectors are kept, so that a model that was seen before need not run again. progress:
    called with (blocks done, blocks in all).

    Cuts whose value is the same for all images, or infinite, get a zero vector, and a note.

    Raises:
        InputError: an unknown metric. DataError: fewer than four images. ModelError: values that are not finite.
        QuantityError: max_memory is too little.
    """

    name: ClassVar[str] = "represent"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "images")
    ensures: ClassVar[tuple[str, ...]] = ("representations",)
    drops: ClassVar[tuple[str, ...]] = (
        "similarity",
        "choice",
        "timed",
        "stages",
        "hybrids",
        "rivals",
        "recommended",
        "folder",
    )

    metric: str = "cka-unbiased"
    images: int | None = None
    batch: int | None = None
    one_size: bool = False
    store: Store | None = field(default=None, compare=False)
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        from ..numerics import similarity as metrics

        assert plan.images is not None  # `requires` holds it
        metric = metrics.get(self.metric)
        sizes, notes = self._sizes(plan, metric)
        found: list[Representation] = []
        for index, own in enumerate(first_of(plan.models)):
            vectors = _taken_over(plan, found, own, index) if self.one_size and own != index else None
            if vectors is None:
                vectors = self._vectors(plan, index, metric, sizes)
                notes += tuple(_undefined(plan, index, vectors))
            elif self.progress:
                self.progress((index + 1) * len(sizes), len(plan.models) * len(sizes))
            found.append(Representation(vectors, metric.name, tuple(sizes), plan.images.name))
        return replace(plan, representations=tuple(found), notes=plan.notes + notes)

    def estimate(self, plan: Plan) -> int:
        """Bytes that the pass will take beside the models."""
        from ..numerics import similarity as metrics
        from .memory import comparison_bytes

        return comparison_bytes(plan.graphs, _nodes(plan), self._sizes(plan, metrics.get(self.metric))[0])

    def _sizes(self, plan: Plan, metric: Metric) -> tuple[list[int], tuple[str, ...]]:
        """The sizes of the blocks, and a note if they are smaller than asked for."""
        from ..numerics.similarity import block_sizes
        from .memory import SMALLEST, sizes_within

        assert plan.images is not None  # `requires` holds it
        images = min(len(plan.images), self.images or metric.images)
        if images < SMALLEST:
            raise DataError(
                f"similarity needs four images at least, and '{plan.images.name}' gives {images}",
                "Show more images; some hundreds make a stable estimate.",
            )
        block = max(SMALLEST, self.batch or metric.block)
        sizes = sizes_within(Memory.of(self.max_memory).limit, plan.graphs, _nodes(plan), images, block)
        if sizes == block_sizes(images, block):
            return sizes, ()
        effect = "" if metric.own_scale else f", where {metric.name} is higher"
        return sizes, (f"Compared in blocks of {max(sizes)} images, not {block}, to fit into memory{effect}.",)

    def _vectors(self, plan: Plan, index: int, metric: Metric, sizes: list[int]) -> Tensor:
        """The vectors of all cuts of one model, float32 [cuts, length]; those that are kept are not computed again."""
        import torch

        from ..graphs.placement import device_of
        from ..numerics.similarity import length
        from . import vector_cache

        cuts, columns = plan.cuts[index].cuts, sum(map(length, sizes))
        found: dict[str, Tensor] = {}
        key = ""
        place = device_of(plan.graphs[index]).type
        store = (
            self.store if place == "cpu" else None
        )  # a card computes them in less time than hashing the images takes
        if store is not None and cuts:
            shown = _images(plan, index, sizes)
            key = vector_cache.vectors_key(plan.graphs[index], shown, metric.name, sizes)
            found = vector_cache.read_vectors(store, key, [cut.node for cut in cuts], columns)
        missing = [cut for cut in cuts if cut.node not in found]
        if missing:
            fresh = self._computed(plan, index, missing, metric, sizes)
            found |= zip([cut.node for cut in missing], fresh, strict=True)
            if store is not None:
                vector_cache.write_vectors(store, key, found)
        if self.progress and not missing:
            self.progress((index + 1) * len(sizes), len(plan.models) * len(sizes))
        return torch.stack([found[cut.node] for cut in cuts]) if cuts else torch.empty(0, columns)

    def _computed(self, plan: Plan, index: int, cuts: Sequence[Cut], metric: Metric, sizes: list[int]) -> Tensor:
        from ..numerics.gram import whole
        from ..numerics.similarity import join_blocks, unit_vectors

        nodes = [cut.node for cut in cuts]
        units, norms = [], []
        for taken in _one_behind(_grams(plan, index, cuts, metric, sizes)):
            matrices, energies = whole(taken)
            finite = _finite(plan.models[index].name, nodes, energies)
            unit, norm = unit_vectors(matrices.where(finite[:, None, None], 0.0), energies.where(finite, 0.0), metric)
            units.append(unit)
            norms.append(norm)
            if self.progress:
                self.progress(index * len(sizes) + len(units), len(plan.models) * len(sizes))
        return join_blocks(units, norms, metric)


def _taken_over(plan: Plan, found: Sequence[Representation], own: int, other: int) -> Tensor | None:
    """The vectors of model number `own` for the cuts of another, in their order; None where it lacks one of them."""
    rows = {cut.node: row for row, cut in enumerate(plan.cuts[own].cuts)}
    wanted = [rows.get(cut.node) for cut in plan.cuts[other].cuts]
    return None if None in wanted else found[own].vectors[wanted]


def _grams(plan: Plan, index: int, cuts: Sequence[Cut], metric: Metric, sizes: list[int]) -> Iterator[Gram]:
    """Block by block, from one run of the model over the images."""
    import torch

    from ..adapters.convert import pool
    from ..graphs.placement import fast_layout
    from ..numerics.gram import GramRunner, regroup
    from .prepare import for_comparison

    nodes = [cut.node for cut in cuts]
    pools = {cut.node: (lambda value, cut=cut: pool(value, cut.value)) for cut in cuts} if metric.pooled else {}
    runner = GramRunner(for_comparison(plan.graphs[index], nodes), nodes, pools)
    for block in regroup(_images(plan, index, sizes), sizes):
        yield runner.grams(block.contiguous(memory_format=fast_layout(block.device)))


def _one_behind(grams: Iterator[Gram]) -> Iterator[Gram]:
    """Each Gram matrix one step late: it is read when the next is already being computed, so that an accelerator never
    waits for the CPU."""
    before = None
    for taken in grams:
        if before is not None:
            yield before
        before = taken
    if before is not None:
        yield before


def _images(plan: Plan, index: int, sizes: Sequence[int]) -> Iterator[Tensor]:
    assert plan.images is not None
    return plan.images.batches(plan.models[index].input, max(sizes), 0, sum(sizes))


def _nodes(plan: Plan) -> list[list[str]]:
    return [[cut.node for cut in cuts.cuts] for cuts in plan.cuts]


def _finite(model: str, nodes: list[str], energies: Tensor) -> Tensor:
    """Which cuts have finite values: bool [cuts]. Padding with minus infinity before a max-pool is no harm, and its
    cut is left out; what is not finite at the last cut is.

    Raises:
        ModelError: the values at the last cut are not finite.
    """
    finite = energies.isfinite()
    if not finite[-1]:
        broken = nodes[int((~finite).nonzero()[0])]
        raise ModelError(
            f"{model}: the values at the cut '{broken}', and those at the end, are not finite",
            "Check the model's weights, and that its input is normalised as it was in training (?mean=...&std=...).",
        )
    return finite


def _undefined(plan: Plan, index: int, vectors: Tensor) -> list[str]:
    from ..numerics.similarity import undefined

    nodes = [cut.node for cut, none in zip(plan.cuts[index].cuts, undefined(vectors).tolist(), strict=True) if none]
    if not nodes:
        return []
    cuts = ", ".join(f"'{node}'" for node in nodes)
    name = plan.models[index].name
    return [f"{name}: at {cuts} the values are the same for all images, or infinite; similarity is undefined there"]
