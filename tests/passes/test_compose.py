"""Fragments composed again are the model."""

import pytest
import torch
from nets import Small, Tokens, Windows, randomised

from stitchc.passes.data.errors import CutError
from stitchc.passes.graphs.compose import Part, compose, fragment
from stitchc.passes.trace import trace


def cut_after(graph, path):
    return next(n.name for n in graph.graph.nodes if path in n.meta.get("outputs_of", ()))


@pytest.mark.parametrize(("kind", "path"), [(Small, "blocks.0"), (Small, "stem"), (Windows, "norm"), (Tokens, "patch")])
def test_front_and_back_of_one_cut_are_the_model(kind, path):
    model = randomised(kind())
    graph = trace(model, (3, 8, 8), "record")
    cut = cut_after(graph, path)
    whole = compose([Part("front", "Front", graph, end=cut), Part("back", "Back", graph, start=cut)])
    for batch in (1, 3):
        x = torch.randn(batch, 3, 8, 8)
        assert torch.equal(whole(x), model(x))


def test_three_parts_compose_as_two_do():
    model = randomised(Small())
    graph = trace(model, (3, 8, 8), "record")
    first, second = cut_after(graph, "stem"), cut_after(graph, "blocks.0")
    parts = [
        Part("part0", "Part", graph, end=first),
        Part("part1", "Part", graph, start=first, end=second),
        Part("part2", "Part", graph, start=second),
    ]
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(compose(parts)(x), model(x))


def test_a_composed_graph_keeps_the_paths_of_its_sources_under_the_part():
    graph = trace(randomised(Small()), (3, 8, 8), "record")
    cut = cut_after(graph, "blocks.0")
    whole = compose([Part("front", "Front", graph, end=cut), Part("back", "Back", graph, start=cut)])
    assert "front.blocks.0.conv1.weight" in whole.state_dict()
    assert "back.blocks.1.conv1.weight" in whole.state_dict()
    assert not any(key.startswith("front.blocks.1") for key in whole.state_dict())
    node = next(n for n in whole.graph.nodes if n.target == "back.blocks.1.conv1")
    assert node.meta["scopes"] == (("back", "Back"), ("back.blocks", "Sequential"), ("back.blocks.1", "Residual"))


def test_the_whole_owns_its_weights_and_a_fragment_shares_them():
    model = randomised(Small())
    graph = trace(model, (3, 8, 8), "record")
    cut = cut_after(graph, "blocks.0")
    whole = compose([Part("front", "Front", graph, end=cut), Part("back", "Back", graph, start=cut)])
    assert whole.get_parameter("front.stem.weight") is not model.stem.weight
    assert fragment(graph, end=cut).get_parameter("stem.weight") is model.stem.weight


def test_a_value_beside_which_others_cross_is_refused():
    graph = trace(randomised(Small()), (3, 8, 8), "record")
    with pytest.raises(CutError, match="is no cut"):
        fragment(graph, start=cut_after(graph, "blocks.0.conv1"))
