"""Vectors of a network are kept by all that they depend on, and found by nothing else."""

from dataclasses import replace

import pytest
import torch
from small_nets import CUTS, Plain, cuts_of, model, plan_of
from torch import nn

from stitchc.passes import Partition, Pipeline, Plan, Similarity, Trace
from stitchc.passes.data.model import TensorImages
from stitchc.passes.numerics.similarity import METRICS


@pytest.fixture(params=list(METRICS))
def metric(request):
    return request.param


class Kept(dict):
    """A store in memory that counts what it was asked for."""

    def read(self, key):
        return self.get(key)

    def write(self, key, content):
        self[key] = content


def test_a_model_that_was_compared_before_does_not_run_again(metric):
    images, store = torch.randn(32, 3, 8, 8), Kept()
    a, b, c = (plan_of(Plain(w), images=images).graphs[0] for w in (4, 5, 6))
    runs = []
    for graph in (a, b, c):
        graph.register_forward_pre_hook(lambda *_: runs.append(1))

    def compare(*graphs, **options):
        cuts = tuple(cuts_of(graph, *CUTS) for graph in graphs)
        plan = Plan((model("m"),) * len(graphs), images=TensorImages(images), graphs=graphs, cuts=cuts)
        return Similarity(metric=metric, store=store, **options)(plan)

    first = compare(a, b)
    contents = dict(store)
    assert len(store) == 2
    again = compare(a, b)
    assert again.similarity == first.similarity and store == contents
    assert all(
        torch.equal(x.vectors, y.vectors) for x, y in zip(again.representations, first.representations, strict=True)
    )
    compare(a, c)
    assert len(store) == 3, "only what is new is computed"
    compare(a, batch=8)
    assert len(store) == 4, "other blocks are another thing"
    with torch.no_grad():
        a.conv1.weight += 1
    compare(a)
    assert len(store) == 5, "and so are other weights"
    images[0] += 1
    compare(a)
    assert len(store) == 6, "and other images"


@pytest.mark.parametrize("layer", [nn.ReLU(), nn.GELU(), nn.GELU("tanh"), nn.LeakyReLU(0.2), nn.MaxPool2d(3, 1, 1)])
def test_networks_of_the_same_weights_whose_layers_are_set_otherwise_share_no_vectors(layer):
    def plan(layer):
        torch.manual_seed(0)
        network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), layer, nn.Flatten(), nn.Linear(256, 5))
        return Pipeline([Trace(), Partition()])(Plan.of(network.eval(), images=images))

    images, store = torch.randn(16, 3, 8, 8), Kept()
    Similarity(store=store)(plan(nn.LeakyReLU(0.1)))
    found = Similarity(store=store)(plan(layer)).representations[0].vectors
    assert torch.equal(found, Similarity()(plan(layer)).representations[0].vectors)
    Similarity(store=store)(plan(layer))
    assert len(store) == 2, "and the same network again finds its own"


def test_what_is_kept_is_by_cut_and_a_damaged_file_is_none():
    images, store = torch.randn(32, 3, 8, 8), Kept()
    few = plan_of(Plain(), images=images, cuts=("conv1", "relu2"))
    more = replace(few, cuts=(cuts_of(few.graphs[0], *CUTS),))
    Similarity(store=store)(few)
    (content,) = store.values()
    grams = Similarity(store=store)(more).representations[0].vectors
    assert len(store) == 1 and len(store[next(iter(store))]) > len(content)
    fresh = Similarity()(more).representations[0].vectors
    torch.testing.assert_close(grams, fresh, rtol=1e-4, atol=1e-6)
    store[next(iter(store))] = b"damaged"
    assert torch.equal(Similarity(store=store)(more).representations[0].vectors, fresh)
