"""Optimizers, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn


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


#: What the optimizers gather of each parameter.
_GATHERED = {torch.optim.SGD: {"momentum_buffer"}, torch.optim.AdamW: {"step", "exp_avg", "exp_avg_sq"}}


def put_back(optimizer: torch.optim.Optimizer, kept: Mapping[int, Mapping[str, Any]]) -> None:
    """Gives an optimizer what it had gathered of its parameters: the key `state` of its `state_dict`. What it was told,
    such as rates, stays as it was made.

    Raises:
        ValueError: it is of another optimizer, or of other parameters.
    """
    told = optimizer.state_dict()["param_groups"]
    parameters = dict(enumerate(one for group in optimizer.param_groups for one in group["params"]))
    for index, gathered in kept.items():
        if index not in parameters or set(gathered) != _GATHERED[type(optimizer)]:
            raise ValueError(f"what was gathered of parameter {index} is of another optimizer")
        for name, value in gathered.items():
            if name == "momentum_buffer" and value is None:  # of no momentum
                continue
            check_like(value, torch.zeros(()) if name == "step" else parameters[index], f"{name} of parameter {index}")
    own = {index: {name: _own(value) for name, value in gathered.items()} for index, gathered in kept.items()}
    optimizer.load_state_dict({"state": own, "param_groups": told})


def _own(value: Tensor | None) -> Tensor | None:
    """A copy, each number of which has a place of its own."""
    return None if value is None else value.clone()


def check_weights(weights: Mapping[str, Any], own: Mapping[str, Tensor]) -> None:
    """Holds tensors that come from a file against those of a network that have their names.

    Raises:
        ValueError: one has the name of none of them, or is not like it.
    """
    for name, value in weights.items():
        if name not in own:
            raise ValueError(f"{name} is no tensor of this network")
        check_like(value, own[name], name)


def check_like(value: Any, like: Tensor, name: str) -> None:
    """Holds a tensor that comes from a file against the one that it is to become.

    Raises:
        ValueError: it is none, or has no numbers, or those of another kind or shape.
    """
    if not isinstance(value, Tensor) or value.is_meta or value.layout != torch.strided or value.is_quantized:
        raise ValueError(f"{name} holds no numbers")
    if value.shape != like.shape:
        raise ValueError(f"{name} is of shape {tuple(value.shape)}, not {tuple(like.shape)}")
    if value.is_floating_point() != like.is_floating_point() or value.is_complex() != like.is_complex():
        raise ValueError(f"{name} holds {value.dtype}, not {like.dtype}")


def learning_rate(highest: float, step: int, total: int, warmup: float = 0.0, schedule: str = "cosine") -> float:
    """Of step 0..total-1: it rises for `warmup` steps, and stays (schedule "constant") or falls to 0 along a cosine."""
    if step < warmup:
        return highest * (step + 1) / (warmup + 1)
    if schedule == "constant":
        return highest
    return highest * (0.5 + 0.5 * math.cos(math.pi * (step - warmup) / max(total - warmup, 1)))
