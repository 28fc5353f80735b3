"""A whole artifact `h` and a checkpoint `a.pt`, made in the folder that is named: what hostile inputs are altered from.

A program of its own: a process in which torch has computed gradients cannot be copied by fork and compute more.
"""

import sys
from pathlib import Path

import torch
from torch import nn

import stitchc
from stitchc import zoo
from stitchc.passes.data.model import InputSpec, Model, TensorImages


def network(width: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, width, 3), nn.ReLU(), nn.Conv2d(width, width, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(width, 10),
    ).eval()  # fmt: skip


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    torch.manual_seed(0)
    spec, images = InputSpec((1, 8, 8), (0.0,), (1.0,)), TensorImages(torch.randn(8, 1, 8, 8), name="noise")
    parents = (Model(name, spec, module=network(width)) for name, width in (("wide", 6), ("thin", 4)))
    stitchc.compile(*parents, front="0", back="0", adapter="linear", data=images, onnx=False, out=folder / "h")
    zoo.pack("digits/plain", folder / "a.pt")
