"""Networks of different families are stitched in both directions, emitted and verified. On noise, without weights."""

from itertools import combinations

import pytest

import stitchc

# A convolutional network, one with channels last inside, one of tokens with a class token, one without.
FAMILIES = ["timm/test_resnet", "timm/test_convnext", "timm/test_vit", "digits/mixer"]
PAIRS = list(combinations(FAMILIES, 2))


@pytest.mark.slow
@pytest.mark.parametrize("direction", ["slow-to-fast", "fast-to-slow"])
@pytest.mark.parametrize(("a", "b"), PAIRS)
def test_every_family_goes_into_every_other(a, b, direction, tmp_path):
    plan = stitchc.compile(
        f"{a}?weights=none",
        f"{b}?weights=none",
        data="random?limit=12",
        direction=direction,
        out=tmp_path / "hybrid",
        onnx="timm/test_vit" in (a, b),
    )
    assert plan.hybrid.verified.argmax_agreement == 1.0
    assert plan.hybrid.verified.module_max_rel <= 1e-4
    (first, last), (adapter,) = plan.hybrid.chain.fragments, plan.hybrid.adapters
    slower = max((0, 1), key=lambda model: plan.prices[model]["macs"])
    assert (first.model == slower) == (direction == "slow-to-fast") and {first.model, last.model} == {0, 1}
    assert plan.hybrid.price["params"] < sum(price["params"] for price in plan.prices) + adapter.price["params"]
