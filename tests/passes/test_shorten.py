"""Layers left out of one model: the choice is the best of all, within budget, and nothing but layers is missing."""

import math
from dataclasses import replace
from itertools import combinations, pairwise

import numpy as np
import pytest
import torch
from nets import Small
from torch import nn

from stitchc.passes import (
    Cost,
    Fit,
    Heal,
    PairSimilarity,
    Partition,
    Pipeline,
    Plan,
    Rivals,
    Select,
    Shorten,
    Similarity,
    Stitch,
    TensorImages,
    Trace,
)
from stitchc.passes.data.errors import PipelineError
from stitchc.passes.shorten.spans import Span, least_loss


class Deep(nn.Module):
    """Ten blocks of one shape, five of another."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.blocks = nn.ModuleList(nn.Conv2d(8, 8, 3, padding=1) for _ in range(10))
        self.down = nn.Conv2d(8, 16, 3, stride=2, padding=1)
        self.more = nn.ModuleList(nn.Conv2d(16, 16, 3, padding=1) for _ in range(5))
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        x = self.first(x).relu()
        for block in self.blocks:
            x = x + block(x).relu()
        x = self.down(x).relu()
        for block in self.more:
            x = x + block(x).relu()
        return self.head(x.mean((2, 3)))


def planned(budget) -> Plan:
    torch.manual_seed(3)
    images = TensorImages(torch.randn(40, 3, 8, 8))
    passes = [Trace(), Partition(), Cost(adapters=("identity", "linear")), Similarity(), Select(budget=budget)]
    return Pipeline(passes)(Plan.of(Deep().eval(), images=images))


@pytest.mark.parametrize("seed", range(30))
def test_the_choice_is_the_best_of_all_sets_of_spans(seed):
    rng = np.random.default_rng(seed)
    cuts, metrics = 7, 1 + seed % 2
    spans = [
        Span(i, j, tuple(rng.integers(1, 6, metrics).astype(float)), round(float(rng.random()), 2))
        for i, j in combinations(range(cuts), 2)
        if rng.random() < 0.7
    ]
    needed = rng.integers(1, 9, metrics).astype(float)
    best = math.inf
    for count in range(1, cuts):
        for chosen in combinations(sorted(spans), count):
            apart = all(a.last < b.first for a, b in pairwise(chosen))
            saved = [sum(amounts) for amounts in zip(*(span.saved for span in chosen), strict=True)]
            if apart and all(s >= n for s, n in zip(saved, needed, strict=True)):
                best = min(best, sum(span.loss for span in chosen))
    found = next(least_loss(spans, needed), None)
    if found is None:
        assert best == math.inf
    else:
        assert sum(span.loss for span in found) == pytest.approx(best)
        assert all(a.last < b.first for a, b in pairwise(found))


def test_several_spans_are_left_out_and_the_price_is_that_of_what_is_left():
    plan = planned({"macs": "75%"})
    # Four blocks repeat what they are given, as far as similarity tells.
    cuts = plan.cuts[0].cuts
    matrix = np.full((len(cuts), len(cuts)), -1.0)
    adds = [index for index, cut in enumerate(cuts) if cut.node.startswith("add")]
    for k in (1, 4, 7, 10):
        matrix[adds[k], adds[k + 1]] = 0.99
    plan = replace(plan, similarity=(PairSimilarity(0, 0, "cka-unbiased", 40, matrix),))
    done = Pipeline([Shorten(), Stitch()])(plan)
    (choice,) = done.choice
    assert len(choice.chain.fragments) > 2 and set(choice.chain.adapters) == {"identity"}
    assert choice.price["macs"] <= plan.budget["macs"]
    assert choice.price["params"] == sum(p.numel() for p in done.hybrid.network.parameters())
    seams = {(seam.leaves.cut, seam.enters.cut) for seam in choice.chain.seams()}
    assert seams == {(adds[k], adds[k + 1]) for k in (1, 4, 7, 10)}


def test_where_no_layers_between_equal_shapes_suffice_others_choose():
    plan = planned({"macs": "8%"})
    (before, *_) = plan.choice
    assert Shorten()(plan).choice[0] == before
    memory = planned({"memory": "90%"})
    assert Shorten()(memory).choice == memory.choice  # a peak is no sum


def test_two_models_are_left_to_the_other_passes():
    images = TensorImages(torch.randn(8, 3, 8, 8))
    passes = [Trace(), Partition(), Cost(adapters=("linear",)), Similarity(), Select(budget={"macs": "90%"})]
    plan = Pipeline(passes)(Plan.of(Small(8), Small(4), images=images))
    assert Shorten()(plan).choice == plan.choice


def test_similarity_is_required():
    with pytest.raises(PipelineError, match="needs similarity"):
        Shorten()(replace(planned({"macs": "60%"}), similarity=()))


def test_a_shortened_model_stands_beside_itself_unrepaired():
    plan = Pipeline([Shorten(), Stitch(), Fit(), Heal(), Rivals()])(planned({"macs": "60%"}))
    (plain,) = [rival for rival in plan.rivals if rival.kind == "unrepaired"]
    assert plain.hybrid.chain == plan.hybrid.chain and plain.price == plan.hybrid.price
    assert plain.hybrid.healing is None and plain.score is not None
    own = dict(plain.hybrid.network.named_parameters())
    parents = {name.partition(".")[2]: value for name, value in own.items()}
    whole = dict(plan.graphs[0].named_parameters())
    assert all(torch.equal(value, whole[name]) for name, value in parents.items())
