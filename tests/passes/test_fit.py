"""Fitting joins networks as well as their values allow, in any direction, and changes nothing but the adapter."""

from dataclasses import replace

import pytest
import torch
from fitted import IMAGES, stitched
from nets import Small, Tokens, randomised
from torch import nn

from stitchc.passes import Fit, Value, adapters
from stitchc.passes.cost.chains import seam_price
from stitchc.passes.data.errors import CutError
from stitchc.passes.fit.closed_form import fit_all


def seams(plan):
    return [candidate.chain.seams()[0] for candidate in plan.choice]


@pytest.mark.parametrize("adapter", ["linear", "conv3x3", "conv5x5?norm=both", "linear?norm=after&bias=no"])
def test_a_model_stitched_to_itself_is_itself(adapter):
    """The values on both sides are the same, so the fit finds the identity."""
    model = randomised(Small())
    plan = stitched(model, model, "stem", "stem", adapter)
    use = plan.hybrid.adapters[0]
    assert use.name == adapter and use.residual < 1e-6
    x = IMAGES[:7]
    torch.testing.assert_close(plan.hybrid.graph(x), model(x), rtol=1e-3, atol=1e-3)


def plain(width: int = 6) -> nn.Module:
    """Every value but those before a ReLU is read by a convolution or a Linear."""
    layers = [nn.Conv2d(3, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(width, 8, 3, padding=1)]
    return randomised(nn.Sequential(*layers, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)))


@pytest.mark.parametrize("node", ["2", "6"])
def test_a_model_fused_with_itself_costs_what_it_cost_and_is_itself(node):
    """Before a convolution and before a Linear."""
    model = plain()
    plan = stitched(model, model, node, node, "fused")
    assert plan.hybrid.price["params"] == sum(p.numel() for p in plan.hybrid.graph.parameters())
    taken, whole = plan.hybrid.price, plan.prices[0]
    assert (taken["params"], taken["macs"]) == (whole["params"], whole["macs"])
    torch.testing.assert_close(plan.hybrid.graph(IMAGES[:7]), model(IMAGES[:7]), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(("leaves", "enters"), [("blocks.1", "2"), ("blocks.0", "6")])
def test_a_fused_stitch_is_its_projection_and_then_the_back(leaves, enters):
    """W (A x) = (W A) x: the same as the projection in the graph, without the matrix."""
    front, back = randomised(Small(4)), plain()
    fused = stitched(front, back, leaves, enters, "fused")
    apart = stitched(front, back, leaves, enters, "linear?bias=no&ridge=0")
    torch.testing.assert_close(fused.hybrid.graph(IMAGES), apart.hybrid.graph(IMAGES), rtol=1e-4, atol=1e-4)
    assert fused.hybrid.adapters[0].residual == pytest.approx(apart.hybrid.adapters[0].residual)
    assert fused.hybrid.price["params"] == sum(p.numel() for p in fused.hybrid.graph.parameters())
    whole, (params, _) = fused.hybrid.price["params"], fused.cuts[1][fused.choice[0].back[1]].value.widens
    channels = fused.cuts[1][fused.choice[0].back[1]].value.channels
    assert apart.hybrid.price["params"] - whole == 4 * channels + (channels - 4) * params


def test_a_projection_folds_into_nothing_else():
    with pytest.raises(CutError, match="folds into convolutions without groups and Linear layers"):
        stitched(randomised(Small(4)), randomised(Small(6)), "stem", "blocks.0", "fused")


@pytest.mark.parametrize(
    "adapter", ["conv3x3-relu", "linear?tokens=learned", "conv3x3?rank=3&norm=both", "identity", "bottleneck"]
)
def test_what_is_no_linear_map_is_measured_on_held_out_images(adapter):
    """The residual is that of the adapter as it will run, fitted on the other images."""
    front = randomised(Small(4))
    back = randomised(Tokens()) if "tokens" in adapter else randomised(Small(4 if adapter == "identity" else 6))
    enters = "add" if "tokens" in adapter else "blocks.0"
    plan = stitched(front, back, "blocks.1", enters, adapter, fit=False)
    use = Fit()(plan).hybrid.adapters[0]
    assert 0 < use.residual < 1.5 and (use.ridge is None) == (adapter == "identity")


def test_several_steps_hand_on_what_the_last_is_fitted_to():
    """The first begin as the identity: with nothing between them the fit is that of one adapter."""
    front, back = Value((4, 8, 8), "NCHW", grid=(8, 8)), Value((6, 2, 2), "NCHW", grid=(2, 2))
    steps = adapters.get("linear?steps=yes&by=area")(front, back)
    x = torch.randn(3, 4, 8, 8)
    assert [step.project.weight.shape[:2] for step in steps.steps] == [(6, 4), (6, 6)]
    means = torch.nn.functional.avg_pool2d(x, 2)
    torch.testing.assert_close(steps.inner_input(x)[:, :4], means)
    assert steps.inner_input(x)[:, 4:].abs().max() == 0


def test_auto_keeps_what_brings_the_output_nearest_to_the_backs_own():
    front, back = randomised(Small(4)), randomised(Small(6))
    plan = stitched(front, back, "stem", "blocks_0_relu_1", fit=False)
    found = fit_all(plan, seams(plan), through=True)
    assert {f.seam.adapter for f in found} == {c.adapter for c in plan.choice} > {"linear", "conv3x3"}
    best = min(found, key=lambda f: f.output_residual)
    assert Fit()(plan).hybrid.adapters[0] == replace(
        plan.hybrid.adapters[0],
        name=best.seam.adapter,
        price=seam_price(plan, best.seam),
        residual=best.residual,
        ridge=best.ridge,
    )


def test_the_output_is_measured_on_images_that_were_not_fitted_on():
    """A hybrid of a model with itself has the model's own output; of random networks it has some of it."""
    model = randomised(Small())
    plan = stitched(model, model, "stem", "stem", "linear", fit=False)
    assert fit_all(plan, seams(plan), through=True)[0].output_residual < 1e-6
    other = stitched(model, randomised(Small(6)), "stem", "blocks.0", "linear", fit=False)
    assert fit_all(other, seams(other), through=True)[0].output_residual > 1e-3
    assert fit_all(other, seams(other))[0].output_residual is None


def test_fitting_changes_the_adapter_only_and_the_parents_not_at_all():
    front, back = randomised(Small(4)), randomised(Small(6))
    before = [{k: v.clone() for k, v in m.state_dict().items()} for m in (front, back)]
    rough = stitched(front, back, "blocks.0", "blocks.1", "linear", fit=False).hybrid.graph.state_dict()
    fitted = stitched(front, back, "blocks.0", "blocks.1", "linear").hybrid.graph.state_dict()
    assert rough.keys() == fitted.keys()
    changed = {k for k in rough if not torch.equal(rough[k], fitted[k])}
    assert changed == {"adapter.project.weight", "adapter.project.bias"}
    for module, state in zip((front, back), before, strict=True):
        assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())


