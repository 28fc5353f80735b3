"""CKA is what its papers define, whatever the scale and mean of the features and however the images arrive."""

import gc
import weakref

import numpy as np
import pytest
import torch
from small_nets import CUTS, Plain, cuts_of, graph_of, model, plan_of
from torch import Tensor, nn

from stitchc.passes import Plan, Similarity
from stitchc.passes.errors import DataError, InputError, ModelError
from stitchc.passes.model import TensorImages
from stitchc.passes.similarity.gram import GramRunner, gram
from stitchc.passes.similarity.metrics import METRICS, block_sizes, join_blocks, similarity, unit_vectors


def textbook(x: Tensor, y: Tensor, name: str) -> float:
    """CKA of two feature matrices [n, features] by the papers' formulas, in float64.

    The features are centred first, which alters neither HSIC: the formulas themselves lose their digits to a mean.
    """
    k, m = (f @ f.T for f in (v.double() - v.double().mean(dim=0) for v in (x, y)))
    hsic = biased_hsic if name == "cka" else unbiased_hsic
    return (hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt()).item()


def biased_hsic(k: Tensor, m: Tensor) -> Tensor:
    n = len(k)
    h = torch.eye(n).double() - 1 / n
    return (k @ h @ m @ h).trace() / (n - 1) ** 2


def unbiased_hsic(k: Tensor, m: Tensor) -> Tensor:
    """Song et al. 2012, equation 4."""
    n = len(k)
    k, m = k - k.diag().diag(), m - m.diag().diag()
    one = torch.ones(n).double()
    middle = (one @ k @ one) * (one @ m @ one) / ((n - 1) * (n - 2))
    return ((k @ m).trace() + middle - 2 / (n - 2) * (one @ k @ m @ one)) / (n * (n - 3))


def cka(x: Tensor, y: Tensor, name: str, block: int | None = None) -> float:
    """CKA of two values by the code under test."""
    sizes = block_sizes(len(x), block or len(x))
    vectors = []
    for value in (x, y):
        blocks = [gram(part) for part in value.split(sizes)]
        parts = [unit_vectors(k.unsqueeze(0), torch.tensor([e], dtype=torch.float64), METRICS[name]) for k, e in blocks]
        vectors.append(join_blocks(*zip(*parts, strict=True), METRICS[name]))
    return similarity(*vectors).item()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=list(METRICS))
def metric(request):
    return request.param


def related(n: int = 64, features: int = 40) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, features)
    return x, torch.tanh(x @ torch.randn(features, 30) / 4) + 0.3 * torch.randn(n, 30)


def test_one_block_agrees_with_the_textbook(metric):
    for n in (4, 5, 17, 64):
        x, y = related(n)
        assert cka(x, y, metric) == pytest.approx(textbook(x, y, metric), abs=1e-6)


def test_blocks_agree_with_the_textbook():
    x, y = related(192)
    halves = list(zip(x.split(64), y.split(64), strict=True))
    assert cka(x, y, "cka", 64) == pytest.approx(np.mean([textbook(a, b, "cka") for a, b in halves]), abs=1e-6)
    hsic = {
        pair: sum(unbiased_hsic(*[(f := (a, b)[i].double()) @ f.T for i in pair]) for a, b in halves)
        for pair in ((0, 1), (0, 0), (1, 1))
    }
    minibatch = hsic[0, 1] / (hsic[0, 0] * hsic[1, 1]).sqrt()
    assert cka(x, y, "cka-unbiased", 64) == pytest.approx(minibatch.item(), abs=1e-6)


def test_a_rotation_is_the_same_representation(metric):
    x, _ = related()
    rotation, _ = torch.linalg.qr(torch.randn(40, 40))
    assert cka(x, x @ rotation, metric) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("scale", "mean"), [(1e-3, 0), (1e3, 0), (1, 1000), (1e-3, 1), (1e-3, 10), (1e12, 0), (1e-12, 0)]
)
def test_scale_and_mean_do_not_matter(metric, scale, mean):
    x, y = related()
    moved = scale * x + mean
    assert cka(moved, y, metric) == pytest.approx(textbook(moved, y, metric), abs=1e-4)
    assert cka(x, scale * x, metric) == pytest.approx(1, abs=1e-6)


