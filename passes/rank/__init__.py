"""The pass `rank`: which of the feasible candidates is most accurate, found by stitching and probing them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ..data.candidates import Candidates
from ..data.errors import InputError
from ..data.mac_shares import smaller_share
from ..data.options import with_default
from ..data.pass_options import HealOptions, MemoryOptions, RankOptions, ShareOptions
from ..data.plan import Plan
from ..pipeline import Pass

if TYPE_CHECKING:
    from ..data.model import Images
    from .halving import Probed


@dataclass(frozen=True)
class Rank(Pass, RankOptions, ShareOptions, HealOptions, MemoryOptions):
    """Orders the candidates that `select` found feasible by a score of the stitched networks, and chooses the first.

    Adapters are fitted in closed form on the first half of the images and the stitched networks are shown the other:
    a shortlist at first (the best by similarity, by equal relative depth and by held-out R2 of the fit), then those of
    it that did best, again and again on twice as many images (successive halving; Jamieson and Talwalkar 2016), until
    one leads all others by two standard errors or the images are used up.

    rank: the score of a network (see `scores`): "cascade", its expected agreement with its parents, and with the
    labels where there are some; "agreement", "kl" or "accuracy", which needs labels; "fit", R2 alone, without a probe;
    "cka" leaves the order as it is; or a rule that another package adds.
    effort: "low", "medium", "high", or seconds; in seconds the result depends on the machine, else on nothing but the
    plan. On noise nothing is probed: the order stays the one by similarity, and a note says so.
    heal and the options that begin with it: as in the pass `heal`; where it will heal the choice, each direction, from
    one network to another, has finalists of its own; they are healed on the images that were fitted on, and compared
    once more on the others, with the larger parent. max_memory: bytes that all this may take beside the
    networks, None for 2 GiB. progress: called with (steps done, steps in all, how good the best so far is, in words).

    Fills the candidates' score and rank, reorders their order, and sets `plan.choice` to the one best candidate and
    `plan.stages` to what each stage dropped.

    Raises:
        InputError: an unknown rank or effort, or "accuracy" without labels.
    """

    name: ClassVar[str] = "rank"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "cuts", "prices", "candidates", "choice", "images")
    drops: ClassVar[tuple[str, ...]] = ("timed", "stages", "hybrids", "rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("candidates", "choice")

    heal: str = with_default(HealOptions, "heal", "none")
    progress: Callable[[int, int, str], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        from ..data.healing import healing_options
        from .effort import Effort
        from .halving import Halving

        if self.rank == "cka":
            return plan
        effort = Effort.of(self.effort)
        assert plan.images is not None and plan.candidates is not None  # `requires` holds it
        if reason := cannot_probe(plan.images):
            return replace(plan, notes=(*plan.notes, f"Candidates are ranked by similarity alone: {reason}."))
        if self.rank == "accuracy" and plan.images.labels is None:
            raise InputError(
                f"rank 'accuracy' needs labels, and '{plan.images.name}' has none",
                "Take `rank='cascade'`, which does without, or give labelled images.",
            )
        order = plan.candidates.order
        mixed = order[smaller_share(plan, plan.candidates)[order] >= (self.min_share or 0.0)]
        healing = None
        if self.heal != "none":
            healing = self.heal, healing_options(self, self.max_memory)
        rows = mixed if len(mixed) else order
        found = Halving(plan, rows, self.rank, effort, healing, self.max_memory, self.progress).run()
        table = _ordered(plan.candidates, found.probed, self.rank)
        row = int(table.order[0])
        best = replace(table[row], trial=next((one.trial for one in found.probed if one.row == row), None))
        notes = plan.notes + found.notes + _nearly_whole(plan, table)
        return replace(plan, candidates=table, choice=(best,), stages=found.stages, notes=notes)


def cannot_probe(images: Images) -> str:
    """Why probing with these images would say nothing; "" when it would."""
    if images.noise:
        return "the outputs of a network on noise do not tell how accurate it is"
    if len(images) < 16:
        shown = "one image is" if len(images) == 1 else f"{len(images)} images are"
        return f"{shown} too few to fit on some and probe with others"
    return ""


def _ordered(table: Candidates, probed: Sequence[Probed], rule: str) -> Candidates:
    """The table with its order: candidates that reached the latest stage first, by score within a stage; candidates
    that were not probed follow in their earlier order."""
    score = np.full(len(table), np.nan)
    for one in probed:
        score[one.row] = one.score
    first = [one.row for one in sorted(probed, key=lambda one: (not one.healed, -one.images, -one.score, one.place))]
    order = np.array([*first, *(row for row in table.order.tolist() if np.isnan(score[row]))], dtype=np.int64)
    return replace(table, order=order, score=score, rank=rule)


def _nearly_whole(plan: Plan, table: Candidates, least: float = 0.1) -> tuple[str, ...]:
    """A note where one parent gives less than the share `least` of the chosen network's MACs."""
    best = table[int(table.order[0])]
    (a, i), (b, j) = best.front, best.back
    before, after = plan.cuts[a][i].before, plan.cuts[b][j].after
    assert before and after
    share, poorer, richer = min((before["macs"], a, b), (after["macs"], b, a))
    if share >= least * best.price["macs"]:
        return ()
    said = f"{plan.models[poorer].name} gives {share / max(best.price['macs'], 1):.0%} of the multiply-adds"
    return (
        f"The best stitch is nearly the whole of {plan.models[richer].name}: {said}. `min_share=0.1` asks for more.",
    )
