"""Several hybrids as one network, whose members vote."""

from dataclasses import replace

import pytest
import torch
from nets import Small, randomised
from torch import nn

from stitchc.passes import (
    Codegen,
    Cost,
    Hybrid,
    InputSpec,
    Model,
    Partition,
    Pipeline,
    Plan,
    Stitch,
    Trace,
    Vote,
)  # fmt: skip
from stitchc.passes.cost.chains import price_of
from stitchc.passes.data.errors import Infeasible, InputError
from stitchc.passes.emit.load import load_module

IMAGES = torch.randn(24, 3, 8, 8, generator=torch.Generator().manual_seed(0))


class Writes(nn.Module):
    """Changes the image that it is given."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(3 * 8 * 8, 5)

    def forward(self, x):
        return self.head(x.mul_(2.0).flatten(1))


def analysed(*models) -> Plan:
    passes = [Trace(), Partition(), Cost(adapters=("linear",), direction="both")]
    return Pipeline(passes)(Plan.of(*models, images=IMAGES))


@pytest.fixture(scope="module")
def plan() -> Plan:
    plan = analysed(randomised(Small(4)), randomised(Small(6)))
    chains = ("A:..add_ / conv3x3 / B:blocks_0_relu_1..", "B:..stem / linear / A:add__1..")
    made = [Stitch(chain=chain)(plan) for chain in chains]
    return replace(made[0], hybrids=tuple(one.hybrid for one in made))


def test_an_ensemble_says_the_mean_of_its_members_probabilities_and_is_written_so(plan, tmp_path):
    voting = Vote()(plan)
    said = torch.stack([one.network(IMAGES).softmax(1) for one in plan.hybrids]).mean(0)
    torch.testing.assert_close(voting.hybrid.network(IMAGES).exp(), said, rtol=1e-5, atol=1e-6)
    Codegen(folder=tmp_path)(voting)
    torch.testing.assert_close(load_module(tmp_path)(IMAGES).exp(), said, rtol=1e-5, atol=1e-6)
    assert (tmp_path / "model.safetensors").stat().st_size == voting.hybrid.price["size"]


def test_it_takes_what_its_members_take_together(plan):
    voting = Vote()(plan).hybrid
    alone = [price_of(plan, one.chain) for one in plan.hybrids]
    for metric in ("params", "macs", "flops"):
        assert voting.price[metric] == sum(price[metric] for price in alone)
    assert [one.chain for one in voting.members] == [one.chain for one in plan.hybrids]
    assert Vote()(replace(plan, hybrids=plan.hybrids[:1])).hybrid is plan.hybrids[0]


def test_a_member_that_writes_to_the_image_does_not_change_what_the_next_one_sees():
    plan = analysed(Writes(), randomised(Small(4)))
    hybrids = tuple(Hybrid.whole(graph, k) for k, graph in enumerate(plan.graphs))
    said = torch.stack([graph(IMAGES.clone()).softmax(1) for graph in plan.graphs]).mean(0)
    found = Vote()(replace(plan, hybrids=hybrids)).hybrid.network(IMAGES.clone()).exp()
    torch.testing.assert_close(found, said, rtol=1e-5, atol=1e-6)


def test_members_that_cannot_vote_are_refused(plan):
    with pytest.raises(Infeasible, match="2 members together take"):
        Vote()(replace(plan, budget={"params": plan.hybrids[0].price["params"] + 1.0}))
    spec = InputSpec((3, 8, 8), (0.5,) * 3, (1.0,) * 3)
    others = tuple(replace(model, input=spec) if k else model for k, model in enumerate(plan.models))
    with pytest.raises(InputError, match="other inputs"):
        Vote()(replace(plan, models=others))
    fewer = analysed(randomised(Small(4)), Model("few", spec, module=nn.Sequential(nn.Flatten(), nn.Linear(192, 3))))
    hybrids = tuple(Hybrid.whole(graph, k) for k, graph in enumerate(fewer.graphs))
    same = tuple(replace(model, input=spec) for model in fewer.models)
    with pytest.raises(InputError, match="other shapes"):
        Vote()(replace(fewer, models=same, hybrids=hybrids))