def test_values_whose_squares_overflow_are_compared_all_the_same(metric):
    x, y = related()
    assert cka(1e25 * x, y, metric) == pytest.approx(textbook(x, y, metric), abs=1e-5)


def test_half_precision_is_compared_in_full(metric):
    x, y = related()
    low = (30 * x + 3000).bfloat16()
    assert cka(low, y, metric) == pytest.approx(textbook(low, y, metric), abs=1e-4)


def test_independent_features_score_nothing_only_without_the_bias():
    pairs = [(torch.randn(64, 256), torch.randn(64, 256)) for _ in range(8)]
    assert np.mean([cka(x, y, "cka-unbiased") for x, y in pairs]) == pytest.approx(0, abs=0.02)
    assert np.mean([cka(x, y, "cka") for x, y in pairs]) == pytest.approx(0.79, abs=0.02)


def test_channels_last_maps_are_the_same_features(metric):
    x, y = torch.randn(16, 3, 4, 4), torch.randn(16, 8)
    assert cka(x.to(memory_format=torch.channels_last), y, metric) == pytest.approx(cka(x, y, metric), abs=1e-6)


@pytest.mark.parametrize(
    ("images", "block", "sizes"),
    [(512, 64, [64] * 8), (67, 64, [67]), (131, 64, [66, 65]), (3, 64, [3]), (1280, 256, [256] * 5), (10, 4, [5, 5])],
)
def test_no_block_is_a_small_remainder(images, block, sizes):
    assert block_sizes(images, block) == sizes


class Batches(TensorImages):
    """Images that come in batches of the loader's own choosing."""

    own = 0

    def batches(self, spec, size, start=0, stop=None):
        yield from self.tensor[start:stop].split(self.own)


def compared(plan: Plan, **options) -> np.ndarray:
    return Similarity(**options)(plan).similarity[0].matrix


@pytest.mark.parametrize("own", [1, 7, 64, 200])
def test_the_batches_of_the_loader_do_not_matter(metric, own):
    nets, images = (Plain(4), Plain(6)), torch.randn(67, 3, 8, 8)
    loader = Batches(images)
    object.__setattr__(loader, "own", own)
    options = {"metric": metric, "batch": 16}
    mine, theirs = (
        compared(plan_of(*nets, images=images), **options),
        compared(plan_of(*nets, images=loader), **options),
    )
    assert np.abs(mine - theirs).max() < 1e-6


def test_all_pairs_agree_with_the_textbook_on_the_values_of_the_networks(metric):
    a, b, images = Plain(4).eval(), Plain(6).eval(), torch.randn(32, 3, 8, 8)
    with torch.no_grad():
        values = [
            [net.conv1(images), net.relu1(net.conv1(images)), net.conv2(net.relu1(net.conv1(images)))] for net in (a, b)
        ]
    expected = [[textbook(x.flatten(1), y.flatten(1), metric) for y in values[1]] for x in values[0]]
    plan = plan_of(a, b, cuts=("conv1", "relu1", "conv2"), images=images)
    assert np.abs(compared(plan, metric=metric, batch=32) - expected).max() < 1e-5


def test_an_in_place_relu_does_not_reach_back(metric):
    torch.manual_seed(1)
    plain = Plain(4)
    inplace = Plain(4, inplace=True)
    inplace.load_state_dict(plain.state_dict())
    images = torch.randn(32, 3, 8, 8)
    a = compared(plan_of(plain, plain, images=images), metric=metric)
    b = compared(plan_of(inplace, inplace, images=images), metric=metric)
    assert np.array_equal(a, b)
    assert a[0, 1] < 0.999  # before and after the first ReLU


def test_a_model_beside_itself_is_alike_cut_by_cut(metric):
    net = Plain(4)
    plan = Similarity(metric=metric)(plan_of(net, net, images=torch.randn(64, 3, 8, 8)))
    assert np.diag(plan.similarity[0].matrix) == pytest.approx(1, abs=1e-6)


