"""Healing brings a back to what its parent computes, changes nothing where nothing is wrong, never makes it worse."""

import copy
from dataclasses import replace

import pytest
import torch
from fitted import IMAGES, stitched
from memory import following
from nets import Small, randomised
from torch import Tensor, nn

from stitchc.passes import Heal, InputSpec, TensorImages
from stitchc.passes.data.chain import Chain
from stitchc.passes.data.errors import InputError
from stitchc.passes.data.healing import Options
from stitchc.passes.graphs.attention import written_out
from stitchc.passes.graphs.compose import Part, compose
from stitchc.passes.heal.blockwise import heal, plan_steps
from stitchc.passes.heal.gauss_newton import gauss_newton_step
from stitchc.passes.heal.probe import Probe
from stitchc.passes.trace.export import export
from stitchc.passes.trace.record import record

CHAIN = Chain.pair((0, 0), (0, 0), "identity")  # of one model; which cut it is plays no part in healing


def seam(model: nn.Module, at: str, size=(3, 8, 8)):
    """A model's graph, and the same cut at a node and joined again: with weights of its own."""
    graph = record(model.eval(), size)
    return graph, compose([Part("front", "Front", graph, end=at), Part("back", "Back", graph, start=at)])


def probe_of(graph, images: Tensor, **options) -> Probe:
    size = tuple(images.shape[1:])
    return Probe([graph], [InputSpec(size, (0.0,) * 3, (1.0,) * 3)], TensorImages(images), Options(**options))


def shaken(graph, by: float, part: str = "back.") -> None:
    """Noise of this share of each weight tensor's own spread."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, tensor in graph.named_parameters():
            if name.startswith(part):
                tensor += by * tensor.std(correction=0) * torch.randn(tensor.shape, generator=generator)


def distance(a, b, images: Tensor) -> float:
    with torch.no_grad():
        want = b(images)
        return float((a(images) - want).norm() / (want - want.mean(0)).norm())


class PreNorm(nn.Module):
    """Attention and an MLP behind layer norms, with layer scale, a permuted branch and tokens at the end."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 2, 2)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, width))
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.drop = nn.Dropout(0.1)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(b, h * w, 3 * c).chunk(3, dim=-1)
        y = nn.functional.scaled_dot_product_attention(q, k, v)
        x = x + (self.drop(self.out(y)) * self.scale).reshape(b, h, w, c).roll(1, 2)
        tokens = self.norm2(x).reshape(b, h * w, c)  # the batch size reaches this block beside x
        x = x + self.down(nn.functional.gelu(self.up(tokens))).reshape(b, h, w, c)
        return self.head(x.mean((1, 2)))


class Convs(nn.Module):
    """Grouped, depthwise, dilated and transposed convolutions, a GroupNorm, and no non-linearity at all."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.grouped = nn.Conv2d(8, 8, 3, stride=2, padding=1, groups=2)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8, bias=False)
        self.bn = nn.BatchNorm2d(8)
        self.transposed = nn.ConvTranspose2d(8, 8, 3, stride=2, padding=1, output_padding=1, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn(self.depthwise(self.grouped(self.stem(x))))
        return self.head(self.transposed(x).mean((2, 3)))


class TorchAttention(nn.Module):
    """torch's own attention, batch first and last, the second after its sum's norm."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 2, 2)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.first = nn.MultiheadAttention(width, 2, batch_first=True)
        self.last = nn.MultiheadAttention(width, 4, bias=False)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).mT
        y = self.norm1(x)
        x = x + self.first(y, y, y, need_weights=False)[0]
        y = x.transpose(0, 1)
        x = self.norm2(x + self.last(y, y, y)[0].transpose(0, 1))
        return self.head(x.mean(1))