@pytest.mark.parametrize(("leaves", "enters"), [("stem", "add"), ("blocks.1", "add_1")])
def test_maps_become_tokens_with_their_class_token(leaves, enters):
    plan = stitched(randomised(Small()), randomised(Tokens()), leaves, enters)
    assert plan.cuts[1][plan.choice[0].back[1]].value.layout == "NLC"
    for batch in (1, 3):
        assert plan.hybrid.graph(IMAGES[:batch]).shape == (batch, 5)


def test_tokens_become_maps():
    plan = stitched(randomised(Tokens()), randomised(Small()), "add_1", "blocks.0")
    assert plan.hybrid.graph(IMAGES[:2]).shape == (2, 5)


def test_the_same_seed_gives_the_same_weights():
    models = randomised(Small(4)), randomised(Small(6))
    first, again = (stitched(*models, "blocks.0", "blocks.1") for _ in range(2))
    assert first.hybrid == again.hybrid
    one, two = first.hybrid.graph.state_dict(), again.hybrid.graph.state_dict()
    assert all(torch.equal(one[k], two[k]) for k in one)


def test_fewer_images_than_are_needed_to_hold_any_out():
    plan = stitched(randomised(Small(4)), randomised(Small(6)), "blocks.0", "blocks.1", images=IMAGES[:3])
    assert plan.hybrid.graph(IMAGES[:2]).isfinite().all()


def test_an_unfitted_stitch_is_fitted_later():
    models = randomised(Small(4)), randomised(Small(6))
    rough = stitched(*models, "blocks.0", "blocks.1", fit=False)
    later = Fit()(rough)
    assert rough.hybrid.adapters[0].residual is None and later.hybrid.adapters[0].residual is not None


def test_an_adapter_too_large_to_try_is_left_out_and_said(monkeypatch):
    monkeypatch.setattr("stitchc.passes.fit.limits.FEATURES", 8)
    models = randomised(Small(4)), randomised(Small(6))
    plan = stitched(*models, "blocks.0", "blocks.1")
    assert plan.hybrid.adapters[0].name.startswith("linear")
    assert "Not tried, having too many inputs here: conv" in plan.notes[-1]
    assert stitched(*models, "blocks.0", "blocks.1", "conv3x3").hybrid.adapters[0].name == "conv3x3"


def test_the_fit_takes_fewer_rows_where_there_are_more_than_it_can_afford():
    models = randomised(Small(4)), randomised(Small(6))
    rough = stitched(*models, "blocks.0", "blocks.1", fit=False)
    full = Fit()(rough).hybrid.adapters[0].residual
    few = Fit(rows=400)(rough).hybrid.adapters[0].residual
    assert few != full and abs(few - full) < 0.2


def test_a_fit_neither_reads_nor_moves_the_global_random_state():
    models = randomised(Small(4)), randomised(Small(6))
    rough = stitched(*models, "blocks.0", "blocks.1", fit=False)
    fitted = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        fitted.append(Fit()(rough).hybrid.network.state_dict())
        assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(fitted[0][name], fitted[1][name]) for name in fitted[0])
