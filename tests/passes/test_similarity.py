"""CKA is what its papers define, whatever the scale and mean of the features and however the images arrive."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
import torch
from small_nets import CUTS, Plain, cuts_of, graph_of, model, plan_of
from torch import Tensor, nn
from torch.fx import Interpreter

from stitchc.passes import Compare, Partition, Pipeline, Plan, Represent, Similarity, Trace
from stitchc.passes.compare.intervals import intervals
from stitchc.passes.data.errors import DataError, InputError, ModelError, PipelineError, QuantityError
from stitchc.passes.data.model import TensorImages
from stitchc.passes.numerics.gram import GramRunner, _gram_on_accelerator, _gram_on_cpu, gram, whole
from stitchc.passes.numerics.similarity import METRICS, block_sizes, join_blocks, similarity, unit_vectors
from stitchc.passes.represent.memory import live_bytes
from stitchc.passes.represent.prepare import for_comparison


def textbook(x: Tensor, y: Tensor, name: str) -> float:
    """The metric of two feature matrices [n, features] by the papers' formulas, in float64.

    The features are centred first, which alters none of them: the formulas themselves lose their digits to a mean.
    """
    x, y = (v.double() - v.double().mean(dim=0) for v in (x, y))
    if name == "procrustes":
        return ((x / x.norm()).T @ (y / y.norm())).svd().S.sum().item()
    k, m = (gaussian(f) if name == "rbf-cka" else f @ f.T for f in (x, y))
    hsic = biased_hsic if name == "cka" else unbiased_hsic
    return (hsic(k, m) / (hsic(k, k) * hsic(m, m)).sqrt()).item()


def gaussian(x: Tensor) -> Tensor:
    """With the median of the squared distances of different images as twice the variance."""
    squares = (x[:, None] - x[None]).square().sum(dim=-1)
    between = squares[torch.triu(torch.ones(len(x), len(x)), 1) > 0].sort().values
    return torch.exp(-squares / (2 * between[(len(between) - 1) // 2]))


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
        blocks = [whole(gram(part)) for part in value.split(sizes)]
        parts = [unit_vectors(k.unsqueeze(0), e.reshape(1), METRICS[name]) for k, e in blocks]
        vectors.append(join_blocks(*zip(*parts, strict=True), METRICS[name]))
    return similarity(*vectors, METRICS[name], sizes).item()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


@pytest.fixture(params=list(METRICS))
def metric(request):
    return request.param


def rounding(name: str) -> float:
    """The square root of a small eigenvalue keeps half of its digits."""
    return 1e-4 if name == "procrustes" else 1e-6


def related(n: int = 64, features: int = 40) -> tuple[Tensor, Tensor]:
    x = torch.randn(n, features)
    return x, torch.tanh(x @ torch.randn(features, 30) / 4) + 0.3 * torch.randn(n, 30)


def test_one_block_agrees_with_the_textbook(metric):
    for n in (4, 5, 17, 64):
        x, y = related(n)
        assert cka(x, y, metric) == pytest.approx(textbook(x, y, metric), abs=rounding(metric))


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
    assert cka(1e25 * x, y, metric) == pytest.approx(textbook(x, y, metric), abs=rounding(metric))


def test_half_precision_is_compared_in_full(metric):
    x, y = related()
    low = (30 * x + 3000).bfloat16()
    assert cka(low, y, metric) == pytest.approx(textbook(low, y, metric), abs=1e-4)


def test_independent_features_score_nothing_only_without_the_bias():
    pairs = [(torch.randn(64, 256), torch.randn(64, 256)) for _ in range(8)]
    assert np.mean([cka(x, y, "cka-unbiased") for x, y in pairs]) == pytest.approx(0, abs=0.02)
    assert np.mean([cka(x, y, "cka") for x, y in pairs]) == pytest.approx(0.79, abs=0.02)
    many = torch.randn(512, 256), torch.randn(512, 256)
    assert abs(cka(*many, "cka-unbiased", 64)) < 0.03 and cka(*many, "cka", 64) > 0.75


def test_channels_last_maps_are_the_same_features(metric):
    x, y = torch.randn(16, 3, 4, 4), torch.randn(16, 8)
    assert cka(x.to(memory_format=torch.channels_last), y, metric) == pytest.approx(cka(x, y, metric), abs=1e-6)


def test_the_metric_is_symmetric(metric):
    x, y = related(67)
    assert cka(x, y, metric, 16) == pytest.approx(cka(y, x, metric, 16), abs=1e-12)


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
    read = (lambda v: v.mean(dim=(2, 3))) if metric == "cka-pooled" else (lambda v: v.flatten(1))
    expected = [[textbook(read(x), read(y), metric) for y in values[1]] for x in values[0]]
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
        dots = plan.representations[pair.a].vectors.double() @ plan.representations[pair.b].vectors.double().T
        if METRICS[metric].cosine:
            assert np.abs(pair.matrix - dots.numpy()).max() < 1e-12
    assert Similarity(metric=metric)(plan_of(Plain(), images=torch.randn(8, 3, 8, 8))).representations[0].vectors.shape[
        0
    ] == len(CUTS)


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


class Residual(nn.Module):
    """A block with what folding BatchNorm must leave alone: a cut before one, and a convolution that is shared."""

    def __init__(self):
        super().__init__()
        self.stem, self.bn = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.conv, self.norm = nn.Conv2d(6, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.shared, self.last = nn.Conv2d(6, 6, 1), nn.BatchNorm2d(6)
        self.relu = nn.ReLU()  # one module: where it may overwrite its argument, and where not
        self.head, self.end = nn.Linear(6 * 64, 8), nn.BatchNorm1d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.stem(x))
        x = x + self.relu(x)
        x = x + self.relu(self.norm(self.conv(x)))
        x = self.last(self.shared(self.shared(x)))
        return self.end(self.head(x.view(x.size(0), -1)))


def test_the_copy_that_is_compared_has_the_values_of_the_network_at_its_cuts():
    torch.manual_seed(2)
    net = Residual()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
                for tensor in (module.weight, module.bias, module.running_mean):
                    tensor.uniform_(-2, 2)
                module.running_var.uniform_(0.1, 5)
    graph = graph_of(net)
    cuts = ["stem", "bn", "relu", "add", "relu_1", "add_1", "last", "view", "end"]
    copy, images = for_comparison(graph, cuts), torch.randn(8, 3, 8, 8)
    seen = [{}, {}]
    for values, source in zip(seen, (graph, copy), strict=True):

        class Watching(Interpreter):
            def run_node(self, n, values=values):
                value = super().run_node(n)
                values[n.name] = value.clone() if isinstance(value, Tensor) else value
                return value

        with torch.no_grad():
            Watching(source).run(images if source is graph else images.contiguous(memory_format=torch.channels_last))
    for name in cuts:
        torch.testing.assert_close(seen[1][name], seen[0][name], rtol=1e-5, atol=1e-5)
    assert {"norm", "end"} <= set(seen[1]) and not {"conv", "head"} & set(seen[1]), "folded where it can be"
    assert "shared" in seen[1] and type(graph.norm) is nn.BatchNorm2d, "and nowhere else"


def test_nothing_behind_the_last_cut_runs():
    copy = for_comparison(graph_of(Plain()), ["relu1", "conv1"])
    assert [n.name for n in copy.graph.nodes] == ["x", "conv1", "relu1", "output"]
    assert not hasattr(copy, "head")


def traced(*modules: nn.Module, images: Tensor) -> Plan:
    return Pipeline([Trace(), Partition()])(Plan.of(*modules, images=images))


def test_the_memory_that_is_told_beforehand_is_what_the_values_take():
    plan = traced(Plain(4), Plain(4), images=torch.randn(16, 3, 8, 8))
    assert live_bytes(plan.graphs[0]) == 4 * (4 * 64 + 4 * 64)  # conv1 and what it becomes: relu1, then conv2 is less
    inplace = traced(Plain(4, inplace=True), Plain(4), images=torch.randn(16, 3, 8, 8))
    assert live_bytes(inplace.graphs[0]) == 4 * (3 * 64 + 4 * 64)
    small, large = (Similarity(batch=block).estimate(plan) for block in (4, 16))
    assert small < large


def test_blocks_are_halved_until_memory_suffices_and_it_is_said():
    plan = traced(Plain(8), Plain(4), images=torch.randn(64, 3, 8, 8))
    enough = Similarity(batch=16).estimate(plan)
    same = Similarity(batch=64, max_memory=enough)(plan)
    assert same.similarity[0] == Similarity(batch=16)(plan).similarity[0]
    assert "blocks of 16 images, not 64" in same.notes[0]
    assert Similarity(batch=16, max_memory=enough)(plan).notes == ()
    with pytest.raises(QuantityError, match="four images at a time") as caught:
        Similarity(max_memory=1000)(plan)
    assert "`max_memory=" in caught.value.hint


def test_intervals_are_as_wide_as_estimates_scatter():
    """Over images drawn anew, an interval of 68 % spans two standard deviations of the estimate."""
    mixing, sizes, metric = torch.randn(20, 15), block_sizes(128, 64), METRICS["cka-unbiased"]
    found, widths = [], []
    for _ in range(16):
        x = torch.randn(128, 20)
        y = torch.tanh(x @ mixing / 3) + torch.randn(128, 15)
        vectors = []
        for value in (x, y):
            blocks = [whole(gram(part)) for part in value.split(sizes)]
            parts = [unit_vectors(k.unsqueeze(0), e.reshape(1), metric) for k, e in blocks]
            vectors.append(join_blocks(*zip(*parts, strict=True), metric))
        low, high = intervals(*vectors, metric, sizes, 0.68, seed=0, resamples=60)
        found.append(similarity(*vectors, metric, sizes).item())
        widths.append((high - low).item())
        assert low < found[-1] < high
    assert np.mean(widths) == pytest.approx(2 * np.std(found), rel=0.3)


def test_intervals_come_with_the_pair_and_are_the_same_for_the_same_seed():
    plan = plan_of(Plain(4), Plain(6), images=torch.randn(64, 3, 8, 8))
    (pair,) = Similarity(batch=32, confidence=0.9)(plan).similarity
    assert pair.confidence == 0.9 and (pair.low <= pair.matrix).all() and (pair.matrix <= pair.high).all()
    assert pair == Similarity(batch=32, confidence=0.9)(plan).similarity[0]
    assert Similarity(batch=32)(plan).similarity[0].low is None
    with pytest.raises(InputError, match="procrustes has no confidence interval"):
        Similarity(metric="procrustes", confidence=0.9)(plan)
    with pytest.raises(InputError, match="too small to resample"):
        Similarity(batch=4, confidence=0.9)(plan)


def test_an_accelerator_is_told_nothing_that_differs(metric):
    """What runs there never looks at a figure; here it runs on the CPU, where both ways must agree."""
    for x in (torch.randn(32, 40), 1e-3 * torch.randn(32, 40) + 1, 1e20 * torch.randn(32, 40)):
        here, there = (whole(take(x)) for take in (_gram_on_cpu, _gram_on_accelerator))
        a, b = (unit_vectors(k.unsqueeze(0), e.reshape(1), METRICS[metric])[0] for k, e in (here, there))
        assert (a @ b.T).item() == pytest.approx(1, abs=1e-6)


def test_vectors_of_other_blocks_never_meet():
    plan = traced(Plain(8), Plain(4), images=torch.randn(64, 3, 8, 8))
    small, large = (Represent(batch=batch)(plan).representations for batch in (16, 32))
    assert Compare()(replace(plan, representations=small)).similarity == Similarity(batch=16)(plan).similarity
    with pytest.raises(PipelineError, match="represented in 2 ways"):
        Compare()(replace(plan, representations=(small[0], large[1])))
