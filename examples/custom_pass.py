"""A pass of your own between two of stitchc's: the weights of a hybrid are rounded before it is written.

    python examples/custom_pass.py hybrid/

A pass is a frozen dataclass. Its fields are its options; it says what it needs of the plan and what it changes, and
both are checked (see `Pass` in passes/pipeline.py).
"""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch

from stitchc import passes, zoo


@dataclass(frozen=True)
class Round(passes.Pass):
    """Rounds the weights of the hybrid to values of a narrower type; they are stored as before."""

    name: ClassVar[str] = "round"
    requires: ClassVar[tuple[str, ...]] = ("hybrids",)
    changes: ClassVar[tuple[str, ...]] = ("hybrids",)

    to: torch.dtype = torch.float16

    def run(self, plan: passes.Plan) -> passes.Plan:
        with torch.no_grad():
            for parameter in plan.hybrid.network.parameters():
                parameter.copy_(parameter.to(self.to))
        note = f"The weights are rounded to {str(self.to).removeprefix('torch.')}."
        return replace(plan, notes=(*plan.notes, note)).with_hybrid(plan.hybrid)


def compiled(folder: Path) -> passes.Plan:
    models = zoo.load("digits/resnet"), zoo.load("digits/small")
    choice = [passes.Trace(), passes.Partition(), passes.Similarity(), passes.Cost(), passes.Select()]
    hybrid = [passes.Stitch(), passes.Fit(), passes.Heal(), Round()]
    pipeline = passes.Pipeline([*choice, *hybrid, passes.Codegen(folder), passes.Verify()])
    return pipeline(passes.Plan(models, images=zoo.images("digits?split=train&limit=128")))


if __name__ == "__main__":
    plan = compiled(Path(sys.argv[1]))
    print(*plan.notes, f"Largest difference from the generated module: {plan.hybrid.verified.module_max_abs:.1e}")
