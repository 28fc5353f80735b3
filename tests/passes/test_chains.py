"""Chains of any length are stated, priced, composed, fitted and healed by the same code as pairs."""

import random
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from nets import Small, Tokens, randomised

from stitchc.passes import (
    Chain,
    Codegen,
    Cost,
    Fit,
    Fragment,
    Heal,
    Partition,
    Pipeline,
    Plan,
    Price,
    Stitch,
    Trace,
    Verify,
)
from stitchc.passes import adapters as registry
from stitchc.passes.cost.chains import price_of
from stitchc.passes.data.candidates import Candidate
from stitchc.passes.data.cut_names import find_cut
from stitchc.passes.data.errors import CutError
from stitchc.passes.emit.load import load_module
from stitchc.passes.graphs.compose import fragment, part_of
from stitchc.passes.stitch.stated import stated

IMAGES = torch.randn(80, 3, 8, 8, generator=torch.Generator().manual_seed(0))
SIZE = (3, 8, 8)


def analysed(*models) -> Plan:
    passes = [Trace(), Partition(), Cost(adapters=("linear",), direction="both")]
    return Pipeline(passes)(Plan.of(*models, images=IMAGES))


@pytest.fixture(scope="module")
def plan() -> Plan:
    return analysed(randomised(Small(4)), randomised(Small(6)), randomised(Tokens()))


def index(plan: Plan, model: int, path: str) -> int:
    found = find_cut(plan.cuts[model].cuts, path)
    assert found is not None
    return found


def test_parts_are_named_in_one_place():
    pair = Chain.pair((0, 1), (1, 2), "linear")
    assert [part.name for part in pair.parts()] == ["front", "adapter", "back"]
    whole = Chain((Fragment(0),))
    assert [part.name for part in whole.parts()] == [""] and whole.seams() == ()
    middle = [Fragment(1, k, k + 1) for k in (0, 2)]
    three = Chain((Fragment(0, None, 1), middle[0], Fragment(2, 3)), ("a", "b"))
    assert [part.name for part in three.parts()] == ["front", "adapter1", "middle", "adapter2", "back"]
    four = Chain((Fragment(0, None, 1), *middle, Fragment(2, 3)), ("a", "b", "c"))
    assert [p.name for p in four.parts() if p.fragment] == ["front", "middle1", "middle2", "back"]
    assert four.models() == {"front": 0, "middle1": 1, "middle2": 1, "back": 2}
    assert [tuple(seam) for seam in three.seams()] == [((0, 1), "a", (1, 0)), ((1, 1), "b", (2, 3))]


@pytest.mark.parametrize(
    ("fragments", "adapters"),
    [
        ((), ()),
        ((Fragment(0),), ("linear",)),
        ((Fragment(0, None, 1), Fragment(1, 2)), ()),
        ((Fragment(0, 1), Fragment(1, 2)), ("linear",)),
        ((Fragment(0, None, 1), Fragment(1, 2, 3)), ("linear",)),
        ((Fragment(0), Fragment(1, 2)), ("linear",)),
        ((Fragment(0, None, 1), Fragment(1, 3, 3), Fragment(1, 4)), ("linear", "linear")),
    ],
)
def test_what_is_no_chain_is_refused(fragments, adapters):
    with pytest.raises(CutError):
        Chain(fragments, adapters)


