"""Two networks of a few layers, and their hybrid on disk."""

from pathlib import Path

import torch
from torch import nn

import stitchc
from stitchc.passes.data.model import InputSpec, Model, TensorImages

SIDE, CLASSES = 8, 3
IMAGES = TensorImages(torch.randn(24, 1, 8, 8, generator=torch.Generator().manual_seed(0)), torch.arange(24) % 3)


def network(width: int) -> nn.Module:
    def block(c_in: int) -> nn.Sequential:
        return nn.Sequential(nn.Conv2d(c_in, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU())

    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.25), nn.Linear(width, CLASSES)]
    return nn.Sequential(block(1), block(width), block(width), *head)


def compile(out: Path, **options) -> None:
    torch.manual_seed(0)
    spec = InputSpec((1, 8, 8), (0.0,), (1.0,))
    parents = (Model(name, spec, module=network(width).eval()) for name, width in (("wide", 6), ("thin", 4)))
    stitchc.compile(*parents, front="0", back="0", adapter="linear", data=IMAGES, onnx=False, out=out, **options)
