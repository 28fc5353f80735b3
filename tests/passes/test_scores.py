"""One function takes the scores of a network, whatever it returns, in whatever precision, from whatever wrapper."""

import copy
from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from nets import Small
from torch import Tensor, nn

from stitchc.passes.data.errors import ModelError
from stitchc.passes.data.model import InputSpec, Model
from stitchc.passes.data.scores import choose, logits_of, ready, scores
from stitchc.passes.trace import trace_model

SPEC = InputSpec((3, 8, 8), (0.5,) * 3, (0.5,) * 3)
Named = namedtuple("Named", "features logits")
Y, F = torch.randn(2, 5), torch.randn(2, 4)


@dataclass
class Record:
    features: Tensor
    logits: Tensor


def small() -> nn.Module:
    torch.manual_seed(0)
    return Small().eval()


@pytest.mark.parametrize(
    "result",
    [
        Y, {"features": F, "logits": Y}, OrderedDict(loss=None, logits=Y, hidden=(F,)), (None, Y), (Y,), (Y, Y),
        Named(F, Y), Record(F, Y), {"out": {"features": F, "logits": Y}, "aux": F}, (torch.zeros(()), Y),
        (torch.zeros(2, 4, 8, 8), Y), [Y, [torch.zeros(2, 3, 4)]], (Y, Y.argmax(1)), {"tokens": F[:, None], "cls": Y},
    ],
)  # fmt: skip
def test_scores_are_found_in_whatever_is_returned(result):
    assert logits_of(result)[0] is Y


@pytest.mark.parametrize(
    "result", [None, 3, [{"boxes": F}], {"n": 1}, (torch.zeros(()),), [], Y.topk(2), Y.sort(1), Y + 0j]
)
def test_what_holds_no_scores_is_refused(result):
    with pytest.raises(ModelError, match="no tensor stands for class scores"):
        logits_of(result)


MAPS = torch.zeros(2, 4, 8, 8)
SEVERAL = {
    "features and logits": ((F, Y), "1"),
    "logits and features": ([Y, F], "0"),
    "nested": (((F, Y), F), "0.1"),
    "exits": ([F, F + 1, Y], "2"),
    "auxiliary": ({"main": Y, "aux": Y + 1}, "main"),
    "logits twice": ({"a": {"logits": Y}, "b": {"logits": F}}, "a"),
    "maps": ([MAPS, MAPS[:, :2]], "0"),
}


@pytest.mark.parametrize(("result", "output"), SEVERAL.values(), ids=SEVERAL)
def test_several_outputs_that_could_be_scores_are_refused_until_one_is_chosen(result, output):
    with pytest.raises(ModelError, match="which of them are the class scores cannot be known") as caught:
        logits_of(result)
    assert "?output=" in caught.value.hint
    found, note = logits_of(result, output)
    assert any(found is tensor for tensor in (Y, F, MAPS)) and f"'{output}" in note


class Two(nn.Module):
    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x):
        scores = self.net(x)
        return scores * 2, scores


def test_the_choice_is_kept_by_copies_and_by_exported_programs():
    x = torch.randn(2, 3, 8, 8)
    network = Two(small()).eval()
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(network, (x,), dynamic_shapes=({0: batch},), strict=False).module()
    for one in (network, program):
        for found in (choose(one, "1"), copy.deepcopy(one)):
            assert torch.equal(scores(found, x), network.net(x))
            torch.testing.assert_close(trace_model(Model("two", SPEC, module=found))(x), network.net(x))


def test_an_output_that_is_none_is_refused():
    with pytest.raises(ModelError, match="'2' is no output of the network"):
        logits_of((Y, F), "2")
    with pytest.raises(ModelError, match="it returns one tensor, and no output '0'"):
        logits_of(Y, "0")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_network_of_another_precision_gets_images_of_its_own(dtype):
    found = scores(small().to(dtype), torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    want = small()(torch.randn(3, 3, 8, 8, generator=torch.Generator().manual_seed(1)))
    assert found.dtype is torch.float32
    torch.testing.assert_close(found, want, rtol=0.05, atol=0.05)


def test_an_exported_program_runs_and_is_not_asked_for_eval_mode():
    net, x = small(), torch.randn(3, 3, 8, 8)
    batch = torch.export.Dim("batch", min=1)
    program = torch.export.export(net, (x,), dynamic_shapes=({0: batch},), strict=False).module()
    assert torch.equal(Model("program", SPEC, module=program).scores(x[:1]), net(x[:1]))


def test_a_program_for_one_batch_size_says_so():
    program = torch.export.export(small(), (torch.zeros(2, 3, 8, 8),), strict=False).module()
    with pytest.raises(ModelError, match="Guard failed") as caught:
        scores(program, torch.zeros(3, 3, 8, 8))
    assert "dynamic_shapes" in caught.value.hint


@pytest.mark.parametrize("wrap", [torch.compile, nn.DataParallel, lambda net: torch.compile(nn.DataParallel(net))])
def test_wrappers_are_taken_off(wrap):
    net = small().train()
    assert ready(wrap(net)) is net and not net.training


def test_a_layer_under_torch_compile_runs_as_python():
    net, x = small(), torch.randn(2, 3, 8, 8)
    want = net(x)
    net.blocks[0] = torch.compile(net.blocks[0], backend=_no_backend)
    assert torch.equal(scores(net, x), want)


def _no_backend(*_):
    raise AssertionError("compiled")


class Squeezed(nn.Module):
    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, x):
        return self.net(x).squeeze()


def test_one_image_keeps_its_axis():
    net, x = small(), torch.randn(1, 3, 8, 8)
    assert torch.equal(scores(Squeezed(net), x), net(x))


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (nn.Flatten(0), r"returns \(384,\) for 2 images of 3x8x8"),
        (nn.Sequential(nn.Flatten(), nn.Linear(7, 2)), "fails on 2 images of 3x8x8: .*mat1 and mat2"),
        (nn.Sequential(nn.LazyConv2d(4, 3)), r"'0.weight' \(LazyConv2d\) has no shape"),
        (nn.Sequential(nn.Conv2d(3, 4, 3, device="meta")), "'0.weight' has a shape but no values"),
        (nn.Sequential(nn.Flatten(), nn.LogSigmoid(), nn.Threshold(9, float("nan"))), "undefined .* for 2 of 2 images"),
    ],
)
def test_a_network_without_scores_is_refused_with_the_reason(network, said):
    with pytest.raises(ModelError, match=said):
        scores(network, torch.randn(2, 3, 8, 8), "it")


def test_a_model_without_its_module_says_so():
    with pytest.raises(ModelError, match="gone was loaded without its network"):
        Model("gone", SPEC).scores(torch.zeros(1, 3, 8, 8))
