"""Members of a family healed together: what they share, and that nothing is kept that is not worth its bytes."""

import pytest
import torch
from nets import Small, randomised

from stitchc.passes import Cost, Partition, Pipeline, Plan, Trace
from stitchc.passes.cost.chains import price_of
from stitchc.passes.data.chain import Chain
from stitchc.passes.data.healing import Options
from stitchc.passes.family.fit import beginnings, hybrids
from stitchc.passes.family.heal import Healer
from stitchc.passes.family.weights import added, contents
from stitchc.passes.heal.blockwise import heal
from stitchc.passes.heal.probe import Probe
from stitchc.passes.stitch.stated import stated

IMAGES = torch.randn(60, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def plan() -> Plan:
    torch.manual_seed(3)
    models = [randomised(Small()), randomised(Small())]
    return Pipeline([Trace(frontend="record"), Partition(), Cost(adapters=())])(Plan.of(*models, images=IMAGES))


def chains_of(plan: Plan) -> list[Chain]:
    """Two that share their front, their adapter and their back, and one of the other direction."""
    nodes = [cut.node for cut in plan.cuts[0].cuts]
    first, later = nodes[0], nodes[-1]
    said = [f"A:..{first} / linear / B:{first}..", f"A:..{first} / linear / B:{first}..{later} / linear / B:{later}..",
            f"B:..{first} / linear / A:{first}.."]  # fmt: skip
    return [stated(plan, words, "auto")[0].chain for words in said]


def made(plan: Plan):
    return hybrids(plan, [(chain, price_of(plan, chain)) for chain in chains_of(plan)], None)


def healed(plan: Plan, share: str, price: float = 0.0):
    healer = Healer(plan, "back", Options(), share, price)
    return [healer.heal(hybrid) for hybrid in made(plan)]


def own_bytes(plan: Plan, found) -> int:
    held = contents(plan.graphs)
    return sum({k: v for one in found for k, v in added(one.network, held).items()}.values())


def test_chains_that_begin_alike_share_their_adapters(plan):
    first, second, _ = made(plan)
    a, b = (one.network.state_dict() for one in (first, second))
    mine = {name.removeprefix("adapter."): tensor for name, tensor in a.items() if name.startswith("adapter.")}
    assert mine and all(torch.equal(tensor, b[f"adapter1.{name}"]) for name, tensor in mine.items())
    shared = set(beginnings(first.chain)) & set(beginnings(second.chain))
    assert len(shared) == 1


def test_with_share_all_the_weights_of_the_models_stay(plan):
    held = contents(plan.graphs)
    for one in healed(plan, "all"):
        adapters = {name for name in one.network.state_dict() if name.startswith("adapter")}
        size = sum(one.network.state_dict()[name].numel() * 4 for name in adapters)
        assert 0 < sum(added(one.network, held).values()) <= size


def test_with_share_healed_each_is_healed_as_if_it_were_alone(plan):
    specs = [model.input for model in plan.models]
    for one, alone in zip(healed(plan, "healed"), made(plan), strict=True):
        heal(alone.network, Probe(plan.graphs, specs, plan.images, Options()), alone.chain, "back")
        for name, tensor in alone.network.state_dict().items():
            torch.testing.assert_close(one.network.state_dict()[name], tensor, rtol=1e-4, atol=1e-5)


def test_with_share_auto_no_member_gets_worse_and_the_file_smaller(plan):
    unhealed, free, dear = made(plan), healed(plan, "auto", 0.0), healed(plan, "auto", 1e3)
    for one in (*free, *dear):
        assert one.healing.healed_divergence <= one.healing.divergence + 1e-9
    assert own_bytes(plan, dear) <= own_bytes(plan, free)
    assert own_bytes(plan, dear) <= own_bytes(plan, unhealed)


def test_nothing_is_kept_that_there_is_no_room_for(plan):
    unhealed = made(plan)
    least = own_bytes(plan, unhealed)
    for more in (0, 300, 10_000):
        healer = Healer(plan, "back", Options(), "auto", 0.0, unhealed, least + more)
        assert own_bytes(plan, [healer.heal(hybrid) for hybrid in made(plan)]) <= least + more


def test_a_later_member_begins_with_what_an_earlier_one_changed(plan):
    """The same chain twice: the second adds nothing."""
    chain = chains_of(plan)[0]
    first, second = hybrids(plan, [(chain, price_of(plan, chain))] * 2, None)
    healer = Healer(plan, "back", Options(), "auto", 1e-9)
    one, two = healer.heal(first), healer.heal(second)
    assert two.healing.divergence == pytest.approx(one.healing.healed_divergence, rel=1e-3)
    assert two.healing.healed_divergence <= one.healing.healed_divergence + 1e-9
