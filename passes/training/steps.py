"""Optimizers, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import nn


def optimizer_of(
    parameters: Iterable[nn.Parameter], kind: str, *, lr: float, weight_decay: float, momentum: float = 0.9
) -> torch.optim.Optimizer:
    """SGD decays every weight, as is usual there; AdamW those with two axes or more, so no norm and no bias.

    kind: "sgd" or "adamw". Parameters that need no gradient are left out.
    """
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if kind == "sgd":
        return torch.optim.SGD(trained, lr=lr, momentum=momentum, weight_decay=weight_decay)
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr)


def learning_rate(highest: float, step: int, total: int, warmup: float = 0.0, schedule: str = "cosine") -> float:
    """Of step 0..total-1: it rises for `warmup` steps, and stays (schedule "constant") or falls to 0 along a cosine."""
    if step < warmup:
        return highest * (step + 1) / (warmup + 1)
    if schedule == "constant":
        return highest
    return highest * (0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
