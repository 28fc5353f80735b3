"""What is emitted computes what the graph computes, to the bit, and stands alone."""

import ast
import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from emitting import code, disturb, emit, largest_difference, plan_of
from nets import Small, Tokens, Windows
from torch import Tensor, nn

from stitchc.passes import AdapterUse, Chain, Codegen, Cut, Cuts, Hybrid, InputSpec, Model, Price, Value
from stitchc.passes.data.errors import TraceError
from stitchc.passes.emit.load import load_module
from stitchc.passes.graphs.compose import Part, compose

SIZE = (3, 8, 8)


class Writes(nn.Module):
    """In-place writes whose order matters: to a view, to a value that is read before and after."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        before = y * 2
        y[:, :2] = 1.5
        kept = y + before
        z = self.relu(y)
        y.mul_(3)
        return (kept * z + y).flatten(1)


class Twice(nn.Module):
    """A module of modules called twice, and one parameter under two names."""

    def __init__(self) -> None:
        super().__init__()
        self.block = nn.Sequential(nn.Conv2d(3, 3, 3, padding=1), nn.Tanh())
        self.first, self.second = nn.Linear(8, 8, bias=False), nn.Linear(8, 8, bias=False)
        self.second.weight = self.first.weight

    def forward(self, x: Tensor) -> Tensor:
        y = self.block(self.block(x) + x)
        return self.second(F.relu(self.first(y))).flatten(1)


class Own(nn.Module):
    """Layers called by their parameters, a subclass of a layer, parameters of the caller, several values across."""

    class Norm(nn.LayerNorm):
        def forward(self, x: Tensor) -> Tensor:
            x = F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps)
            return x.permute(0, 3, 1, 2)

    class Split(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(4, 6, 1)

        def forward(self, x: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
            a, b = self.conv(x).split([2, 4], dim=1)
            return a * scale, b

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.norm = self.Norm(4)
        self.split = self.Split()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(F.conv2d(x, self.conv.weight))
        a, b = self.split(x, self.scale)
        return torch.cat([a.amax((2, 3)), (x - b).mean((2, 3)), x.new_zeros(x.shape[0], 1)], 1)


class Dense(nn.Module):
    """Layers that read all values so far; the second writes to what it is given."""

    class Layer(nn.Module):
        def __init__(self, before: int, inplace: bool):
            super().__init__()
            self.act, self.conv = nn.ReLU(inplace), nn.Conv2d(before, 2, 1)

        def forward(self, *values: Tensor) -> Tensor:
            return self.conv(self.act(torch.cat(values, 1)))

    def __init__(self, inplace: bool):
        super().__init__()
        self.one, self.two, self.three = self.Layer(3, inplace), self.Layer(5, inplace), self.Layer(7, inplace)

    def forward(self, x: Tensor) -> Tensor:
        a = self.one(x)
        b = self.two(x, a)
        return torch.cat([x, a, b, self.three(x, a, b)], 1).flatten(1)


SMALL = {
    "small": (Small, SIZE),
    "windows": (Windows, SIZE),
    "tokens": (Tokens, SIZE),
    "writes": (Writes, SIZE),
    "twice": (Twice, SIZE),
    "own": (Own, SIZE),
    "dense": (lambda: Dense(False), SIZE),
    "dense-in-place": (lambda: Dense(True), SIZE),
}


@pytest.mark.parametrize("name", SMALL)
def test_emitted_is_exact(name, tmp_path):
    make, size = SMALL[name]
    torch.manual_seed(0)
    plan = plan_of(disturb(make()), size)
    text = (Codegen(tmp_path)(plan).folder / "model.py").read_text()
    assert largest_difference(plan.hybrid.graph, tmp_path, size) == 0
    assert max(map(len, code(text).splitlines())) <= 120


TORCHVISION = ["resnet18", "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_1"]
LARGE = ["resnet50", "alexnet", "densenet121", "swin_t", "vit_b_16", "convnext_tiny", "efficientnet_b0", "googlenet"]
LARGE += ["regnet_y_400mf", "mnasnet0_5", "maxvit_t", "swin_v2_t", "inception_v3"]


@pytest.mark.parametrize("name", TORCHVISION + [pytest.param(n, marks=pytest.mark.slow) for n in LARGE])
def test_torchvision_is_exact(name, tmp_path):
    from torchvision.models import get_model

    size = (3, 299, 299) if name == "inception_v3" else (3, 224, 224)
    torch.manual_seed(0)
    plan = plan_of(disturb(get_model(name, weights=None)), size)
    Codegen(tmp_path)(plan)
    assert largest_difference(plan.hybrid.graph, tmp_path, size) == 0


TIMM = ["levit_128s", "mobilevit_xxs", "mixer_s32_224", "deit_tiny_distilled_patch16_224", "convit_tiny"]
TIMM += ["swin_tiny_patch4_window7_224", "mvitv2_tiny", "maxvit_nano_rw_256", "coat_tiny", "volo_d1_224"]
TIMM += ["sequencer2d_s", "hrnet_w18_small"]


@pytest.mark.slow
@pytest.mark.parametrize("name", TIMM)
def test_timm_is_exact(name, tmp_path):
    import timm

    torch.manual_seed(0)
    network = timm.create_model(name)
    size = network.default_cfg["input_size"]
    plan = plan_of(disturb(network), size)
    Codegen(tmp_path)(plan)
    assert largest_difference(plan.hybrid.graph, tmp_path, size) == 0


@pytest.mark.parametrize(("name", "most"), [("resnet50", 110), ("swin_t", 215), ("densenet121", 240)])
def test_a_person_would_read_it(name, most, tmp_path):
    from torchvision.models import get_model

    text = emit(get_model(name, weights=None).eval(), (3, 224, 224), tmp_path)
    assert len(text.splitlines()) <= most
    assert "nn.Dropout" not in text  # each of theirs has the probability 0


@pytest.mark.slow
def test_resnet50_into_swin(tmp_path):
    """A front and a back of different families with an adapter between them, in at most 250 lines."""
    from torchvision.models import get_model

    plans = [plan_of(disturb(get_model(name, weights=None)), (3, 224, 224)) for name in ("resnet50", "swin_t")]
    adapter = plan_of(nn.Sequential(nn.Conv2d(512, 192, 1)), (512, 28, 28)).hybrid.graph
    turn = plan_of(Turn(), (192, 28, 28)).hybrid.graph
    front, back = (plan.hybrid.graph for plan in plans)
    parts = [
        Part("front", "Front", front, None, _output_of(front, "layer2")),
        Part("adapter", "Adapter", adapter),
        Part("turn", "Turn", turn),
        Part("back", "Back", back, _output_of(back, "features.2"), None),
    ]
    whole = compose(parts)
    text = emit(whole, (3, 224, 224), tmp_path)
    assert len(text.splitlines()) <= 250
    assert largest_difference(whole, tmp_path, (3, 224, 224)) == 0


class Turn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


def _output_of(graph, path):
    return next(n.name for n in graph.graph.nodes if path in n.meta.get("outputs_of", ()))


def test_keys_are_the_sources_own(tmp_path):
    network = disturb(Small())
    emit(network, SIZE, tmp_path)
    mine = load_module(tmp_path).state_dict()
    theirs = network.state_dict()
    assert set(mine) <= set(theirs)
    assert all(torch.equal(mine[key], theirs[key]) for key in mine)


def test_tied_parameters_stay_tied(tmp_path):
    emit(disturb(Twice()), SIZE, tmp_path)
    emitted = load_module(tmp_path)
    assert emitted.first.weight is emitted.second.weight
    header = (tmp_path / "model.safetensors").read_bytes()
    names = json.loads(header[8 : 8 + int.from_bytes(header[:8], "little")])
    assert "first.weight" in names and "second.weight" not in names


def test_same_plan_same_bytes(tmp_path):
    plan = plan_of(disturb(Tokens()), SIZE)
    for name in ("a", "b"):
        Codegen(tmp_path / name)(plan)
    for file in ("model.py", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_the_plans_graph_is_left_alone(tmp_path):
    plan = plan_of(disturb(Windows()), SIZE)
    before = str(plan.hybrid.graph.graph), sorted(plan.hybrid.graph.state_dict())
    Codegen(tmp_path)(plan)
    assert (str(plan.hybrid.graph.graph), sorted(plan.hybrid.graph.state_dict())) == before


def test_imports_torch_and_the_standard_library_alone(tmp_path):
    text = emit(disturb(Small()), SIZE, tmp_path)
    tree = ast.parse(text)
    names = [a.name for n in ast.walk(tree) if isinstance(n, ast.Import) for a in n.names]
    names += [n.module for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
    assert {name.split(".")[0] for name in names} <= {"torch", *sys.stdlib_module_names}


def test_loads_from_any_folder(tmp_path):
    emit(disturb(Small()), SIZE, tmp_path / "hybrid")
    script = "import sys, torch; sys.path.insert(0, sys.argv[1]); from model import load; m = load(); "
    script += "assert not m.training; print(m(torch.zeros(2, 3, 8, 8)).shape[0], 'stitchc' in sys.modules)"
    command = [sys.executable, "-c", script, str(tmp_path / "hybrid")]
    out = subprocess.run(command, cwd="/", capture_output=True, text=True, check=True).stdout
    assert out.split() == ["2", "False"]


def test_the_head_says_what_came_from_where(tmp_path):
    graph = plan_of(disturb(Small()), SIZE).hybrid.graph
    spec = InputSpec(SIZE, (0.5, 0.5, 0.5), (0.25, 0.25, 0.5))
    cuts = Cuts("single-tensor", (Cut(0, "relu", "layer1", Value((4, 8, 8), "NCHW")),))
    chain = Chain.pair((0, 0), (1, 0), "linear")
    plan = replace(
        plan_of(Small().eval(), SIZE),
        models=(Model("a", spec, licence="MIT"), Model("b", spec)),
        cuts=(cuts, cuts),
        hybrids=(
            Hybrid(
                "hybrid",
                chain,
                Price(params=56789, macs=1234567),
                (AdapterUse("linear", Price(params=1234)),),
                graph=graph,
            ),
        ),
    )
    Codegen(tmp_path)(plan)
    head = ast.get_docstring(ast.parse((tmp_path / "model.py").read_text()))
    assert head.startswith("""\
a and b, stitched.

front    a, up to layer1
adapter  linear, 1,234 parameters
back     b, after layer1

input    float32 [batch, 3, 8, 8], a batch of any size
pixels   in [0, 1], then (pixel - mean) / std; mean 0.5, std 0.25, 0.25, 0.5
takes    56,789 parameters, 1,234,567 multiply-adds an image
licence  MIT (a)
licence  not stated (b)
""")


def test_a_layer_that_no_constructor_makes_is_refused(tmp_path):
    plan = plan_of(disturb(Small()), SIZE)
    name = next(n.target for n in plan.hybrid.graph.graph.nodes if n.op == "call_module")

    class Odd(nn.Conv2d):
        pass

    owner, _, attribute = name.rpartition(".")
    setattr(plan.hybrid.graph.get_submodule(owner), attribute, Odd(3, 4, 3))
    with pytest.raises(TraceError, match="cannot be written as a constructor call"):
        Codegen(tmp_path / "out")(plan)
    assert not (tmp_path / "out").exists()
