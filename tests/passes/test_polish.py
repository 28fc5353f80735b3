"""Polishing: what it sees, what it keeps, and that it is the same again."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from stitchc.passes import Fit, Heal, Partition, Pipeline, Plan, Polish, Stitch, TensorImages, Trace, Unseen
from stitchc.passes.cost import Cost
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.model import InputSpec
from stitchc.passes.data.option_kinds import Work
from stitchc.passes.numerics.held_out import held_out
from stitchc.passes.numerics.scale import best_scale, divergence
from stitchc.passes.polish.distil import altered
from stitchc.passes.polish.images import Some

COUNT, SIDE = 60, 8


def network(width: int, seed: int) -> nn.Module:
    torch.manual_seed(seed)

    def block(c_in: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(c_in, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    net = nn.Sequential(block(1), block(width), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3))
    net(4 * torch.randn(64, 1, SIDE, SIDE))  # norms have statistics
    nn.init.normal_(net[-1].weight, std=3)
    return net.eval()


@pytest.fixture(scope="module")
def images() -> TensorImages:
    return TensorImages(torch.randn(COUNT, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)), name="x")


@pytest.fixture(scope="module")
def plan(images) -> Plan:
    """Stitched, with an adapter that nobody has fitted."""
    passes = [Trace(), Partition(), Cost(adapters=()), Stitch(chain="A:..0 / linear / B:0..")]
    return Pipeline(passes)(Plan.of(network(6, 0), network(4, 1), images=images))


def test_polishing_brings_the_hybrid_nearer_to_its_teacher_on_images_that_it_does_not_see(plan, images):
    before = copy.deepcopy(plan.hybrid.network.state_dict())
    polished = Polish(polish="40 steps", batch=16, lr=0.01)(plan)
    found = polished.hybrid.polishing
    assert (found.images, found.held_out, found.steps, found.batch) == (48, 12, 40, 16)
    assert found.teachers == (plan.models[0].name,) and 0 < found.kept <= 40
    assert found.polished_divergence < found.divergence
    held = images.tensor[held_out(0, COUNT)]
    own, said = (network(held).double() for network in (plan.graphs[0], polished.hybrid.network))
    wanted = own.log_softmax(1)
    far = divergence(best_scale(said, wanted) * said, wanted)
    assert far == pytest.approx(found.polished_divergence, rel=5e-3)
    assert not any(p.requires_grad for p in polished.hybrid.network.parameters())
    after = plan.hybrid.network.state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)  # the plan before is as it was


def test_the_same_steps_give_the_same_bits_and_no_global_random_number_is_used(plan):
    state = torch.get_rng_state()
    one, two = (Polish(polish="6 steps", batch=16)(plan).hybrid.network.state_dict() for _ in range(2))
    assert all(torch.equal(one[key], two[key]) for key in one)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_time_is_turned_into_steps_that_give_the_same_again(plan):
    timed = Polish(polish="0.5s", batch=16)(plan)
    counted = Polish(polish=f"{timed.hybrid.polishing.steps} steps", batch=16)(plan)
    assert timed.hybrid == counted.hybrid
    one, two = (done.hybrid.network.state_dict() for done in (timed, counted))
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_what_makes_it_worse_is_undone(plan):
    ruined = Polish(polish="5 steps", batch=16, lr=1e3)(plan)
    assert ruined.hybrid.polishing.kept == 0
    assert ruined.hybrid.polishing.polished_divergence == ruined.hybrid.polishing.divergence
    one, two = plan.hybrid.network.state_dict(), ruined.hybrid.network.state_dict()
    assert all(torch.equal(one[key], two[key]) for key in one)


def test_nothing_is_polished_unless_asked_nor_on_noise_nor_on_a_few_images(plan, images):
    few, noise = TensorImages(images.tensor[:4]), replace(images, noise=True)
    assert Polish()(plan) is plan
    for shown in (few, noise):
        without = Polish(polish="1 steps")(replace(plan, images=shown))
        assert without.hybrid is plan.hybrid and without.notes[-1].startswith("Nothing was polished: ")


def test_the_teacher_has_the_outputs_of_the_hybrid(images):
    other = nn.Sequential(*network(9, 2)[:-1], nn.Linear(9, 7)).eval()
    passes = [Trace(), Partition(), Cost(adapters=()), Stitch(chain="A:..0 / linear / B:0..")]
    plan = Pipeline(passes)(Plan.of(other, network(4, 1), images=images))
    assert plan.prices[0]["macs"] > plan.prices[1]["macs"]
    assert Polish(polish="1 steps")(plan).hybrid.polishing.teachers == (plan.models[1].name,)


def test_what_is_unseen_changes_nothing(plan, images):
    """Fitted and healed without the held-out images, the hybrid does not depend on what they show."""
    passes = [Unseen(Fit()), Unseen(Heal())]
    assert [step.name for step in passes] == ["fit", "heal"] and passes[0].requires == Fit.requires
    other = images.tensor.clone()
    other[held_out(0, COUNT)] = 7.0
    made = [Pipeline(passes)(replace(plan, images=TensorImages(x))) for x in (images.tensor, other)]
    assert made[0].hybrid == made[1].hybrid and len(made[0].images) == COUNT
    seen = Pipeline([Fit(), Heal()])(plan)
    assert seen.hybrid != made[0].hybrid


@pytest.mark.parametrize("size", [1, 4, 7, 100])
def test_some_images_come_in_order_and_in_whole_batches(images, size):
    spec = InputSpec((1, SIDE, SIDE), (0.0,), (1.0,))
    for held in (False, True):
        some = Some(images, held)
        wanted = images.tensor[held_out(0, COUNT) == held]
        found = list(some.batches(spec, size))
        assert torch.equal(torch.cat(found), wanted) and len(some) == len(wanted)
        assert all(len(batch) == size for batch in found[:-1])
        assert torch.equal(torch.cat(list(some.batches(spec, size, 2, 9))), wanted[2:9])


def test_altered_images_are_moved_and_mirrored_by_little():
    ramp = torch.arange(16.0).expand(64, 1, 16, 16)
    torch.manual_seed(0)
    found = altered(ramp)
    assert found.shape == ramp.shape and len({tuple(row.tolist()) for row in found[:, 0, 0]}) == 10
    for row in found[:, 0, 0]:
        steps = row.diff()
        assert bool((steps >= 0).all() or (steps <= 0).all()) and float(steps.abs().max()) == 1.0


@pytest.mark.parametrize(
    ("said", "read"),
    [("60s", "60s"), (90, "90s"), ("1.5min", "90s"), ("200 steps", "200 steps"), ("1 step", "1 steps")],
)
def test_how_long_is_a_time_or_a_number_of_steps(said, read):
    assert Work().read("polish", said) == read and Work().read("polish", read) == read
    assert (Work().seconds("polish", said) is None) == ("step" in str(said))


@pytest.mark.parametrize("wrong", ["soon", "-3s", "0", "1.5 steps", "1e400", "s", "3 days", True])
def test_what_is_no_time_is_refused(wrong):
    with pytest.raises(InputError, match="`polish` is"):
        Work().read("polish", wrong)
