"""The pass `rivals`: what could be had instead of the hybrid within the same budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

from ..data.errors import ModelError
from ..data.model import Model
from ..data.pass_options import BackendOptions, MemoryOptions, RankOptions
from ..data.plan import Plan
from ..data.rivals import Rival, recommend
from ..pipeline import Pass

if TYPE_CHECKING:
    import numpy as np
    from torch.fx import GraphModule

    from ..data.model import InputSpec
    from .make import Maker
    from .probe import Probe

#: The passes that choose which layers of one model are left out, for a budget.
Choose = Callable[[Mapping[str, float]], Sequence[Pass]]


@dataclass(frozen=True)
class Rivals(Pass, RankOptions, BackendOptions, MemoryOptions):
    """Prices and probes what somebody with the same models, images and budget would try before a stitch: each parent
    that is within the budget, as it is and on somewhat smaller images; of each that is not, the same on smaller images
    and without some of its layers; and other networks.

    look: the passes that take a model to its graph, cuts and prices; without, no other sizes and no other networks are
    tried. choose: those that choose which layers are left out of a model; without, that is not tried. repair: those
    that fit and heal the hybrid; they do the same for a parent without some layers: on 128 images first, where `unseen`
    on half of all next, and on all only where its score is then near the best (`make.LEAD`, `make.HALF_LEAD`). A hybrid
    that is one model without some of its layers is compared to the same before anything is repaired. against: other
    networks; over budget they are measured too, and cannot be recommended.
    train: passes that trained the hybrid after its repair; each rival within the budget stands there as it is, and
    trained by them. Parts that are left out are repaired by `repair`, which holds them already.
    unseen: score what was fitted as it comes out of the first half of the images, since all is scored on the second.
    That repairs a second time; it is not needed where accuracy is measured on other images afterwards. repaired_alike:
    whether the pass `rank`, where it healed the choice on the first half, did what `repair` does, which is then not
    done there again. Networks as they were given that the second half cannot tell apart are shown the first too (see
    `apart`).
    rank: what networks are scored by (see the pass `rank`); "cascade" where that is no score of a network alone.
    sizes: how many smaller sizes of a model are measured, from the largest within the budget. Where latency has been
    predicted for the parents, that of their rivals is measured. progress: called with (rivals made, one more).

    Fills `plan.rivals` and `plan.recommended`. What could not be made is there too, with the reason. On noise nothing
    is compared, and a note says so.
    """

    name: ClassVar[str] = "rivals"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "prices", "parts", "hybrids", "images")
    changes: ClassVar[tuple[str, ...]] = ("rivals", "recommended")
    drops: ClassVar[tuple[str, ...]] = ("rivals", "recommended", "folder")

    look: Sequence[Pass] = ()
    choose: Choose | None = None
    repair: Sequence[Pass] = ()
    train: Sequence[Pass] = ()
    against: tuple[Model, ...] = ()
    unseen: bool = False
    repaired_alike: bool = False
    sizes: int = 2
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        from .apart import told_apart
        from .make import Maker
        from .probe import Probe

        assert plan.images is not None  # `requires` holds it
        if plan.images.noise:
            return replace(
                plan, notes=(*plan.notes, "On noise, a stitch is compared to nothing that could be instead.")
            )
        rivals: list[Rival] = []
        best: list[float] = []
        probe, hybrid = Probe(plan, self.rank, self.max_memory), plan.hybrid

        def trails(network: GraphModule, spec: InputSpec, lead: float) -> bool:
            found = [rival.score for rival in rivals if rival.within and rival.score is not None]
            scores = probe.scores(network, spec)
            return probe.is_share and scores is not None and scores.mean() + lead < max([*best, *found])

        maker = Maker(plan, self, trails)
        own = self._own(plan, probe, maker)
        assert own is not None and hybrid.price is not None
        best.append(float(own.mean()))
        for made in maker.made():
            rivals.append(_scored(made, maker.network(made, unseen=self.unseen), probe))
            if self.progress:
                self.progress(len(rivals), len(rivals) + 1)
        if self.unseen:
            rivals = told_apart(rivals, self._on_first_half(plan))
        found = recommend(hybrid.price, rivals, [own, *(rival.scores for rival in rivals)], plan.budget, "score")
        recommended = replace(found, score=float(own.mean()))
        return replace(plan, rivals=tuple(rivals), recommended=recommended, notes=plan.notes + maker.notes)

    def _own(self, plan: Plan, probe: Probe, maker: Maker) -> np.ndarray | None:
        """The scores of the hybrid; where it must not have seen the images, as it comes out of the first half."""
        tried = [one.trial for one in plan.choice if one.chain == plan.hybrid.chain] if self.repaired_alike else []
        if self.unseen and tried and tried[0] is not None:
            return probe.scores_of(tried[0])
        network = maker.from_half(plan.hybrid) if self.unseen else plan.hybrid.network
        return probe.scores(network, plan.input_of(plan.hybrid.chain))

    def _on_first_half(self, plan: Plan) -> Callable[[Rival], np.ndarray]:
        """The scores of a rival on the first half of the images."""
        from functools import cache

        from .probe import Probe

        probe = cache(lambda: Probe(plan, self.rank, self.max_memory, first_half=True))

        def scores(rival: Rival) -> np.ndarray:
            assert rival.hybrid is not None
            found = probe().scores(rival.hybrid.network, rival.model.input)
            assert found is not None  # it has as many outputs as before
            return found

        return scores


def _scored(rival: Rival, graph: GraphModule | None, probe: Probe) -> Rival:
    """The rival with its scores; without its network, and with the reason, where they are not finite."""
    if graph is None:
        return rival
    try:
        return rival.scored(probe.scores(graph, rival.model.input))
    except ModelError as error:
        return rival.left_out(error.message)
