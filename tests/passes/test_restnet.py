"""ReStNet's stitched networks (arXiv 2506.09066, Tables I, II and IV) come out to the last parameter.

The counts were computed from the paper's printed columns; each row is checked against a network stitched here.
"""

from typing import ClassVar

import pytest
import torch
from torch import Tensor, nn

from stitchc.passes import Cost, Partition, Pipeline, Plan, Select, Stitch, Trace


class Vgg(nn.Module):
    """VGG with BatchNorm for 32x32 images: 3x3 convolutions with bias, five max-pools, three fully connected layers."""

    WIDTHS: ClassVar = {
        "VGG11": [64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0],
        "VGG19": [64, 64, 0, 128, 128, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4, 0],
    }

    def __init__(self, name: str, classes: int = 10):
        super().__init__()
        layers, channels = nn.Sequential(), 3
        for i, width in enumerate(self.WIDTHS[name]):
            if not width:
                layers.add_module(f"pool{i}", nn.MaxPool2d(2))
                continue
            k = 1 + sum("relu" in name for name, _ in layers.named_children())
            layers.add_module(f"conv{k}", nn.Conv2d(channels, width, 3, padding=1))
            layers.add_module(f"bn{k}", nn.BatchNorm2d(width))
            layers.add_module(f"relu{k}", nn.ReLU(inplace=True))
            channels = width
        self.features = layers
        self.classifier = nn.Sequential()
        for k in (1, 2):
            self.classifier.add_module(f"fc{k}", nn.Linear(512, 512))
            self.classifier.add_module(f"fcrelu{k}", nn.ReLU(inplace=True))
            self.classifier.add_module(f"drop{k}", nn.Dropout())
        self.classifier.add_module("fc3", nn.Linear(512, classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


class BasicBlock(nn.Module):
    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.shortcut = nn.Sequential()
        if stride > 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(y + self.shortcut(x))


class ResNet34(nn.Module):
    """ResNet-34 for 32x32 images: a 3x3 stem of stride 1 and no max-pool."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        channels = 64
        for stage, (depth, width) in enumerate(zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True), start=1):
            blocks = nn.Sequential()
            for i in range(depth):
                blocks.append(BasicBlock(channels, width, 2 if stage > 1 and i == 0 else 1))
                channels = width
            self.add_module(f"layer{stage}", blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(512, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.pool(x).flatten(1))


def make(name: str, classes: int = 10) -> nn.Module:
    return (ResNet34(classes) if name == "ResNet34" else Vgg(name, classes)).eval()


def path(name: str, cut: str) -> str:
    if name == "ResNet34":
        return cut
    return f"{'classifier' if cut.startswith('fc') else 'features'}.{cut}"


ROWS = [  # table, front and its last unit kept, back and its last unit dropped, adapter, params, trainable, MACs
    ("I", "VGG19", "relu5", "VGG11", "relu3", "conv3x3", 10531402, 590080, 266540032),
    ("I", "VGG19", "relu9", "VGG11", "relu6", "conv3x3", 11121482, 2359808, 304288768),
    ("I", "ResNet34", "layer1.2", "VGG11", "relu2", "conv3x3", 9978058, 73856, 436409344),
    ("I", "ResNet34", "layer3.0", "VGG11", "relu4", "conv3x3", 11643466, 590080, 685970432),
    ("IV", "VGG19", "relu3", "VGG11", "relu2", "conv3x3", 9941066, 147584, 228791296),
    ("IV", "VGG19", "fcrelu1", "VGG11", "fcrelu1", "linear", 20828490, 262656, 398922752),
]


@pytest.mark.parametrize(("table", "front", "kept", "back", "dropped", "adapter", "params", "trainable", "macs"), ROWS)
def test_a_stitched_row(table, front, kept, back, dropped, adapter, params, trainable, macs):
    plan = Pipeline(
        [
            Trace(check=()),
            Partition(),
            Cost(adapters=(adapter,), direction="given"),
            Select(front=path(front, kept), back=path(back, dropped)),
            Stitch(),
        ]
    )(Plan.of(make(front), make(back), images=torch.zeros(4, 3, 32, 32)))
    use = plan.hybrid.adapters[0]
    assert (plan.hybrid.price["params"], use.price["params"], plan.hybrid.price["macs"]) == (params, trainable, macs)
    # What was priced is what was built.
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in plan.hybrid.graph.named_children()}
    assert sum(count.values()) == params and count["adapter"] == trainable


def test_what_each_way_of_tuning_trains_in_table_iv():
    """Adapter; back and adapter; front and adapter; all."""
    front, back = "VGG19", "VGG11"
    plan = Pipeline(
        [
            Trace(check=()),
            Partition(),
            Cost(adapters=("conv3x3",), direction="given"),
            Select(front=path(front, "relu3"), back=path(back, "relu2")),
            Stitch(),
        ]
    )(Plan.of(make(front), make(back), images=torch.zeros(4, 3, 32, 32)))
    count = {name: sum(p.numel() for p in part.parameters()) for name, part in plan.hybrid.graph.named_children()}
    adapter, first, last = count["adapter"], count["front"], count["back"]
    assert [adapter, last + adapter, first + adapter, first + adapter + last] == [147584, 9827978, 260672, 9941066]


def test_resnet18_into_swin_tiny_of_table_ii():
    timm = pytest.importorskip("timm")
    front = timm.create_model("resnet18", num_classes=10).eval()
    back = timm.create_model("swin_tiny_patch4_window7_224", num_classes=10).eval()
    plan = Pipeline(
        [
            Trace(check=()),
            Partition(),
            Cost(adapters=("linear",), direction="given"),
            Select(front="layer2.0", back="layers.1.blocks.1"),
            Stitch(),
        ]
    )(Plan.of(front, back, images=torch.zeros(4, 3, 224, 224)))
    head = sum(p.numel() for p in back.head.parameters())
    assert plan.hybrid.price["params"] == 26743618
    assert plan.hybrid.adapters[0].price["params"] + head == 32458
    assert plan.hybrid.price["macs"] == 3721310720