class Alone(nn.Module):
    """Attention that no sum goes around: its inner values are all that crosses."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 2, 2)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).mT
        return self.head(self.attention(x, x, x)[0].mean(1))


NETS = {
    "small": (Small, "stem"),
    "pre-norm": (PreNorm, "permute"),
    "convs": (Convs, "stem"),
    "torch's attention": (TorchAttention, "flatten"),
    "attention alone": (Alone, "flatten"),
}


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("what", ["adapter", "back", "all"])
def test_where_nothing_is_wrong_nothing_changes(net, what):
    kind, at = NETS[net]
    graph, joined = seam(randomised(kind()), at)
    before = copy.deepcopy(joined)
    healing = heal(joined, probe_of(graph, IMAGES), CHAIN, what)
    torch.testing.assert_close(joined(IMAGES), before(IMAGES), rtol=1e-5, atol=1e-5)
    assert healing.agreement == healing.healed_agreement == 1


@pytest.mark.parametrize("net", NETS)
def test_a_back_that_was_shaken_comes_back(net):
    kind, at = NETS[net]
    torch.manual_seed(0)
    graph, joined = seam(randomised(kind()), at)
    shaken(joined, 0.1)
    hurt = distance(joined, graph, IMAGES)
    heal(joined, probe_of(graph, IMAGES, sweeps=1, ridges=(1e-6, 1e-3)), CHAIN)
    unseen = torch.randn(64, 3, 8, 8, generator=torch.Generator().manual_seed(9))
    assert distance(joined, graph, unseen) < 0.2 * hurt


class Viewed(nn.Module):
    """Maps are flattened by `view`, which refuses what does not lie in memory as it is numbered."""

    def __init__(self):
        super().__init__()
        self.stem, self.spatial = nn.Conv2d(3, 4, 3, 2, 1), nn.Conv2d(4, 8, 3, 2, 1, groups=4)
        self.head = nn.Linear(32, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x.view(len(x), 4, -1).view(len(x), 4, 4, 4)
        x = self.spatial(x.relu()).relu()
        return self.head(x.view(len(x), -1))


def test_a_back_that_views_its_maps_as_rows_comes_back():
    graph, joined = seam(randomised(Viewed()), "stem")
    shaken(joined, 0.1)
    hurt = distance(joined, graph, IMAGES)
    targets = [node.target for node in joined.graph.nodes]
    heal(joined, probe_of(graph, IMAGES, ridges=(1e-6, 1e-3)), CHAIN)
    assert distance(joined, graph, IMAGES) < 0.2 * hurt
    assert [node.target for node in joined.graph.nodes] == targets and "view" in targets


def test_a_graph_that_begins_with_its_parameters_is_read_too():
    """As those of torch.export do: images are loaded although the input is not the first node."""
    graph = export(randomised(Small()).eval(), (3, 8, 8))
    assert next(iter(graph.graph.nodes)).op == "get_attr"
    at = next(node.name for node in graph.graph.nodes if "aten.conv" in str(node.target))
    joined = compose([Part("front", "Front", graph, end=at), Part("back", "Back", graph, start=at)])
    shaken(joined, 0.1)
    probe = probe_of(graph, IMAGES)
    held = [chunk.start + image for chunk in probe.held_out for image in chunk.members]
    with torch.no_grad():
        same = (joined(IMAGES).argmax(1) == graph(IMAGES).argmax(1))[held].float().mean()
    assert heal(joined, probe, CHAIN).agreement == pytest.approx(float(same))


def test_attention_written_out_computes_the_same_on_the_same_weights():
    graph = record(randomised(TorchAttention()).eval(), (3, 8, 8))
    written = written_out(graph)
    called = {type(written.get_submodule(n.target)) for n in written.graph.nodes if n.op == "call_module"}
    assert nn.MultiheadAttention not in called and written_out(written) is written
    with torch.no_grad():
        torch.testing.assert_close(written(IMAGES), graph(IMAGES))
    mine, own = (dict(network.named_parameters()) for network in (written, graph))
    assert mine.keys() == own.keys() and all(mine[name] is own[name] for name in own)


def test_the_projections_of_torch_s_attention_are_healed():
    graph, joined = seam(randomised(TorchAttention()), "flatten")
    shaken(joined, 0.1)
    before = {name: tensor.clone() for name, tensor in joined.named_parameters()}
    healing = heal(joined, probe_of(graph, IMAGES), CHAIN)
    changed = {name for name, tensor in joined.named_parameters() if not torch.equal(tensor, before[name])}
    assert {f"back.first.{name}" for name in ("in_proj_weight", "in_proj_bias", "out_proj.weight")} <= changed
    assert {"back.last.in_proj_weight", "back.last.out_proj.weight"} <= changed
    assert healing.healed_divergence < healing.divergence


def test_on_a_linear_network_one_sweep_reaches_the_least_squares_optimum():
    """A matrix between a seam that adds noise and a fixed end: against numpy's dense solution."""
    generator = torch.Generator().manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Linear(6, 4))
    graph, joined = seam(model, "_1", size=(3, 2, 2))
    images = torch.randn(200, 3, 2, 2, generator=generator)
    with torch.no_grad():  # the front gives something else than the back was trained on
        joined.get_submodule("front.1").weight += 0.3 * torch.randn(6, 12, generator=generator)
        seen = joined.get_submodule("front.1")(images.flatten(1))
        wanted = graph(images)
    scale = heal(joined, probe_of(graph, images, sweeps=1, ridges=(1e-9,)), CHAIN).calibrated.scale
    design = torch.cat([seen, torch.ones(200, 1)], 1).double()
    best = scale * torch.linalg.lstsq(design, wanted.double()).solution
    back = joined.get_submodule("back.2")
    torch.testing.assert_close(back.weight.double(), best[:6].T, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(back.bias.double(), best[6], rtol=1e-3, atol=1e-4)


def test_a_branch_makes_up_for_the_error_of_the_shortcut():
    """The sum is right although the shortcut is not: the branch sees all that it needs to correct it."""

    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem, self.branch, self.head = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
            self.bn = nn.BatchNorm2d(4)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            return self.head(torch.relu(self.bn(self.branch(x)) + x)).mean((2, 3))

    graph, joined = seam(randomised(Sum()), "stem")
    with torch.no_grad():  # what arrives is turned and scaled: invertible, but nothing like the parent's
        stem = joined.get_submodule("front.stem")
        turn = torch.randn(4, 4, generator=torch.Generator().manual_seed(0)) + 2 * torch.eye(4)
        stem.weight.copy_((turn @ stem.weight.flatten(1)).reshape(stem.weight.shape))
        stem.bias.copy_(turn @ stem.bias)
    heal(joined, probe_of(graph, IMAGES, sweeps=1, ridges=(1e-9,)), CHAIN)
    assert distance(joined, graph, IMAGES) < 1e-3


def test_never_worse_on_the_held_out_images():
    graph, joined = seam(randomised(Small()), "stem")
    shaken(joined, 1.0, "front.")
    healing = heal(joined, probe_of(graph, IMAGES), CHAIN)
    path = [healing.divergence, *(block.divergence for block in healing.blocks)]
    assert path == sorted(path, reverse=True)
    assert len(healing.blocks) == 3 and healing.held_out == 16


def test_the_pass_changes_the_back_only_and_neither_the_plan_it_was_given_nor_the_parents():
    plan = stitched(randomised(Small(4)), randomised(Small(6)), "blocks.0", "blocks.0", "linear")
    before = {k: v.clone() for k, v in plan.hybrid.graph.state_dict().items()}
    parents = [{k: v.clone() for k, v in graph.state_dict().items()} for graph in plan.graphs]
    healed = Heal()(plan)
    after = healed.hybrid.graph.state_dict()
    changed = {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])}
    assert changed == {"back"} and before.keys() == after.keys()
    assert all(torch.equal(v, plan.hybrid.graph.state_dict()[k]) for k, v in before.items())
    for graph, state in zip(plan.graphs, parents, strict=True):
        assert all(torch.equal(v, graph.state_dict()[k]) for k, v in state.items())
    again = Heal()(plan)
    assert again.hybrid == healed.hybrid
    assert all(torch.equal(v, after[k]) for k, v in again.hybrid.graph.state_dict().items())


