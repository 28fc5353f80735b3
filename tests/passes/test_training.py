"""What training stands on: norms that are made ready for it."""

import copy

import pytest
import torch
from torch import nn

from stitchc.passes.training.norms import measure_norms, settle_norms


def network() -> nn.Module:
    torch.manual_seed(0)
    first = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), nn.BatchNorm2d(5), nn.ReLU())
    second = nn.Sequential(nn.Conv2d(5, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.LazyLinear(6))
    made = nn.Sequential(first, second, nn.BatchNorm1d(6), nn.Linear(6, 2))
    made(torch.zeros(2, 3, 8, 8))
    for norm in (n for n in made.modules() if isinstance(n, nn.BatchNorm1d | nn.BatchNorm2d)):
        norm.running_mean.normal_()
        norm.running_var.uniform_(0.5, 2)
        norm.weight.data.normal_()
        norm.bias.data.normal_()
    return made


def test_settled_norms_compute_the_same_in_both_modes():
    """In eval mode the function is as it was; in training mode, on the images that they were settled on, it is too."""
    images = 3 * torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 1
    net = network().train()
    before = copy.deepcopy(net).eval()(images)
    assert not torch.allclose(copy.deepcopy(net).train()(images), before, rtol=0.1, atol=0.1)
    settle_norms(net, images.split(10))
    assert torch.allclose(net.eval()(images), before, rtol=1e-4, atol=1e-4)
    assert torch.allclose(net.train()(images), before, rtol=1e-3, atol=1e-3)


def test_norms_that_stand_still_or_were_never_trained_stay_as_they_are():
    images = torch.randn(16, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = network()
    net.train()
    net[1].eval()
    net[0][1].reset_running_stats()
    before = copy.deepcopy(net.state_dict())
    settle_norms(net, [images])
    changed = {key for key, value in net.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {f"2.{key}" for key in ("weight", "bias", "running_mean", "running_var")}


@pytest.mark.parametrize("value", [0.0, 3.0])
def test_a_channel_that_never_changes_keeps_its_value(value):
    norm = nn.BatchNorm2d(1).train()
    norm.running_mean.fill_(1.0)
    x = torch.full((4, 1, 2, 2), value)
    before = copy.deepcopy(norm).eval()(x)
    settle_norms(norm, [x])
    assert torch.allclose(norm.eval()(x), before, atol=1e-4)


def test_measured_norms_compute_in_eval_mode_what_they_do_in_training_mode():
    images = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = network().train()
    counted = net[2].num_batches_tracked.clone()
    learned = copy.deepcopy(net)(images)
    measure_norms(net, [images, images[:1]])
    assert not net.training and torch.allclose(net(images), learned, rtol=0.05, atol=0.05)
    assert net[2].momentum == 0.1 and net[2].num_batches_tracked == counted
    still = copy.deepcopy(net.state_dict())
    measure_norms(net.eval(), [images + 1])
    measure_norms(net.train(), [images[:1]])
    assert all(torch.equal(value, still[key]) for key, value in net.state_dict().items())
