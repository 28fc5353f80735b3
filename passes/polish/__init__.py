"""The pass `polish`: a hybrid trained for a while on the probe images, toward the outputs of its better parent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from ..data.option_kinds import Work
from ..data.pass_options import MemoryOptions, PolishOptions
from ..data.plan import Plan
from ..graphs.largest import largest
from ..pipeline import Pass


@dataclass(frozen=True)
class Polish(Pass, PolishOptions, MemoryOptions):
    """Trains all weights of the hybrid toward the probabilities that its teacher gives for the same images, moved and
    mirrored at random; docs/tuning.md says how. No labels are used. Every fifth image is held out: the hybrid is
    measured on them before and several times on the way, and what was best is kept, the hybrid as it was included. For
    that to be fair, what fits and heals before must not have seen them either: put it into `Unseen`.

    polish: a time, or a number of steps; None for nothing. Of a time the first steps are clocked, and as many are taken
    as fit into it, so that the outcome depends on the machine: `hybrid.polishing.steps` says the number, with which it
    is the same again.
    teachers: the indices of the models to learn from, of several from the mean; None for the one of the chain with the
    most multiply-adds. batch: images of a step. lr: the highest learning rate of AdamW. progress: called with (steps
    done, steps in all).

    On noise, and on fewer than five images, nothing is polished, and a note says so.
    """

    name: ClassVar[str] = "polish"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "hybrids", "images")
    drops: ClassVar[tuple[str, ...]] = ("rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("hybrids",)

    teachers: tuple[int, ...] | None = None
    batch: int = 64
    lr: float = 1e-4
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        from ..numerics.held_out_images import too_few
        from .distil import polish

        assert plan.images is not None  # `requires` holds it
        if self.polish is None:
            return plan
        if plan.images.noise or too_few(plan.images):
            why = "the images are noise" if plan.images.noise else f"{len(plan.images)} images are too few"
            return replace(plan, notes=(*plan.notes, f"Nothing was polished: {why}."))
        kind = Work()
        graph = copy.deepcopy(plan.hybrid.network)
        found = polish(
            graph, plan, self.teachers or (largest(plan.graphs, plan.prices, plan.hybrid.chain),),
            steps=kind.steps("polish", self.polish), seconds=kind.seconds("polish", self.polish),
            batch=self.batch, lr=self.lr, max_memory=self.max_memory, progress=self.progress,
        )  # fmt: skip
        return plan.with_hybrid(replace(plan.hybrid, graph=graph, polishing=found, verified=None))
