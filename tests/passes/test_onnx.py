"""What is exported to ONNX computes the same; what cannot be is said by operator and module, in plain text."""

import onnxruntime
import pytest
import torch
from torch import nn

from stitchc.passes.data.errors import InputError, ModelError, first_line
from stitchc.passes.emit.onnx import export


class Bessel(nn.Module):
    def forward(self, x):
        return torch.special.bessel_j0(x).mean((2, 3))


class Branches(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) if x.sum() > 0 else x.amax((2, 3))


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        (Bessel(), r"no translation for the operator prims\.bessel_j0 in module 'back\.1' \(Bessel\)"),
        (Branches(), "Could not guard on data-dependent expression"),
    ],
)
def test_a_failure_names_operator_and_module(layer, reason):
    net = nn.Sequential()
    net.add_module("front", nn.Conv2d(3, 4, 1))
    net.add_module("back", nn.Sequential(nn.ReLU(), layer))
    with pytest.raises(ModelError, match=reason) as caught:
        export(net.eval(), torch.randn(2, 3, 8, 8))
    assert "\x1b" not in caught.value.message and "\n" not in caught.value.message


def test_the_first_line_of_an_error_is_plain():
    assert first_line(ValueError("\n\x1b[96mred\x1b[0m alert \nmore")) == "red alert"
    assert first_line(KeyError()) == "KeyError"
    assert len(first_line(ValueError("x" * 999))) == 300


@pytest.mark.parametrize("size", [(1, 1), (1, 3), (2, 1), (3, 7)])
@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic"])
def test_a_resize_is_that_of_torch_to_one_pixel_too(size, mode):
    net = nn.Upsample(size=size, mode=mode).eval()
    images = torch.rand(2, 3, 4, 6)
    session = onnxruntime.InferenceSession(export(net, images).SerializeToString())
    (found,) = session.run(["output"], {"input": images.numpy()})
    assert torch.allclose(torch.from_numpy(found), net(images), atol=1e-5)


def test_the_operator_set_is_the_one_that_was_asked_for():
    net, images = nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).eval(), torch.rand(2, 3, 2, 2)
    assert [one.version for one in export(net, images, 20).opset_import if not one.domain] == [20]
    with pytest.raises(InputError, match="operator set 99 is newer"):
        export(net, images, 99)
