"""State dicts: their hash, seeded initialisation, and loading one into a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from stitchc.passes.data.errors import BadCheckpoint

from .tensors import shape_of, some

SEED = 0


@contextmanager
def seeded() -> Iterator[None]:
    """Random numbers drawn inside are the same each time, and those drawn after are as if none had been."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        yield


def sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of a state dict: for each key in sorted order its name, dtype, shape and bytes."""
    digest = hashlib.sha256()
    for key in sorted(state):
        tensor = state[key]
        if not isinstance(tensor, Tensor):  # extra state, which some modules keep
            digest.update(f"{key} {tensor!r}".encode())
            continue
        digest.update(f"{key} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        flat = tensor.detach().cpu().contiguous().reshape(-1)
        digest.update(flat.view(torch.uint8).numpy().data)
    return digest.hexdigest()


def mismatch(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Why `state` is not the state dict of `module`, in one sentence; empty when it is."""
    own = module.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [
        f"{key} has shape {shape_of(state[key])} instead of {shape_of(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    parts = [
        f"{len(missing)} of its {len(own)} tensors are missing ({some(missing)})" if missing else "",
        f"{len(extra)} are not its own ({some(extra)})" if extra else "",
        some(shapes),
    ]
    return "; ".join(part for part in parts if part)


def fill_but_classifier(
    module: nn.Module, state: Mapping[str, Tensor], classes: int, own_classes: int, origin: str
) -> tuple[str, ...]:
    """Loads `state`, trained on `own_classes` classes, into a network of `classes`; returns the keys of the classifier,
    which stay as initialised where the two differ.

    Raises:
        BadCheckpoint: anything else does not fit. Nothing else may stay as it was initialised.
    """
    own = module.state_dict()
    fresh = tuple(
        key
        for key in own
        if classes != own_classes
        and key in state
        and own[key].ndim
        and (own[key].shape[0], state[key].shape[:1]) == (classes, (own_classes,))
        and own[key].shape[1:] == state[key].shape[1:]
    )
    filled = {key: value for key, value in state.items() if key not in fresh}
    if reason := mismatch(module, {**filled, **{key: own[key] for key in fresh}}):
        raise BadCheckpoint(
            f"the weights in {origin} do not fit the network: {reason}", "Delete that file and try again."
        )
    fill_named(module, filled)
    return fresh


def fill_named(module: nn.Module, values: Mapping[str, Any]) -> None:
    """Loads `values`, which are some of the module's own by their present names; the others stay."""
    state = module.state_dict()  # with the versions of its modules, which some of torchvision's ask for
    for key, value in values.items():
        state[key] = value
    module.load_state_dict(state)


def check_finite(module: nn.Module, origin: str) -> None:
    """Refuses a network with parameters, or running statistics, that are no numbers.

    Raises:
        BadCheckpoint: there are some; the message names them.
    """
    running = {name: value for name, value in module.named_buffers() if name.endswith(("running_mean", "running_var"))}
    bad = [
        f"{name} ({int((~torch.isfinite(value)).sum()):,} of {value.numel():,})"
        for name, value in {**dict(module.named_parameters()), **running}.items()
        if value.is_floating_point() and not value.is_meta and not bool(torch.isfinite(value).all())
    ]
    if bad:
        raise BadCheckpoint(
            f"{origin} has parameters that are not finite: {some(bad)}",
            "Its training diverged, or the file is damaged: take an earlier checkpoint.",
        )