def test_a_gram_vector_is_addressed_by_its_cut_and_similarity_is_a_dot_product(metric):
    plan = Similarity(metric=metric)(plan_of(Plain(4), Plain(6), Plain(5), images=torch.randn(64, 3, 8, 8)))
    assert [(p.a, p.b) for p in plan.similarity] == [(0, 1), (0, 2), (1, 2)]
    for pair in plan.similarity:
        assert (pair.metric, pair.images, pair.matrix.shape) == (metric, 64, (len(CUTS), len(CUTS)))
        dots = plan.grams[pair.a].double() @ plan.grams[pair.b].double().T
        assert np.abs(pair.matrix - dots.numpy()).max() < 1e-12
    assert Similarity(metric=metric)(plan_of(Plain(), images=torch.randn(8, 3, 8, 8))).grams[0].shape[0] == len(CUTS)


def test_no_value_outlives_its_last_user():
    graph = graph_of(nn.Sequential(*[nn.Conv2d(3, 3, 1) for _ in range(10)]))
    values, alive = [], []

    class Watching(GramRunner):
        def run_node(self, n):
            value = super().run_node(n)
            gc.collect()
            alive.append(sum(v() is not None for v in values))
            values.append(weakref.ref(value))
            return value

    runner = Watching(graph, [n.name for n in graph.graph.nodes if n.op == "call_module"])
    runner.grams(torch.randn(8, 3, 4, 4))
    assert len(values) == 12
    assert max(alive) <= 2  # the images, which the caller holds, and the node's argument


def test_progress_counts_blocks_over_all_models():
    seen = []
    plan = plan_of(Plain(), Plain(), images=torch.randn(128, 3, 8, 8))
    Similarity(progress=lambda done, total: seen.append((done, total)))(plan)
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]


class Odd(nn.Module):
    def __init__(self, factor: float):
        super().__init__()
        self.factor = factor
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x) * self.factor + 2.5


def odd_plan(factor: float) -> Plan:
    graph = graph_of(Odd(factor))
    cuts = cuts_of(graph, "conv", "mul", "add")
    images = TensorImages(torch.randn(16, 3, 8, 8))
    return Plan((model("odd"),) * 2, images=images, graphs=(graph, graph), cuts=(cuts, cuts))


def test_where_all_images_look_the_same_similarity_is_undefined_and_said(metric):
    plan = Similarity(metric=metric)(odd_plan(0.0))
    matrix = plan.similarity[0].matrix
    assert np.isnan(matrix).tolist() == [[False, True, True], [True, True, True], [True, True, True]]
    assert "odd: at 'mul', 'add' the values are the same for all images, or infinite" in plan.notes[0]


def test_values_that_are_not_finite_are_refused_by_naming_the_cut(metric):
    with pytest.raises(ModelError, match="odd: the values at the cut 'mul', and those at the end, are not"):
        Similarity(metric=metric)(odd_plan(float("nan")))


class Padded(nn.Module):
    """Pads with minus infinity before a max-pool, as SAME padding does."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.pad(self.conv(x), (0, 1, 0, 1), value=-float("inf"))
        return nn.functional.max_pool2d(x, 3, 2)


def test_padding_with_infinity_leaves_out_its_own_cut_only(metric):
    graph = graph_of(Padded())
    cuts = cuts_of(graph, "conv", "pad", "max_pool2d")
    images = TensorImages(torch.randn(16, 3, 8, 8))
    plan = Plan((model("padded"),) * 2, images=images, graphs=(graph, graph), cuts=(cuts, cuts))
    matrix = Similarity(metric=metric)(plan).similarity[0].matrix
    assert np.isnan(matrix).tolist() == [[False, True, False], [True, True, True], [False, True, False]]


def test_too_few_images_and_unknown_metrics_are_refused():
    with pytest.raises(DataError, match="four images"):
        Similarity()(plan_of(Plain(), images=torch.randn(3, 3, 8, 8)))
    with pytest.raises(DataError, match="four images"):
        Similarity(images=3)(plan_of(Plain(), images=torch.randn(8, 3, 8, 8)))
    with pytest.raises(InputError, match="no measure of similarity") as caught:
        Similarity(metric="cka-unbias")(plan_of(Plain(), images=torch.randn(8, 3, 8, 8)))
    assert "'cka-unbiased'" in caught.value.hint
