"""A graph computes what its model computes, at any batch size, and runs on torch alone."""

import gc
from collections import Counter

import pytest
import torch
from nets import Caches, Residual, Small, Tokens, Windows, randomised
from torch import nn

from stitchc import zoo
from stitchc.passes import Plan
from stitchc.passes.data.errors import TraceError
from stitchc.passes.data.scores import choose
from stitchc.passes.graphs.conventions import dependencies, is_scalar, writes_in_place
from stitchc.passes.trace import Trace, known_output, recorder, trace
from stitchc.passes.trace.record import record
from stitchc.passes.trace.recorder import is_leaf


@pytest.mark.parametrize("kind", [Small, Windows, Tokens, Caches])
def test_the_graph_is_the_model_at_every_batch_size(kind):
    model = randomised(kind())
    graph = trace(model, (3, 8, 8), "record")
    for batch in (1, 2, 5):
        x = torch.randn(batch, 3, 8, 8)
        assert torch.equal(graph(x.clone()), model(x.clone()))


@pytest.mark.parametrize("kind", [Small, Windows, Tokens])
def test_every_leaf_is_a_class_of_torch_nn_and_every_function_is_torchs(kind):
    graph = trace(randomised(kind()), (3, 8, 8), "record")
    for node in graph.graph.nodes:
        if node.op == "call_module":
            assert is_leaf(graph.get_submodule(node.target))
        if node.op == "call_function":
            assert node.target.__module__.split(".")[0] in ("torch", "_operator", "torch._C._nn", "builtins")


def test_tracing_leaves_no_mark_on_the_model():
    model = Caches()
    before = set(vars(model))
    trace(model, (3, 8, 8), "record")
    Trace(check=(1,))(Plan.of(model, images=torch.zeros(2, 3, 8, 8)))  # by which it is run, too
    assert model.cache is None and set(vars(model)) == before


class Scaled(nn.Module):
    """Multiplies by a tensor that is neither a parameter nor a buffer."""

    def __init__(self, cached: bool):
        super().__init__()
        self.head, self.by = nn.Linear(3, 3), torch.arange(1.0, 4.0)
        if cached:
            self.by = self.head.weight[0] * 2  # has a gradient's history

    def forward(self, x):
        return self.head(x.mean((2, 3)) * self.by)


@pytest.mark.parametrize("cached", [False, True])
def test_a_plain_tensor_of_the_model_keeps_its_numbers(cached):
    model, x = Scaled(cached).eval(), torch.randn(2, 3, 8, 8)
    assert torch.equal(trace(model, (3, 8, 8), "record")(x), model(x))


def test_what_a_model_kept_from_an_earlier_run_keeps_its_numbers():
    model, x = Caches().eval(), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        want = model(x)
    assert torch.equal(trace(model, (3, 8, 8), "record")(x), want)


def test_shapes_name_the_batch_and_what_is_folded_into_it():
    graph = trace(randomised(Windows()), (3, 8, 8), "record").graph
    shapes = [n.meta["shape"] for n in graph.nodes if "shape" in n.meta]
    assert shapes[0] == ("N", 3, 8, 8)
    assert ("16*N", 4, 6) in shapes


@pytest.mark.parametrize("frontend", ["record", "export"])
def test_the_batch_size_is_asked_for_in_one_way(frontend):
    graph = trace(randomised(Tokens()), (3, 8, 8), frontend).graph
    asked = [n for n in graph.nodes if is_scalar(n) and n.op != "call_function"]
    assert [(n.op, n.target, n.args[1]) for n in asked] == [("call_method", "size", 0)]
    assert not [n for n in graph.nodes if is_scalar(n) and isinstance(n.target, torch._ops.OpOverload)]


class Several(Small):
    def forward(self, x):
        scores = super().forward(x)
        return {"aux": scores * 2, "out": scores}


@pytest.mark.parametrize("frontend", ["record", "export"])
def test_of_several_outputs_the_scores_are_taken_and_that_is_said(frontend):
    model = randomised(Several())
    graph = trace(model, (3, 8, 8), frontend)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(graph(x.clone()), model(x.clone())["out"])
    assert graph.meta["notes"] == ("the model returns aux [5], out [5]; 'out' is taken",)
    other = trace(choose(model, "aux"), (3, 8, 8), frontend)
    assert torch.equal(other(x.clone()), model(x.clone())["aux"])


def test_integers_of_the_batch_size_are_marked():
    graph = trace(randomised(Tokens()), (3, 8, 8), "record").graph
    scalars = [n for n in graph.nodes if is_scalar(n)]
    assert [n.target for n in scalars] == ["size"]
    assert all("shape" not in n.meta for n in scalars)


def test_what_is_computed_from_nothing_becomes_a_buffer():
    graph = trace(randomised(Windows()), (3, 8, 8), "record")
    assert not any(writes_in_place(n) for n in graph.graph.nodes)
    mask = dict(graph.named_buffers())["_constant0"]
    assert mask[0, :4].eq(0).all() and mask[0, 4:].eq(1).all()


