"""Every counter's column comes out to the integer: ReStNet's tables (arXiv 2506.09066), and thop itself."""

import copy

import pytest
import torch
from nets import Residual, Small, Tokens, Windows
from restnet import make, path

from stitchc.passes import Cost, Partition, Pipeline, Plan, Select, Stitch, Trace
from stitchc.passes.cost.conventions import conventions, reasons
from stitchc.passes.trace import trace

CIFAR, IMAGENET = (3, 32, 32), (3, 224, 224)


def totals(graph, size):
    return {name: sum(found.values()) for name, found in conventions(graph, size).items()}


@pytest.mark.parametrize(
    ("name", "classes", "macs", "thop", "fvcore"),
    [
        ("VGG11", 10, 153293824, 153900032, 153596928),
        ("VGG19", 10, 398660608, 399873024, 399266816),
        ("ResNet34", 10, 1159402496, 1163507200, 1161458688),
        ("VGG11", 100, 153339904, 153946112, 153643008),
        ("ResNet34", 100, 1159448576, 1163553280, 1161504768),
    ],
)
def test_the_convolutional_parents(name, classes, macs, thop, fvcore):
    found = totals(trace(make(name, classes), CIFAR), CIFAR)
    assert found == {"macs": macs, "thop": thop, "fvcore": fvcore}


def stitched(front, back, kept, dropped, adapter, size):
    images = torch.zeros(1, *size)
    steps = [Trace(check=()), Partition(), Cost(adapters=(adapter,), direction="given")]
    passes = [*steps, Select(front=kept, back=dropped), Stitch()]
    return Pipeline(passes)(Plan.of(front, back, images=images)).hybrid.graph


@pytest.mark.parametrize(
    ("front", "kept", "back", "dropped", "adapter", "macs", "thop", "fvcore"),
    [
        ("VGG19", "relu5", "VGG11", "relu3", "conv3x3", 266540032, 267539456, 267039744),
        ("VGG19", "relu9", "VGG11", "relu6", "conv3x3", 304288768, 305386496, 304837632),
        ("ResNet34", "layer1.2", "VGG11", "relu2", "conv3x3", 436409344, 438457344, None),
        ("ResNet34", "layer3.0", "VGG11", "relu4", "conv3x3", 685970432, 689263616, 687617024),
        ("VGG19", "relu3", "VGG11", "relu2", "conv3x3", 228791296, 229659648, 229225472),
        ("VGG19", "fcrelu1", "VGG11", "fcrelu1", "linear", 398922752, 400135168, 399528960),
    ],
)
def test_the_convolutional_stitches(front, kept, back, dropped, adapter, macs, thop, fvcore):
    """The paper's second row from ResNet-34 brings maps down by max-pooling, which counts nothing; a bilinear resize
    counts 4 for each number in fvcore."""
    graph = stitched(make(front), make(back), path(front, kept), path(back, dropped), adapter, CIFAR)
    found = totals(graph, CIFAR)
    resized = conventions(graph, CIFAR)["fvcore"].get("resizing", 0)
    assert (found["macs"], found["thop"]) == (macs, thop)
    assert found["fvcore"] - resized == (fvcore or 437433344)
    assert (resized > 0) == (fvcore is None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "classes", "params", "macs", "thop", "fvcore"),
    [
        ("deit_small_patch16_224", 47, 21683759, 4598516352, 4240852608, 4607972352),
        ("deit_small_patch16_224", 37, 21679909, 4598512512, 4240848768, 4607968512),
        ("deit_tiny_patch16_224", 37, 5531557, 1253498304, 1074666432, 1258226304),
        ("swin_base_patch4_window7_224", 47, 86791399, 15429970944, 15168798592, 15466850304),
        ("swin_tiny_patch4_window7_224", 10, 27527044, 4489806336, 4371091488, 4508434176),
        ("resnet18", 10, 11181642, 1813566464, 1823526912, 1818558976),
    ],
)
def test_the_transformer_parents_with_attention_unfused(unfused, name, classes, params, macs, thop, fvcore):
    net = unfused.create_model(name, num_classes=classes).eval()
    assert sum(p.numel() for p in net.parameters()) == params
    assert totals(trace(net, IMAGENET), IMAGENET) == {"macs": macs, "thop": thop, "fvcore": fvcore}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("front", "kept", "back", "dropped", "classes", "norm", "macs", "thop", "fvcore"),
    [
        # The paper's row leaves the final LayerNorm out, 5 for each of 197 x 192 numbers.
        ("deit_small_patch16_224", "blocks.7", "deit_tiny_patch16_224", "blocks.6", 37, 5 * 197 * 192,
         3609710400, 3296754624, 3617653440),
        ("resnet18", "layer2.0", "swin_tiny_patch4_window7_224", "layers.1.blocks.1", 10, 0,
         3721310720, 3684978592, 3731709696),
    ],
)  # fmt: skip
def test_the_transformer_stitches(unfused, front, kept, back, dropped, classes, norm, macs, thop, fvcore):
    nets = [unfused.create_model(name, num_classes=classes).eval() for name in (front, back)]
    graph = stitched(*nets, kept, dropped, "linear", IMAGENET)
    assert totals(graph, IMAGENET) == {"macs": macs, "thop": thop, "fvcore": fvcore + norm}


@pytest.fixture
def unfused():
    timm = pytest.importorskip("timm")
    timm.layers.set_fused_attn(False)
    yield timm
    timm.layers.set_fused_attn(True)


@pytest.mark.parametrize("kind", [Small, Windows, Tokens, Residual])
def test_thop_counts_the_same(kind):
    """On a copy: it leaves entries in the state dict of what it counts."""
    from thop import profile

    channels = 4 if kind is Residual else 3
    net = kind().eval()
    counted, _ = profile(copy.deepcopy(net), inputs=(torch.zeros(1, channels, 8, 8),), verbose=False)
    assert totals(trace(net, (channels, 8, 8)), (channels, 8, 8))["thop"] == counted


def test_what_differs_is_said():
    graph = trace(Tokens().eval(), (3, 8, 8))
    said = " ".join(reasons(conventions(graph, (3, 8, 8))))
    assert "thop sees classes" in said and "fvcore has no rule for fused attention" in said and "normalisation" in said
    plain = trace(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3)), (3, 8, 8))
    assert reasons(conventions(plain, (3, 8, 8))) == []