def test_a_chain_is_stated_in_words(plan):
    words = "A:..blocks.0 / Small:blocks.0..blocks.1 / linear / C:patch.."
    with pytest.raises(CutError, match=r"Did you mean|no cut|no model"):
        stated(plan, words.replace("C:patch", "D:patch"))
    last = plan.cuts[2][len(plan.cuts[2]) - 1].node
    found = stated(plan, f"A:..blocks.0 / B:stem..blocks.1 / linear / C:{last}..", "linear")
    assert len(found) == 1 and found[0].chain.adapters == ("linear", "linear")
    first, middle, back = found[0].chain.fragments
    assert first == Fragment(0, None, index(plan, 0, "blocks.0"))
    assert middle == Fragment(1, index(plan, 1, "stem"), index(plan, 1, "blocks.1"))
    assert back == Fragment(2, len(plan.cuts[2]) - 1, None)
    several = stated(plan, "A:..blocks.0 / B:stem..blocks.1 / A:blocks.1..")
    assert len(several) > 4 and len({c.chain.adapters for c in several}) == len(several)
    assert [c.price["macs"] for c in several] == sorted((c.price["macs"] for c in several), reverse=True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("A:..nowhere / B:stem..", "'nowhere' is no cut of Small"),
        ("linear / A:..stem / B:stem..", "stands between no two fragments"),
        ("A:..stem / B:stem.. / linear", "is no chain"),
        ("A:..stem / linear / linear / B:stem..", "stands between no two fragments"),
        ("nothing", "stands between no two fragments"),
        ("A:stem.. / B:stem..", "begins at a model's input"),
        ("A:..stem / wide / B:stem..", "'wide' is no adapter"),
    ],
)
def test_words_that_state_no_chain_are_refused(plan, words, said):
    with pytest.raises(CutError, match=said):
        stated(plan, words)


def last_of(graph, part: str) -> str:
    return [node.name for node in graph.graph.nodes if part_of(node) == part][-1]


def last_before(graph, part: str) -> str:
    names = [node.name for node in graph.graph.nodes]
    first = next(node.name for node in graph.graph.nodes if part_of(node) == part)
    return names[names.index(first) - 1]


def random_chain(plan: Plan, length: int, rng: random.Random) -> Chain:
    """A chain of so many fragments whose seams `linear` or `conv3x3` can join."""
    while True:
        models = [rng.randrange(len(plan.models)) for _ in range(length)]
        spans = [sorted(rng.sample(range(len(plan.cuts[m])), 2)) for m in models]
        fragments = [Fragment(m, start, end) for m, (start, end) in zip(models, spans, strict=True)]
        fragments[0] = replace(fragments[0], start=None)
        fragments[-1] = replace(fragments[-1], end=None)
        names = [rng.choice(["linear", "conv3x3", "linear-relu", "identity"]) for _ in range(length - 1)]
        values = [(plan.value_at((x.model, x.end)), plan.value_at((y.model, y.start))) for x, y in pairwise(fragments)]
        prices = [registry.get(name).price(*ends) for name, ends in zip(names, values, strict=True)]
        if all(isinstance(price, Price) for price in prices):
            return Chain(tuple(fragments), tuple(names))


@pytest.mark.parametrize("seed", range(20))
def test_a_chain_costs_what_is_written_for_it(plan, seed, tmp_path):
    """In params, macs, bytes of the weights file and bytes of memory; counted on the emitted code."""
    chain = random_chain(plan, 2 + seed % 4, random.Random(seed))
    price = price_of(plan, chain)
    Codegen(tmp_path)(Stitch(chain=chain)(plan))
    assert (tmp_path / "model.safetensors").stat().st_size == price["size"]
    again = Pipeline([Trace(), Partition(), Cost()])(Plan.of(load_module(tmp_path), images=IMAGES[:2]))
    assert again.prices[0] == price


def test_a_pair_has_the_price_that_it_has_in_the_table(plan):
    table = plan.candidates
    for row in range(0, len(table), 37):
        assert price_of(plan, table[row].chain) == table.price(row)
    whole = price_of(plan, Chain((Fragment(1),)))
    assert whole == plan.prices[1]


def test_fragments_of_one_model_in_a_row_are_the_model(plan):
    cuts = [index(plan, 1, path) for path in ("stem", "blocks.0", "blocks.1")]
    spans = pairwise([None, *cuts, None])
    chain = Chain(tuple(Fragment(1, start, end) for start, end in spans), ("identity",) * 3)
    stitched = Stitch(chain=chain)(plan)
    assert torch.equal(stitched.hybrid.network(IMAGES), plan.graphs[1](IMAGES))
    assert stitched.hybrid.price == price_of(plan, chain)


