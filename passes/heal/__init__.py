"""The pass `heal`: a stitched network repaired in closed form, without labels or gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from ..data.healing import Options, healing_options
from ..data.pass_options import HealOptions, MemoryOptions
from ..data.plan import Plan
from ..pipeline import Pass


@dataclass(frozen=True)
class Heal(Pass, HealOptions, MemoryOptions):
    """Refits what is linear in its weights behind the seam, block by block, toward the values that the back's own
    parent has for the same images; docs/healing.md says how.

    heal: "back", "adapter", "all" (both, and the front's last block) or "none". heal_layers: blocks behind the seam,
    None for all. heal_sweeps: 1 for the closed form alone; each further one takes a Gauss-Newton step a block.
    heal_target: the models whose mean output the classifier follows in the end: "back", "front", "both", or "auto", the
    back's and the largest of the chain's, where both know the same classes. heal_flips: mirror images serve too, where
    all models give them the class of the image; a note says where they do not. max_memory: bytes that healing may take
    beside the networks, None for what `options` say; values beyond go into files that vanish, and operators whose
    normal equations take more are left as they are. options: see `healing.Options`. progress: called with (blocks done,
    blocks in all).

    On noise nothing is healed: it would teach the back to repeat its parent on noise.

    Raises:
        InputError: an unknown `heal` or `heal_target`, or one that names models of other outputs than the back's.
    """

    name: ClassVar[str] = "heal"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "hybrids", "images")
    drops: ClassVar[tuple[str, ...]] = ("rivals", "recommended", "folder")
    changes: ClassVar[tuple[str, ...]] = ("hybrids",)

    options: Options = field(default_factory=Options)
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def run(self, plan: Plan) -> Plan:
        assert plan.images is not None  # `requires` holds it
        hybrid = plan.hybrid
        if self.heal == "none" or plan.images.noise or not hybrid.chain.adapters:
            return plan
        from .blockwise import heal
        from .probe import Probe

        options = healing_options(self, self.max_memory, self.options)
        probe = Probe.of(plan, plan.images, options)
        graph = copy.deepcopy(hybrid.network)
        healing = heal(graph, probe, hybrid.chain, self.heal, self.progress)
        if self.heal_flips and not healing.mirrored:
            note = "Mirror images were not healed on: the models do not give them the classes of the images."
            plan = replace(plan, notes=(*plan.notes, note))
        return plan.with_hybrid(replace(hybrid, graph=graph, healing=healing, verified=None))