@pytest.mark.parametrize(("what", "parts"), [("adapter", {"adapter"}), ("all", {"front", "adapter", "back"})])
def test_what_changes_is_what_was_asked_for(what, parts):
    plan = stitched(randomised(Small(4)), randomised(Small(6)), "blocks.0", "blocks.0", "linear")
    before, after = plan.hybrid.graph.state_dict(), Heal(heal=what)(plan).hybrid.graph.state_dict()
    assert {k.split(".")[0] for k in before if not torch.equal(before[k], after[k])} == parts


def test_nothing_is_healed_on_noise_or_when_nothing_is_asked_for():
    plan = stitched(randomised(Small(4)), randomised(Small(6)), "blocks.0", "blocks.0", "linear")
    assert Heal(heal="none")(plan) is plan
    noise = replace(plan, images=replace(plan.images, noise=True))
    assert Heal()(noise) is noise


def test_values_that_lie_in_files_give_the_same_weights():
    graph, joined = seam(randomised(Small()), "stem")
    shaken(joined, 0.3)
    other = copy.deepcopy(joined)
    heal(joined, probe_of(graph, IMAGES), CHAIN)
    probe = probe_of(graph, IMAGES)
    probe.memory.limit = 1000
    heal(other, probe, CHAIN)
    assert all(torch.equal(a, b) for a, b in zip(joined.parameters(), other.parameters(), strict=True))


