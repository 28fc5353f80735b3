"""The passes `compare`, every two cuts as one product, and `similarity`, which represents and compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import TYPE_CHECKING, ClassVar

from ..data.errors import PipelineError
from ..data.pass_options import ConfidenceOptions, MemoryOptions
from ..data.plan import PairSimilarity, Plan
from ..data.representation import Representation
from ..pipeline import Pass
from ..represent import Represent

if TYPE_CHECKING:
    from ..represent.vector_cache import Store


@dataclass(frozen=True)
class Compare(Pass, ConfidenceOptions):
    """The similarity of every cut of every model to every cut of every other, from their representations; of a single
    model, to its own cuts.

    confidence: of an interval around each similarity (see `intervals`), None to do without. Undefined where a cut has
    no representation: NaN.

    Raises:
        PipelineError: representations of other images, metrics or blocks than one another.
    """

    name: ClassVar[str] = "compare"
    requires: ClassVar[tuple[str, ...]] = ("representations",)
    ensures: ClassVar[tuple[str, ...]] = ("similarity",)
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

    def run(self, plan: Plan) -> Plan:
        made = {(r.metric, r.sizes, r.images) for r in plan.representations}
        if len(made) > 1:
            raise PipelineError(
                f"the models were represented in {len(made)} ways, by other images, metrics or blocks",
                "Represent all models in one run of the pass `represent`.",
            )
        models = range(len(plan.representations))
        pairs = combinations(models, 2) if len(models) > 1 else ((0, 0),)
        return replace(plan, similarity=tuple(self._pair(plan, a, b) for a, b in pairs))

    def _pair(self, plan: Plan, a: int, b: int) -> PairSimilarity:
        from ..numerics import similarity as metrics

        first, second = plan.representations[a], plan.representations[b]
        metric, sizes = metrics.get(first.metric), list(first.sizes)
        matrix = metrics.similarity(first.vectors, second.vectors, metric, sizes)
        if self.confidence is None:
            return PairSimilarity(a, b, metric.name, sum(sizes), matrix)
        from .intervals import intervals

        low, high = intervals(first.vectors, second.vectors, metric, sizes, self.confidence, plan.seed)
        return PairSimilarity(a, b, metric.name, sum(sizes), matrix, self.confidence, low, high)


@dataclass(frozen=True)
class Similarity(Pass, ConfidenceOptions, MemoryOptions):
    """`Represent` and `Compare` in sequence, with the options of both: each model is run once over the images.

    metric, images, batch, one_size, store, progress: as of `Represent`.

    Raises:
        InputError, DataError, ModelError, QuantityError: as `Represent`.
    """

    name: ClassVar[str] = "similarity"
    requires: ClassVar[tuple[str, ...]] = Represent.requires
    ensures: ClassVar[tuple[str, ...]] = (*Represent.ensures, "similarity")
    drops: ClassVar[tuple[str, ...]] = Represent.drops

    metric: str = "cka-unbiased"
    images: int | None = None
    batch: int | None = None
    one_size: bool = False
    store: Store | None = field(default=None, compare=False)
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    @property
    def represent(self) -> Represent:
        """The pass that makes the representations, with the options of this one."""
        return Represent(
            metric=self.metric,
            images=self.images,
            batch=self.batch,
            one_size=self.one_size,
            max_memory=self.max_memory,
            store=self.store,
            progress=self.progress,
        )

    def run(self, plan: Plan) -> Plan:
        return Compare(confidence=self.confidence).run(self.represent.run(plan))

    def estimate(self, plan: Plan) -> int:
        """Bytes that the pass will take beside the models."""
        return self.represent.estimate(plan)
