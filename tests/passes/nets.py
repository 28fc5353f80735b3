"""Small modules that are awkward to trace, one trap each."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def randomised(module: nn.Module) -> nn.Module:
    """The module in eval mode, with the same random numbers in all of its parameters each time: none is 0 or 1."""
    torch.manual_seed(0)
    for p in module.parameters():
        nn.init.normal_(p, std=0.3)
    return module.eval()


class Residual(nn.Module):
    """Two convolutions with in-place ReLU and a shortcut."""

    def __init__(self, channels: int = 4):
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.bn = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(self.relu(self.bn(self.conv1(x))))
        y += x
        return self.relu(y)


class Small(nn.Module):
    """A classifier of two residual blocks, for 3x8x8 images."""

    def __init__(self, channels: int = 4, classes: int = 5):
        super().__init__()
        self.stem = nn.Conv2d(3, channels, 3, padding=1)
        self.blocks = nn.Sequential(Residual(channels), Residual(channels))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(channels, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.drop(torch.flatten(self.pool(self.blocks(self.stem(x))), 1)))


class Windows(nn.Module):
    """Control flow on shapes, a mask written in place, windows folded into the batch, a table indexed by a buffer."""

    def __init__(self, size: int = 2):
        super().__init__()
        self.size = size
        self.embed = nn.Conv2d(3, 6, 1)
        self.norm = nn.LayerNorm(6)
        self.table = nn.Parameter(torch.randn(7, 6))
        self.register_buffer("index", torch.arange(size * size) % 7)
        self.head = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.embed(x).permute(0, 2, 3, 1)
        b, h, w, c = x.shape
        if h % self.size:
            x = F.pad(x, (0, 0, 0, 0, 0, self.size - h % self.size))
        mask = torch.zeros(1, h, w, 1)
        for i, part in enumerate((slice(0, 4), slice(4, None))):
            mask[:, part] = i
        x = self.norm(x) + mask
        s = self.size
        windows = x.view(b, h // s, s, w // s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, s * s, c)
        windows = windows + self.table[self.index.view(-1)].unsqueeze(0)
        windows = windows.softmax(-2)
        x = windows.view(b, h // s, w // s, s, s, c).permute(0, 1, 3, 2, 4, 5).reshape(b, h, w, c)
        return self.head(x.mean((1, 2)))


class Tokens(nn.Module):
    """A class token expanded to the batch, attention by torch's own layer, a tuple unpacked, attributes read."""

    def __init__(self, width: int = 8):
        super().__init__()
        self.patch = nn.Conv2d(3, width, 4, 4)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width))
        self.position = nn.Parameter(torch.randn(1, 5, width))
        self.qkv = nn.Linear(width, 3 * width)
        self.attention = nn.MultiheadAttention(width, 2, batch_first=True)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patch(x).flatten(2).mT
        x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=-1)
        x = x + self.attention(q, k, v)[0]
        return self.head(self.norm(x)[:, 0])


class Caches(nn.Module):
    """Keeps a tensor from its first run, as some attention blocks keep their biases."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(3, 1, 1))
        self.cache: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        if self.cache is None:
            self.cache = self.scale * 2
        return (x * self.cache).mean((2, 3))
