"""What networks of a family are worth on images that nothing was fitted on."""

import copy

import numpy as np
import pytest
import torch
from families import small_and_large
from test_family_smaller import LOOK

from stitchc.passes.data.chain import Chain, Fragment
from stitchc.passes.data.model import TensorImages, first_of
from stitchc.passes.family.judge import Judge
from stitchc.passes.family.smaller import with_smaller
from stitchc.passes.numerics.scale import best_scale

IMAGES = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def plan():
    return with_smaller(small_and_large(), LOOK, "macs", 0.0)


def said(plan, model, images):
    size = plan.models[model].input.size[1:]
    with torch.no_grad():
        return plan.graphs[model](torch.nn.functional.interpolate(images, size, mode="bilinear", antialias=True))


def labels_of(plan):
    """Half as the one model says, half as the other: so that both know the classes."""
    return torch.cat([said(plan, 0, IMAGES[:32]), said(plan, 1, IMAGES[32:])]).argmax(1)


def against(plan, model):
    """The mean of the models of the same classes, at their own and the next smaller size: [images, classes]."""
    smaller = [
        plan.models.index(next(m for m in plan.models if m.name == f"{name}@7x7")) for name in ("small", "large")
    ]
    outputs = {k: said(plan, k, IMAGES).softmax(1) for k in (model, *smaller, 0, 1)}
    alike = [k for k in outputs if (outputs[k].argmax(1) == outputs[model].argmax(1)).double().mean() >= 0.4]
    return torch.stack([outputs[k] for k in alike]).mean(0)


def calibrated(plan, model, network, labels=None):
    """A network's probabilities at the factor on its logits that brings them nearest to what it is held against."""
    logits, wanted = said(plan, network, IMAGES).double(), against(plan, model).double()
    if labels is not None:
        wanted = 0.1 * wanted + 0.9 * torch.nn.functional.one_hot(labels, wanted.shape[1])
    return (best_scale(logits, wanted.log()) * logits).softmax(1)


def judged(plan, images, rule=None):
    judge = Judge(plan, images, rule)
    return judge.rule, [judge(graph, Chain((Fragment(k),))) for k, graph in enumerate(plan.graphs)]


def test_with_labels_a_network_is_worth_the_probability_of_the_right_class(plan):
    labels = labels_of(plan)
    rule, scores = judged(plan, TensorImages(IMAGES, labels))
    assert rule == "labels"
    for model, own in enumerate(scores):
        last = first_of(plan.models)[model]
        right = calibrated(plan, last, model, labels).gather(1, labels[:, None])[:, 0]
        np.testing.assert_allclose(own, right.numpy(), atol=1e-5)


def test_without_labels_it_is_held_against_the_models_at_their_own_and_the_next_smaller_size(plan):
    rule, scores = judged(plan, TensorImages(IMAGES))
    assert rule == "cascade"
    expected = (calibrated(plan, 1, 1) * against(plan, 1)).sum(1)
    np.testing.assert_allclose(scores[1], expected.numpy(), atol=1e-5)


def test_how_sure_a_network_is_of_itself_counts_for_nothing(plan):
    judge, flat = Judge(plan, TensorImages(IMAGES, labels_of(plan)), None), copy.deepcopy(plan.graphs[0])
    last = [node for node in flat.graph.nodes if node.op == "call_module"][-1]
    assert isinstance(flat.get_submodule(last.target), torch.nn.Linear)
    for weight in flat.get_submodule(last.target).parameters():
        weight.data.mul_(0.3)
    chain = Chain((Fragment(0),))
    np.testing.assert_allclose(judge(flat, chain), judge(plan.graphs[0], chain), atol=1e-5)


def test_labels_of_other_classes_count_as_none(plan):
    assert judged(plan, TensorImages(IMAGES, torch.full((64,), 1000)))[0] == "cascade"


def test_a_rule_that_is_asked_for_is_taken(plan):
    rule, scores = judged(plan, TensorImages(IMAGES, labels_of(plan)), "accuracy")
    assert rule == "accuracy" and (scores[0][:32] == 1).all() and (scores[1][32:] == 1).all()


def test_what_is_not_finite_is_worth_nothing(plan):
    judge, broken = Judge(plan, TensorImages(IMAGES), None), copy.deepcopy(plan.graphs[0])
    for weight in broken.parameters():
        weight.data.fill_(float("nan"))
    assert (judge(broken, Chain((Fragment(0),))) == 0).all()
