"""Somebody else's pass stands between two of ours: one class in one file, no other touched."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from nets import Small, randomised

from stitchc.passes import (
    Codegen,
    Cost,
    Fit,
    Heal,
    Partition,
    Pass,
    Pipeline,
    Plan,
    Select,
    Similarity,
    Stitch,
    Trace,
    Verify,
)
from stitchc.passes.data.errors import PipelineError

IMAGES = torch.randn(40, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@dataclass(frozen=True)
class Shrink(Pass):
    """Scales the weights of every adapter."""

    name: ClassVar[str] = "shrink"
    requires: ClassVar[tuple[str, ...]] = ("hybrids",)
    changes: ClassVar[tuple[str, ...]] = ("hybrids",)

    factor: float = 0.5

    def run(self, plan: Plan) -> Plan:
        graph = plan.hybrid.network
        with torch.no_grad():
            for name, parameter in graph.named_parameters():
                if name.startswith("adapter"):
                    parameter.mul_(self.factor)
        return replace(plan, notes=(*plan.notes, f"adapters times {self.factor}")).with_hybrid(plan.hybrid)


def test_a_pass_of_somebody_elses_between_fit_and_heal(tmp_path):
    before = [Trace(), Partition(), Similarity(), Cost(adapters=("linear",)), Select(min_share=0)]
    start = Pipeline(before)(Plan.of(randomised(Small(4)), randomised(Small(6)), images=IMAGES))
    heard = []
    steps = [Stitch(), Fit(), Shrink(), Heal(), Codegen(tmp_path), Verify()]
    done = Pipeline(steps, callback=lambda step, _, seconds: heard.append(step.name) if seconds else None)(start)
    assert heard == ["stitch", "fit", "shrink", "heal", "codegen", "verify"] and "shrink" in done.seconds
    assert done.notes[-1] == "adapters times 0.5" and done.hybrid.verified.argmax_agreement == 1.0
    without = Pipeline([Stitch(), Fit(), Heal()])(start)
    assert done.hybrid.healing.divergence != without.hybrid.healing.divergence


def test_in_the_wrong_place_it_is_refused_like_any_other():
    try:
        Pipeline([Trace(), Shrink()])(Plan.of(Small(), images=IMAGES))
    except PipelineError as error:
        assert "'shrink' needs hybrids" in error.message
    else:
        raise AssertionError("it stitched nothing")
