"""VGG11, VGG19 and ResNet34 for 32x32 images, as ReStNet (arXiv 2506.09066) stitches them. A model file for stitchc:

stitchc inspect 'examples/restnet_nets.py:make("VGG19", "runs/VGG19.pt")'
"""

import torch
from torch import Tensor, nn

WIDTHS = {
    "VGG11": [64, 0, 128, 0, 256, 256, 0, 512, 512, 0, 512, 512, 0],
    "VGG19": [64, 64, 0, 128, 128, 0, *[256] * 4, 0, *[512] * 4, 0, *[512] * 4, 0],
}


class Vgg(nn.Module):
    """3x3 convolutions with bias, BatchNorm and ReLU; max-pools (0 in the widths); three fully connected layers."""

    def __init__(self, widths: list[int], classes: int):
        super().__init__()
        self.features = nn.Sequential()
        channels, number = 3, 0
        for index, width in enumerate(widths):
            if not width:
                self.features.add_module(f"pool{index}", nn.MaxPool2d(2))
                continue
            number += 1
            self.features.add_module(f"conv{number}", nn.Conv2d(channels, width, 3, padding=1))
            self.features.add_module(f"bn{number}", nn.BatchNorm2d(width))
            self.features.add_module(f"relu{number}", nn.ReLU(inplace=True))
            channels = width
        self.classifier = nn.Sequential()
        for number in (1, 2):
            self.classifier.add_module(f"fc{number}", nn.Linear(channels, channels))
            self.classifier.add_module(f"fcrelu{number}", nn.ReLU(inplace=True))
            self.classifier.add_module(f"drop{number}", nn.Dropout())
        self.classifier.add_module("fc3", nn.Linear(channels, classes))

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
    """A 3x3 stem of stride 1, no max-pool, and four stages of basic blocks."""

    def __init__(self, classes: int, width: int = 64):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels = width
        for stage, depth in enumerate((3, 4, 6, 3), start=1):
            blocks = nn.Sequential()
            for index in range(depth):
                blocks.append(BasicBlock(channels, width << (stage - 1), 2 if stage > 1 and index == 0 else 1))
                channels = width << (stage - 1)
            self.add_module(f"layer{stage}", blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.pool(x).flatten(1))


def make(name: str, weights: str = "", num_classes: int = 10, thin: int = 1) -> nn.Module:
    """The network of that name in eval mode, with the weights of a file. thin: every width is divided by it."""
    torch.manual_seed(0)
    if name == "ResNet34":
        network: nn.Module = ResNet34(num_classes, 64 // thin)
    else:
        network = Vgg([width // thin for width in WIDTHS[name]], num_classes)
    if weights:
        network.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    return network.eval()


def input_spec(name: str) -> tuple[tuple[int, int, int], tuple[float, ...], tuple[float, ...]]:
    return (3, 32, 32), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
