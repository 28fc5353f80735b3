"""Small networks for 8x8 digits, one of each family that stitchc meets in the wild. Input [batch, 1, 8, 8].

Convolutional ones go through the same three resolutions, 8x8, 4x4 and 2x2, so that their cuts meet at every scale.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv_bn_relu(c_in: int, c_out: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
        nn.BatchNorm2d(c_out),
        nn.ReLU(),
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which the input is added (He et al. 2016)."""

    def __init__(self, c_in: int, c_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(c_in, c_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(c_out)
        self.conv2 = nn.Conv2d(c_out, c_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU()
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or c_in != c_out:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """Deep where the maps are large: most of its cost, and most of its cuts, lie at 8x8."""

    def __init__(
        self,
        classes: int = 10,
        widths: tuple[int, int, int] = (32, 40, 40),
        depths: tuple[int, int, int] = (8, 2, 1),
    ):
        super().__init__()
        self.stem = conv_bn_relu(1, widths[0])
        self.stage1 = self._stage(widths[0], widths[0], depths[0], stride=1)
        self.stage2 = self._stage(widths[0], widths[1], depths[1], stride=2)
        self.stage3 = self._stage(widths[1], widths[2], depths[2], stride=2)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[2], classes)

    @staticmethod
    def _stage(c_in: int, c_out: int, depth: int, stride: int) -> nn.Sequential:
        rest = [BasicBlock(c_out, c_out, 1) for _ in range(depth - 1)]
        return nn.Sequential(BasicBlock(c_in, c_out, stride), *rest)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.flatten(self.pool(x)))


class Plain(nn.Module):
    """Convolutions in a row, as VGG (Simonyan and Zisserman 2015): cheap at 8x8, wide at 2x2."""

    def __init__(self, classes: int = 10):
        super().__init__()
        self.features = nn.Sequential(
            conv_bn_relu(1, 24),
            conv_bn_relu(24, 24),
            nn.MaxPool2d(2),
            conv_bn_relu(24, 48),
            conv_bn_relu(48, 48),
            conv_bn_relu(48, 48),
            nn.MaxPool2d(2),
            conv_bn_relu(48, 96),
            conv_bn_relu(96, 96),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(96, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.flatten(self.pool(self.features(x))))


class Mlp(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Attention(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        batch, length, width = x.shape
        qkv = self.qkv(x).reshape(batch, length, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        x = F.scaled_dot_product_attention(q, k, v)
        return self.proj(x.transpose(1, 2).reshape(batch, length, width))


class Encoder(nn.Module):
    """Attention, then an MLP, each on the normalised tokens and added to them."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = Mlp(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class VisionTransformer(nn.Module):
    """Sixteen patches of 2x2 and a class token (Dosovitskiy et al. 2021)."""

    def __init__(self, classes: int = 10, width: int = 64, depth: int = 6, heads: int = 4):
        super().__init__()
        self.patch_embed = nn.Conv2d(1, width, 2, stride=2)
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.randn(1, 17, width) * 0.02)
        self.blocks = nn.Sequential(*(Encoder(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.pos_embed
        x = self.norm(self.blocks(x))
        return self.head(x[:, 0])


class MixerBlock(nn.Module):
    """An MLP across the patches, then one across the channels."""

    def __init__(self, patches: int, width: int):
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.tokens = Mlp(patches, 2 * patches)
        self.norm2 = nn.LayerNorm(width)
        self.channels = Mlp(width, 2 * width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


class Mixer(nn.Module):
    """Sixteen patches of 2x2 and no attention (Tolstikhin et al. 2021)."""

    def __init__(self, classes: int = 10, width: int = 64, depth: int = 6):
        super().__init__()
        self.patch_embed = nn.Conv2d(1, width, 2, stride=2)
        self.blocks = nn.Sequential(*(MixerBlock(16, width) for _ in range(depth)))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch_embed(x).flatten(2).transpose(1, 2)
        return self.head(self.norm(self.blocks(x)).mean(1))


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, then an MLP on each pixel, channels last (Liu et al. 2022)."""

    def __init__(self, width: int, kernel: int):
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.mlp = Mlp(width, 4 * width)
        self.gamma = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.dwconv(x).permute(0, 2, 3, 1)
        y = self.gamma * self.mlp(self.norm(y))
        return x + y.permute(0, 3, 1, 2)


class ConvNeXt(nn.Module):
    def __init__(self, classes: int = 10, widths: tuple[int, int, int] = (32, 48, 80), depth: int = 2):
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], 3, padding=1)
        self.stage1 = nn.Sequential(*(ConvNeXtBlock(widths[0], 5) for _ in range(depth)))
        self.down1 = nn.Conv2d(widths[0], widths[1], 2, stride=2)
        self.stage2 = nn.Sequential(*(ConvNeXtBlock(widths[1], 3) for _ in range(depth)))
        self.down2 = nn.Conv2d(widths[1], widths[2], 2, stride=2)
        self.stage3 = nn.Sequential(*(ConvNeXtBlock(widths[2], 3) for _ in range(depth)))
        self.norm = nn.LayerNorm(widths[2])
        self.head = nn.Linear(widths[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stage1(self.stem(x))
        x = self.stage2(self.down1(x))
        x = self.stage3(self.down2(x))
        return self.head(self.norm(x.mean((2, 3))))


class Separable(nn.Module):
    """A depthwise convolution, then one over the channels (Howard et al. 2017), and the input added where it fits."""

    def __init__(self, c_in: int, c_out: int, stride: int = 1):
        super().__init__()
        self.depthwise = nn.Conv2d(c_in, c_in, 3, stride, padding=1, groups=c_in, bias=False)
        self.bn1 = nn.BatchNorm2d(c_in)
        self.pointwise = nn.Conv2d(c_in, c_out, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(c_out)
        self.relu = nn.ReLU()
        self.residual = stride == 1 and c_in == c_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.depthwise(x)))
        y = self.bn2(self.pointwise(y))
        return self.relu(y + x if self.residual else y)


class Small(nn.Module):
    """A thirtieth of the cost of the cheapest other, and less accurate, so that there is a trade between the two."""

    def __init__(self, classes: int = 10, widths: tuple[int, int, int] = (12, 16, 24)):
        super().__init__()
        self.stem = conv_bn_relu(1, widths[0])
        self.stage1 = nn.Sequential(Separable(widths[0], widths[0]), Separable(widths[0], widths[0]))
        self.stage2 = nn.Sequential(Separable(widths[0], widths[1], 2), Separable(widths[1], widths[1]))
        self.stage3 = nn.Sequential(Separable(widths[1], widths[2], 2), Separable(widths[2], widths[2]))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(widths[2], classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.stage3(self.stage2(self.stage1(x)))
        return self.fc(self.flatten(self.pool(x)))


NETS: dict[str, Callable[[int], nn.Module]] = {
    "convnext": ConvNeXt,
    "mixer": Mixer,
    "plain": Plain,
    "resnet": ResNet,
    "small": Small,
    "vit": VisionTransformer,
}