def test_values_know_the_modules_that_they_leave():
    graph = trace(randomised(Small()), (3, 8, 8), "record").graph
    ends = [n.meta["outputs_of"] for n in graph.nodes if len(n.meta.get("outputs_of", ())) > 1]
    assert ends == [("blocks.0.relu", "blocks.0"), ("blocks.1.relu", "blocks.1", "blocks")]
    conv = next(n for n in graph.nodes if n.target == "blocks.1.conv1")
    assert conv.meta["scopes"] == (("blocks", "Sequential"), ("blocks.1", "Residual"))


def test_a_reader_depends_on_writes_through_views():
    graph = torch.fx.Graph()
    x = graph.placeholder("input")
    base = graph.call_method("clone", (x,))
    view = graph.call_method("view", (base, -1))
    write = graph.call_method("zero_", (view,))
    read = graph.call_method("sum", (base,))
    graph.output(read)
    assert write in dependencies(graph)[read]


class Branches(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


class Pair(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)), x


class Noisy(nn.Module):
    def forward(self, x):
        return (x + torch.rand_like(x)).mean((2, 3))


def test_branching_on_values_is_refused_with_the_reason():
    with pytest.raises(TraceError, match="depends on the values of its input"):
        trace(Branches(), (3, 8, 8), "record")


def test_of_several_outputs_the_only_row_an_image_is_taken_and_said():
    plan = Trace(frontend="record")(Plan.of(Pair(), images=torch.randn(2, 3, 8, 8)))
    assert any("the model returns 0 [3], 1 [3, 8, 8]; '0' is taken" in note for note in plan.notes)


def test_a_model_that_rolls_dice_is_refused():
    with pytest.raises(TraceError, match="other scores when it sees them again"):
        Trace(frontend="record")(Plan.of(Noisy(), images=torch.randn(2, 3, 8, 8)))


def test_a_hooked_leaf_is_opened():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model[0].register_forward_hook(lambda module, inputs, out: out * 2)
    graph = trace(model, (3, 8, 8), "record")
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(graph(x), model(x))


def test_a_model_given_twice_is_traced_once():
    model = randomised(Residual(3))
    plan = Trace(frontend="record")(Plan.of(model, model, images=torch.randn(2, 3, 8, 8)))
    assert plan.graphs[0] is plan.graphs[1]


@pytest.mark.parametrize("kind", [Small, Windows, Tokens])
def test_the_exported_graph_is_the_model_too(kind):
    model = randomised(kind())
    graph = trace(model, (3, 8, 8), "export")
    assert graph.meta["frontend"] == "export"
    for batch in (2, 5):
        x = torch.randn(batch, 3, 8, 8)
        torch.testing.assert_close(graph(x), model(x), rtol=1e-5, atol=1e-6)


def test_an_exported_program_comes_in_as_it_is(tmp_path):
    model = randomised(Small())
    batch = torch.export.Dim("batch")
    program = torch.export.export(model, (torch.zeros(2, 3, 8, 8),), dynamic_shapes=({0: batch},), strict=False)
    torch.export.save(program, tmp_path / "small.pt2")
    graph = trace(torch.export.load(tmp_path / "small.pt2").module(), (3, 8, 8))
    x = torch.randn(3, 3, 8, 8)
    assert torch.equal(graph(x), model(x))
    assert any("blocks.0" in n.meta.get("outputs_of", ()) for n in graph.graph.nodes)


def test_a_program_for_one_batch_size_is_refused():
    program = torch.export.export(randomised(Small()), (torch.zeros(2, 3, 8, 8),), strict=False)
    with pytest.raises(TraceError, match="batch of exactly 2"):
        trace(program.module(), (3, 8, 8))


def test_traces_do_not_pile_up():
    counts = []
    for _ in range(3):
        trace(Small().eval(), (3, 8, 8), "record")
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert counts[2] - counts[1] < 250  # a trace that torch's caches keep is more than 500


def test_when_recording_fails_export_is_tried_and_both_reasons_are_given():
    with pytest.raises(TraceError, match=r"record: .*export: "):
        trace(Branches(), (3, 8, 8))


@pytest.mark.parametrize(
    "network",
    ["digits/vit", "digits/convnext", "digits/mixer", "torchvision/mobilenet_v3_small?weights=none&input=3x64x64",
     "torchvision/mobilenet_v2?weights=none&input=3x64x64", "torchvision/swin_v2_t?weights=none&input=3x64x64"],
)  # fmt: skip
def test_outputs_that_are_known_are_those_that_torch_finds(network, monkeypatch):
    model, found = zoo.load(network), Counter()

    def checked(function, args, kwargs):
        output = known_output.known_output(function, args, kwargs)
        if output is not None:
            true = function(*args, **kwargs)
            assert (output is args[0]) == (true is args[0])
            assert list(map(str, output.shape)) == list(map(str, true.shape)), function
            assert list(map(str, output.stride())) == list(map(str, true.stride())), function
            assert output.dtype is true.dtype and output.device == true.device
            found[function] += 1
        return output

    monkeypatch.setattr(recorder, "known_output", checked)
    record(model.network, model.input.size)
    assert sum(found.values()) >= 5