def test_three_fragments_fitted_one_after_the_other_are_the_model_again(plan):
    """Each linear adapter of a model stitched to itself is fitted on what the chain before it gives."""
    chain = "B:..stem / linear / B:stem..blocks.0 / linear / B:blocks.0.."
    fitted = Fit()(Stitch(chain=chain)(plan)).hybrid
    assert [use.residual < 1e-6 for use in fitted.adapters] == [True, True]
    torch.testing.assert_close(fitted.network(IMAGES), plan.graphs[1](IMAGES), rtol=1e-3, atol=1e-3)


@torch.no_grad()
def test_the_second_adapter_is_fitted_on_what_the_first_hands_on(plan):
    """It brings the values of the chain before it nearer to the parent's than one that knew the second model alone."""
    words = "A:..stem / linear / B:stem..blocks.0 / linear / A:blocks.0.."
    chained = Fit()(Stitch(chain=words)(plan)).hybrid.network
    alone = Fit()(Stitch(chain="B:..blocks.0 / linear / A:blocks.0..")(plan)).hybrid.network
    wanted = fragment(plan.graphs[0], end=plan.node_at(0, index(plan, 0, "blocks.0")))(IMAGES)
    reached = fragment(chained, end=last_of(chained, "middle"))(IMAGES)
    errors = []
    for network, name in ((chained, "adapter2"), (alone, "adapter")):
        made = fragment(network, start=last_before(network, name), end=last_of(network, name))(reached)
        errors.append(float((made - wanted).square().mean()))
    assert errors[0] < errors[1]


def test_of_several_adapters_the_best_stays_at_each_seam(plan):
    chain = "A:..stem / B:stem..blocks.1 / A:blocks.1.."
    fitted = Fit()(Stitch(chain=chain)(plan))
    words = tuple(use.name for use in fitted.hybrid.adapters)
    assert words == fitted.hybrid.chain.adapters and len(fitted.choice) > 1
    assert fitted.hybrid.price == price_of(plan, fitted.hybrid.chain)


@pytest.mark.parametrize(
    "chain", ["A:..blocks.0 / B:blocks.0..blocks.1 / C:add_1..", "B:..stem / linear / B:blocks.0.."]
)
def test_healing_goes_through_all_fragments(plan, chain, tmp_path):
    passes = [Stitch(chain=chain), Fit(), Heal(), Codegen(tmp_path), Verify()]
    done = Pipeline(passes)(plan)
    before = Pipeline(passes[:2])(plan).hybrid.network.state_dict()
    after = done.hybrid.network.state_dict()
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert "front" not in changed and "back" in changed
    healing = done.hybrid.healing
    path = [healing.divergence, *(block.divergence for block in healing.blocks)]
    assert path == sorted(path, reverse=True) and path[-1] < path[0]
    assert done.hybrid.verified.argmax_agreement == 1.0
    named = {block.name.split(".")[0] for block in healing.blocks if block.kept}
    assert named & {"middle", "back"} or len(done.hybrid.chain.fragments) == 2


def test_a_model_at_another_size_is_a_model_of_its_own(plan, tmp_path):
    model = plan.models[0]
    smaller = model.at((3, 6, 6))
    assert smaller.module is model.module and smaller.name == "Small@6x6"
    both = Pipeline([Trace(), Partition(), Cost(adapters=("linear",))])(replace(plan, models=(model, smaller)))
    chain = Chain((Fragment(1, None, index(both, 1, "blocks.0")), Fragment(0, index(both, 0, "blocks.0"))), ("linear",))
    done = Pipeline([Stitch(chain=chain), Codegen(tmp_path), Verify()])(replace(both, images=None))
    assert done.input_of(chain).size == (3, 6, 6)
    assert load_module(tmp_path)(torch.zeros(2, 3, 6, 6)).shape == (2, 5)
    assert price_of(both, Chain((Fragment(1),)))["macs"] < price_of(both, Chain((Fragment(0),)))["macs"]
    candidate = Candidate(chain, float("nan"), price_of(both, chain), True)
    assert done.choice == (candidate,) or done.choice[0].chain == chain
