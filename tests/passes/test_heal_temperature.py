"""In the end the logits of a healed network are multiplied by one factor: as sure as what it follows, of the same
classes."""

import pytest
import torch
import torch.nn.functional as F
from fitted import IMAGES, stitched
from nets import Small, randomised

from stitchc.passes import Heal
from stitchc.passes.heal import blockwise
from stitchc.passes.numerics.held_out import held_out
from stitchc.passes.numerics.scale import LIMIT, best_scale

HELD_OUT = IMAGES[held_out(0, len(IMAGES))]


@pytest.fixture(scope="module")
def plan():
    return stitched(randomised(Small(4)), randomised(Small(6)), "blocks.0", "blocks.0", "linear")


@pytest.fixture(scope="module")
def found(plan):
    return Heal(heal_target="back")(plan)


def uncalibrated(plan, monkeypatch, **options):
    with monkeypatch.context() as patch:
        patch.setattr(blockwise, "calibrate", lambda *_: None)
        return Heal(heal_target="back", **options)(plan)


def divergence(logits: torch.Tensor, wanted: torch.Tensor) -> float:
    return float(F.kl_div(logits.log_softmax(1), wanted.log_softmax(1), log_target=True, reduction="batchmean"))


def logits(plan, images=IMAGES) -> torch.Tensor:
    with torch.no_grad():
        return plan.hybrid.graph(images)


def test_no_other_factor_brings_a_healed_network_nearer_to_its_parent_on_held_out_images(plan, found, monkeypatch):
    with torch.no_grad():
        wanted = plan.graphs[1](HELD_OUT)
    said, before = logits(found, HELD_OUT), logits(uncalibrated(plan, monkeypatch), HELD_OUT)
    reached = divergence(said, wanted)
    assert all(reached <= divergence(factor * said, wanted) for factor in (0.9, 0.98, 1.02, 1.1))
    assert reached < divergence(before, wanted)
    calibrated = found.hybrid.healing.calibrated
    assert calibrated.scale != 1 and calibrated.calibrated_divergence == pytest.approx(reached, abs=1e-5)
    assert calibrated.divergence == pytest.approx(divergence(before, wanted), abs=1e-5)


def test_the_factor_stands_in_the_classifier_alone_and_no_class_changes(plan, found, monkeypatch):
    alone = uncalibrated(plan, monkeypatch)
    scale, before = found.hybrid.healing.calibrated.scale, logits(alone)
    torch.testing.assert_close(logits(found), scale * before)
    assert torch.equal(logits(found).argmax(1), before.argmax(1))
    states = [one.hybrid.graph.state_dict() for one in (alone, found)]
    changed = {name for name in states[0] if not torch.equal(states[0][name], states[1][name])}
    assert changed == {"back.head.weight", "back.head.bias"}


@pytest.mark.parametrize("options", [{"heal": "adapter"}, {"heal_layers": 1}])
def test_a_classifier_that_is_not_to_be_healed_keeps_its_logits(plan, options):
    assert Heal(**options)(plan).hybrid.healing.calibrated is None


def test_a_factor_that_does_not_pay_its_toll_is_left_out(plan, monkeypatch):
    """As in a family's file, where a changed classifier stands once more."""
    alone = uncalibrated(plan, monkeypatch)
    calibrate = blockwise.calibrate
    monkeypatch.setattr(blockwise, "calibrate", lambda *given: calibrate(*given[:-1], lambda _: 1.0))
    dear = Heal(heal_target="back")(plan)
    assert dear.hybrid.healing.calibrated.scale == 1 and torch.equal(logits(dear), logits(alone))


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_the_factor_that_was_lost_is_found(scale):
    wanted = torch.randn(40, 9, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert best_scale(wanted / scale, wanted.log_softmax(1)) == pytest.approx(scale, rel=1e-5)


def test_where_none_is_best_the_factor_has_a_limit():
    """Always right, but never quite sure: the surer the better, without end."""
    wanted = torch.eye(5, dtype=torch.float64)
    assert best_scale(wanted, (1000 * wanted).log_softmax(1)) == pytest.approx(LIMIT, rel=1e-5)
