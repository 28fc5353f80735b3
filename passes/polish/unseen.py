"""A pass that does not see the images that polishing is measured on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ..data.plan import Plan
from ..numerics.held_out_images import Some, too_few
from ..pipeline import Pass


@dataclass(frozen=True)
class Unseen(Pass):
    """The pass `inner`, which is shown all probe images but those that `polish` holds out: what has been fitted to an
    image is worth more on it than on others, and nothing that is trained after could be held against that."""

    inner: Pass

    def __getattribute__(self, name: str) -> Any:
        """Its name, and what it says of the plan, are those of the inner pass."""
        if name in ("name", "requires", "ensures", "drops", "changes"):
            return getattr(self.inner, name)
        return super().__getattribute__(name)

    def with_half_the_memory(self) -> Pass | None:
        inner = self.inner.with_half_the_memory()
        return None if inner is None else Unseen(inner)

    def run(self, plan: Plan) -> Plan:
        images = plan.images
        if images is None or images.noise or too_few(images):
            return self.inner.run(plan)
        return replace(self.inner.run(replace(plan, images=Some(images))), images=images)
