"""Trains the networks of digits/ again: `python -m stitchc.zoo.digits.train [name...] [-o FOLDER]`.

A few minutes for all of them on two cores. Writes <name>.safetensors and <name>.json (what was reached, and how) into
FOLDER, by default beside this file. The same seed and versions give the same weights on the same kind of processor.
"""

from __future__ import annotations

import argparse
import datetime
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn import functional as F

from . import data
from .nets import NETS


@dataclass(frozen=True)
class Recipe:
    """How one network is trained: AdamW, a linear warm-up of 5 % and a cosine to zero; cross entropy."""

    epochs: int
    lr: float
    weight_decay: float = 0.05
    batch: int = 64
    smoothing: float = 0.05
    mixup: float = 0.2  # both parameters of the Beta distribution
    degrees: float = 12.0
    shift: float = 0.8  # pixels
    scale: float = 0.1
    seed: int = 0


RECIPES = {
    "convnext": Recipe(epochs=70, lr=3e-3),
    "mixer": Recipe(epochs=90, lr=3e-3),
    "plain": Recipe(epochs=90, lr=3e-3),
    "resnet": Recipe(epochs=40, lr=3e-3),
    "small": Recipe(epochs=50, lr=3e-3),
    "vit": Recipe(epochs=100, lr=2e-3),
}


def tensors(split: str) -> tuple[Tensor, Tensor]:
    """Images float32 [n, 1, 8, 8] as the networks are fed them, and labels int64 [n]."""
    images, labels = data.load_split(split)
    pixels = torch.from_numpy(images)[:, None].float() / 255
    return (pixels - data.MEAN[0]) / data.STD[0], torch.from_numpy(labels)


def augment(images: Tensor, recipe: Recipe, generator: torch.Generator) -> Tensor:
    """Each image rotated, scaled and shifted a little; what comes in from outside is paper, the set's 0."""
    n, _, height, _ = images.shape

    def uniform(bound: float) -> Tensor:
        return (torch.rand(n, generator=generator) * 2 - 1) * bound

    angle = uniform(math.radians(recipe.degrees))
    factor = 1 + uniform(recipe.scale)
    shift_x, shift_y = uniform(recipe.shift * 2 / height), uniform(recipe.shift * 2 / height)
    cos, sin = angle.cos() * factor, angle.sin() * factor
    theta = torch.stack([torch.stack([cos, -sin, shift_x], 1), torch.stack([sin, cos, shift_y], 1)], 1)
    grid = F.affine_grid(theta, list(images.shape), align_corners=False)
    paper = -data.MEAN[0] / data.STD[0]
    return F.grid_sample(images - paper, grid, align_corners=False) + paper


def mix(images: Tensor, targets: Tensor, share: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Mixup (Zhang et al. 2018): each image and its target blended with another's; `share` is its own part."""
    other = torch.randperm(len(images), generator=generator)
    return share * images + (1 - share) * images[other], share * targets + (1 - share) * targets[other]


def fit(net: nn.Module, recipe: Recipe) -> None:
    """Trains `net` in place on the training split and leaves it in eval mode."""
    images, labels = tensors("train")
    targets = F.one_hot(labels, data.CLASSES).float()
    generator = torch.Generator().manual_seed(recipe.seed)
    shares = np.random.default_rng(recipe.seed)  # torch's Beta takes no generator
    steps = recipe.epochs * (len(images) // recipe.batch)
    warmup = max(1, steps // 20)
    groups: list[dict[str, Any]] = [
        {"params": [p for p in net.parameters() if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=recipe.lr)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda t: (t + 1) / warmup if t < warmup else 0.5 + 0.5 * math.cos(math.pi * t / steps)
    )
    net.train()
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images), generator=generator)
        for index in order.split(recipe.batch)[: len(images) // recipe.batch]:
            share = shares.beta(recipe.mixup, recipe.mixup)
            x, y = mix(augment(images[index], recipe, generator), targets[index], share, generator)
            loss = F.cross_entropy(net(x), y, label_smoothing=recipe.smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    net.eval()


@torch.no_grad()
def accuracy(net: nn.Module, split: str = "test") -> float:
    """Top-1, a fraction."""
    images, labels = tensors(split)
    return float((net(images).argmax(1) == labels).double().mean())


def train(name: str, folder: Path) -> dict[str, object]:
    """Trains one network, writes its two files into `folder` and returns what the second one says."""
    recipe = RECIPES[name]
    torch.manual_seed(recipe.seed)
    net = NETS[name](data.CLASSES)
    start = time.process_time()
    fit(net, recipe)
    record: dict[str, object] = {
        "arch": f"digits/{name}",
        "accuracy": accuracy(net),
        "train_accuracy": round(accuracy(net, "train"), 4),
        "params": sum(p.numel() for p in net.parameters()),
        "recipe": vars(recipe),
        "cpu_seconds": round(time.process_time() - start),
        "versions": {"torch": torch.__version__},
        "date": datetime.date.today().isoformat(),
    }
    (folder / f"{name}.safetensors").write_bytes(save(net.state_dict(), {"arch": f"digits/{name}"}))
    (folder / f"{name}.json").write_text(json.dumps(record, indent=2) + "\n")
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description="Trains the networks of digits/ again.")
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(sorted(NETS))} (default: all)")
    parser.add_argument("-o", "--out", type=Path, default=Path(__file__).parent, help="where the files go")
    arguments = parser.parse_args()
    unknown = [name for name in arguments.names if name not in NETS]
    if unknown:
        parser.error(f"no network named {unknown[0]!r} among {', '.join(sorted(NETS))}")
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # networks this small gain nothing from more, and sums then have one order
    for name in arguments.names or sorted(NETS):
        record = train(name, arguments.out)
        print(f"{name}: {record['accuracy']:.1%} of the test images, {record['cpu_seconds']} s of one core", flush=True)


if __name__ == "__main__":
    main()
