"""In the end the classifier follows the mean of the parents, where the other one is the larger and knows the same."""

import pytest
import torch
from fitted import IMAGES, stitched
from nets import Small, randomised
from torch import nn

from stitchc.passes import Heal
from stitchc.passes.data.errors import InputError
from stitchc.passes.graphs.conventions import result
from stitchc.passes.heal.classifier import _Rows
from stitchc.passes.heal.operators import operator_of
from stitchc.passes.trace.record import record

SHIFT = torch.tensor([0.8, -0.8, 0.4, -0.4, 0.0])


class Larger(Small):
    """The same function of the image, with a layer more that does nothing."""

    def __init__(self):
        super().__init__()
        self.more = nn.Conv2d(4, 4, 1, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.blocks(self.more(self.stem(x)))
        return self.head(self.drop(torch.flatten(self.pool(x), 1)))


def pair(shift: torch.Tensor = SHIFT) -> tuple[nn.Module, nn.Module]:
    """A larger and a smaller network of the same features, whose logits differ by a shift."""
    small = randomised(Small())
    large = Larger().eval()
    large.load_state_dict(small.state_dict(), strict=False)
    with torch.no_grad():
        large.more.weight.copy_(torch.eye(4).reshape(4, 4, 1, 1))
        large.head.bias += shift
    return large, small


def joined(front: nn.Module, back: nn.Module):
    return stitched(front, back, "blocks.0", "blocks.0", "linear")


def weights(plan) -> dict[str, torch.Tensor]:
    return plan.hybrid.graph.state_dict()


def same(a, b) -> bool:
    return all(torch.equal(weights(a)[name], weights(b)[name]) for name in weights(a))


def test_the_classifier_comes_to_the_mean_of_both_parents():
    """Both have the same features here, so that the mean of their logits can be had: half of the shift."""
    large, small = pair()
    plan = joined(large, small)
    alone, found = Heal(heal_target="back")(plan), Heal()(plan)
    followed = found.hybrid.healing.followed
    assert followed.models == (0, 1) and followed.kept
    assert followed.followed_divergence < 0.05 * followed.divergence
    changed = {name for name in weights(found) if not torch.equal(weights(found)[name], weights(alone)[name])}
    assert changed == {"back.head.weight", "back.head.bias"}
    with torch.no_grad():
        wanted = ((large(IMAGES) + small(IMAGES)) / 2).softmax(1)
        far, near = ((net.hybrid.graph(IMAGES).softmax(1) - wanted).abs().max() for net in (alone, found))
    assert near < 0.3 * far


def test_the_blocks_are_healed_as_without_it():
    plan = joined(*pair())
    assert Heal()(plan).hybrid.healing.blocks == Heal(heal_target="back")(plan).hybrid.healing.blocks


def test_where_the_back_s_parent_is_the_larger_it_is_followed_alone():
    large, small = pair()
    plan = joined(small, large)
    found = Heal()(plan)
    assert found.hybrid.healing.followed is None and same(found, Heal(heal_target="back")(plan))


def test_of_models_that_give_other_classes_for_the_images_none_is_followed():
    """As two networks do whose classes stand in another order."""
    large, small = pair()
    with torch.no_grad():
        large.head.weight.copy_(large.head.weight.roll(1, 0))
        large.head.bias.copy_(large.head.bias.roll(1, 0))
    plan = joined(large, small)
    assert Heal()(plan).hybrid.healing.followed is None
    assert Heal(heal_target="both")(plan).hybrid.healing.followed.models == (0, 1)  # who says so is believed


def test_parents_of_other_outputs_are_left_out_and_refused_where_they_are_asked_for():
    large, small = randomised(Small(6, classes=7)), randomised(Small(4, classes=5))
    plan = joined(large, small)
    assert Heal()(plan).hybrid.healing.followed is None
    for target in ("front", "both"):
        with pytest.raises(InputError, match="different shapes"):
            Heal(heal_target=target)(plan)


@pytest.mark.parametrize("options", [{"heal": "adapter"}, {"heal_layers": 1}])
def test_a_classifier_that_is_not_to_be_healed_stays(options):
    plan = joined(*pair())
    found = Heal(**options)(plan)
    assert found.hybrid.healing.followed is None
    assert torch.equal(weights(found)["back.head.weight"], weights(plan)["back.head.weight"])


def test_what_does_not_help_on_held_out_images_changes_nothing(monkeypatch):
    plan = joined(*pair())
    worse = torch.full((5, 4), 3.0), torch.arange(5.0)
    monkeypatch.setattr(_Rows, "solved", lambda *_: worse)
    found = Heal()(plan)
    followed = found.hybrid.healing.followed
    assert not followed.kept and followed.followed_divergence == followed.divergence
    assert same(found, Heal(heal_target="back")(plan))


@pytest.mark.parametrize("pull", [0.01, 1.0, 100.0])
def test_the_change_is_the_minimum_of_what_is_stated(pull):
    """There the gradient of the objective, in float64, is nothing."""
    graph = record(randomised(Small()), (3, 8, 8))
    operator = operator_of(graph, result(graph.graph))
    generator = torch.Generator().manual_seed(3)
    rows = _Rows(torch.randn(60, 4, generator=generator), torch.randn(60, 5, generator=generator).log_softmax(1))
    nothing = torch.zeros(5, 4), torch.zeros(5)
    weight, bias = (tensor.double().requires_grad_() for tensor in rows.solved(operator, nothing, pull))
    said = (
        rows.x.double() @ (operator.weight.detach().double() + weight).T + operator.bias.detach().double() + bias
    ).log_softmax(1)
    far = (rows.wanted.double().exp() * (rows.wanted.double() - said)).sum(1).mean()
    total = far + pull / 2 * (rows.x.double().square().mean() * weight.square().sum() + bias.square().sum())
    gradient = torch.autograd.grad(total, (weight, bias))
    assert max(float(g.abs().max()) for g in gradient) < 2e-3
