"""Networks on smaller images: the same weights, fewer multiply-adds."""

from math import prod

import pytest
import torch
from families import small_and_large
from torch import nn

from stitchc.passes import Cost, Partition, Trace
from stitchc.passes.cost.chains import price_of, price_of_graph, prices_of_graph
from stitchc.passes.data.chain import Chain, Fragment
from stitchc.passes.data.hybrid import Hybrid
from stitchc.passes.emit.conversion import conversion
from stitchc.passes.family.fit import hybrids
from stitchc.passes.family.smaller import (
    moved,
    smaller_chains,
    smaller_hybrid,
    with_only,
    with_smaller,
    with_weights_of,
)
from stitchc.passes.trace.record import record

LOOK = [Trace(check=()), Partition(), Cost(adapters=())]


@pytest.fixture(scope="module")
def own():
    return small_and_large()


@pytest.fixture(scope="module")
def sized(own):
    return with_smaller(own, LOOK, "macs", 0.0)


@pytest.fixture(scope="module")
def hybrid(own) -> Hybrid:
    """The first half of the small model before the second of the large one."""
    cuts = [[cut.node for cut in of.cuts] for of in own.cuts]
    chain = Chain.pair((0, len(cuts[0]) // 2), (1, len(cuts[1]) // 2), "conv3x3")
    return hybrids(own, [(chain, price_of(own, chain))], None)[0]


def sizes(plan):
    return [(model.name.split("@")[0], model.input.size[1]) for model in plan.models]


def test_models_stand_behind_their_own_at_multiples_of_their_stride(sized):
    smaller = [(name, size) for name in ("small", "large") for size in (7, 6, 5, 4)]
    assert sizes(sized) == [("small", 8), ("large", 8), *smaller]
    assert all(len(values) == 10 for values in (sized.graphs, sized.cuts, sized.parts, sized.prices))


def test_no_size_is_tried_below_the_first_that_takes_no_more_than_the_least(own, sized):
    least = sized.prices[sizes(sized).index(("large", 6))]["macs"]
    found = with_smaller(own, LOOK, "macs", least)
    assert sizes(found)[2:] == [("small", 7), ("large", 7), ("large", 6)]


def test_a_chain_is_made_where_all_of_its_models_are_at_one_share_of_their_size(sized, hybrid):
    every = list(smaller_chains(sized, hybrid.chain, range(len(sized.models))))
    assert hybrid.chain == every[0]  # at the whole of it
    assert [[sizes(sized)[one.model][1] for one in chain.fragments] for chain in every[1:]] == [
        [size, size] for size in (7, 6, 5, 4)
    ]
    large = [model for model, (name, _) in enumerate(sizes(sized)) if name == "large"]
    assert not list(smaller_chains(sized, hybrid.chain, large))


def test_it_has_the_weights_of_the_chain_and_computes_what_that_does_on_smaller_images(sized, hybrid):
    chain = next(smaller_chains(sized, hybrid.chain, range(2, len(sized.models))))
    graph = with_weights_of(sized, chain, hybrid)
    state, whole = graph.state_dict(), hybrid.network.state_dict()
    assert state.keys() == whole.keys() and all(torch.equal(state[name], whole[name]) for name in state)
    images = torch.randn(3, 3, 7, 7)
    with torch.no_grad():
        assert torch.allclose(graph(images), hybrid.network(images), atol=1e-6)
    made = smaller_hybrid(sized, chain, hybrid, graph)
    assert made.price["params"] == hybrid.price["params"] and made.price["macs"] < hybrid.price["macs"]
    assert made.adapters[0].price["macs"] < hybrid.adapters[0].price["macs"]


def test_weights_that_do_not_fit_make_no_network(sized, own, hybrid):
    chain = next(smaller_chains(sized, hybrid.chain, range(2, len(sized.models))))
    assert with_weights_of(sized, chain, Hybrid.whole(own.graphs[0])) is None


def test_models_that_are_left_out_change_nothing_of_a_chain(sized, hybrid):
    chain = next(smaller_chains(sized, hybrid.chain, range(2, len(sized.models))))
    plan, place = with_only(sized, [0, 1, *sorted({one.model for one in chain.fragments})])
    assert price_of(plan, moved(chain, place)) == price_of(sized, chain)
    assert [plan.models[one.model].name for one in moved(chain, place).fragments] == ["small@7x7", "large@7x7"]
    assert moved(Chain((Fragment(0),)), place) == Chain((Fragment(0),))


def test_a_member_takes_what_makes_its_images_too(sized):
    """As counted on both together."""
    small, whole = len(sized.models) - 1, 1
    given, wanted = sized.models[whole].input, sized.models[small].input
    made = conversion(given, wanted)
    assert made is not None
    found = price_of(sized, Chain((Fragment(small),)), prices_of_graph(made, given.size))
    together = price_of_graph(record(nn.Sequential(made, sized.graphs[small]).eval(), given.size), given.size)
    alone = sized.prices[small]
    assert (found["macs"], found["params"]) == (together["macs"], together["params"])
    assert found["macs"] > alone["macs"] and found["params"] == alone["params"]
    assert found["memory"] == alone["memory"] + 4 * prod(given.size), "while it runs, both images are held"
    assert found["size"] - alone["size"] == pytest.approx(sum(t.nbytes for t in made.state_dict().values()), abs=400), (
        "and the entries of the header"
    )