def test_parents_values_serve_the_next_hybrid_too():
    graph, joined = seam(randomised(Small()), "stem")
    shaken(joined, 0.3)
    other = copy.deepcopy(joined)
    size = tuple(IMAGES.shape[1:])
    probe = Probe([graph], [InputSpec(size, (0.0,) * 3, (1.0,) * 3)], TensorImages(IMAGES), keep=True)
    first, second = heal(joined, probe, CHAIN), heal(other, probe, CHAIN)
    assert first == second


@pytest.mark.parametrize(("option", "word"), [("heal", "bck"), ("heal_target", "mean")])
def test_a_word_that_means_nothing_is_refused(option, word):
    plan = stitched(randomised(Small(4)), randomised(Small(6)), "blocks.0", "blocks.0", "linear")
    with pytest.raises(InputError, match=word):
        Heal(**{option: word})(plan)


class Distances(nn.Module):
    """A block with an operator that torch has no forward-mode derivative of."""

    def __init__(self):
        super().__init__()
        self.stem, self.inner, self.head = nn.Linear(12, 6), nn.Linear(6, 6), nn.Linear(4, 4)
        self.register_buffer("points", torch.randn(4, 6, generator=torch.Generator().manual_seed(2)))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cdist(self.inner(self.stem(x.flatten(1))), self.points))


def test_a_block_without_a_forward_derivative_is_refitted_and_not_polished():
    graph, joined = seam(randomised(Distances()), "stem", size=(3, 2, 2))
    images = IMAGES[:, :, :2, :2].contiguous()
    shaken(joined, 0.3)
    probe = probe_of(graph, images)
    step = plan_steps(joined, probe, CHAIN, "back")[0]
    with torch.no_grad():
        assert not gauss_newton_step(probe.values(joined, 0), probe, CHAIN, step.block, step.end)
    healing = heal(joined, probe_of(graph, images), CHAIN)
    assert healing.blocks[0].kept and healing.healed_divergence < healing.divergence


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, RuntimeError, NotImplementedError])
def test_whatever_else_goes_wrong_in_a_step_is_told(monkeypatch, error):
    def failing(*_):
        raise error("DefaultCPUAllocator: can't allocate memory")

    graph, joined = seam(randomised(Small()), "stem")
    shaken(joined, 0.3)
    monkeypatch.setattr("stitchc.passes.heal.gauss_newton.jvp", failing)
    with pytest.raises(error, match="can't allocate"):
        heal(joined, probe_of(graph, IMAGES), CHAIN)


def test_healing_takes_no_more_memory_than_it_is_given():
    graph, joined = seam(randomised(Small()), "stem")
    shaken(joined, 0.3)
    other = copy.deepcopy(joined)
    with following() as free:
        heal(joined, probe_of(graph, IMAGES), CHAIN)
    limit = 400_000
    with following() as memory:
        healing = heal(other, probe_of(graph, IMAGES, max_memory=limit), CHAIN)
    assert memory.peak_bytes <= limit < free.peak_bytes
    assert healing.healed_divergence < healing.divergence
