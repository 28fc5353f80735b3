"""The pass `heal`: a stitched network repaired in closed form, without labels or gradients."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

from .base import Pass
from .errors import InputError, did_you_mean
from .healing.record import PARTS, TARGETS, Options
from .plan import Fragment, Plan

# What each word for `heal` has refitted, by the names of the parts of a stitched graph.
_HEALED = {"adapter": ("adapter",), "back": ("back",), "all": ("front", "adapter", "back")}


@dataclass(frozen=True)
class Heal(Pass):
    """Refits what is linear in its weights behind the seam, block by block, toward the values that the back's own parent
    has for the same images; docs/healing.md says how.

    heal: "back", "adapter", "all" (with the end of the front) or "none". heal_layers: blocks behind the seam, None for
    all. heal_target: what the classifier follows, "back", "front" or "both" parents. The plan's own images decide what
    can be repaired: on noise nothing is, and a note says so. See `healing.Options` for the rest.

    Raises:
        InputError: an unknown word.
    """

    name: ClassVar[str] = "heal"
    requires: ClassVar[tuple[str, ...]] = ("graphs", "stitched", "chain", "images")
    adds: ClassVar[tuple[str, ...]] = ("stitched",)

    heal: str = "back"
    heal_layers: int | None = None
    heal_target: str = "back"
    options: Options = field(default_factory=Options)
    progress: Callable[[int, int], None] | None = field(default=None, compare=False)

    def __call__(self, plan: Plan) -> Plan:
        _check("heal", self.heal, PARTS)
        _check("heal_target", self.heal_target, TARGETS)
        assert plan.images is not None and plan.stitched is not None  # `requires` holds it
        if self.heal == "none" or plan.images.noise:
            return plan
        from .healing import Probe, heal

        options = replace(self.options, layers=self.heal_layers, target=self.heal_target)
        probe = Probe(plan.graphs, [model.input for model in plan.models], plan.images, options)
        front, back = (link.model for link in plan.chain if isinstance(link, Fragment))
        stitched = copy.deepcopy(plan.stitched)
        healing = heal(stitched, probe, {"front": front, "back": back}, _HEALED[self.heal], self.progress)
        return replace(plan, stitched=stitched, healing=healing)


def _check(option: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        hint = did_you_mean(given, list(known)) or f"There are {', '.join(known)}."
        raise InputError(f"{option} takes {', '.join(known)}, not '{given}'", hint)
