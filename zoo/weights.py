"""State dicts: their hash, seeded initialisation, and loading one into a network."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from stitchc.passes.data.errors import BadCheckpoint

SEED = 0
_WRAPPERS = ("module.", "_orig_mod.")  # DistributedDataParallel's and torch.compile's


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


def unwrapped(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same state dict without the prefix that a wrapper has put before every key."""
    result = dict(state)
    for prefix in _WRAPPERS:
        if result and all(key.startswith(prefix) for key in result):
            result = {key.removeprefix(prefix): value for key, value in result.items()}
    return result


def classes_of(state: Mapping[str, Tensor], module: nn.Module) -> int | None:
    """How many classes `state` was trained on: the length of what in it goes into the last layer of `module`."""
    last = [key for key, tensor in module.state_dict().items() if tensor.ndim][-1:]
    return state[last[0]].shape[0] if last and last[0] in state else None


def mismatch(module: nn.Module, state: Mapping[str, Tensor]) -> str:
    """Why `state` is not the state dict of `module`, in one sentence; empty when it is."""
    own = module.state_dict()
    missing = [key for key in own if key not in state]
    extra = [key for key in state if key not in own]
    shapes = [
        f"{key} has shape {_shape(state[key])} instead of {_shape(own[key])}"
        for key in own
        if key in state and state[key].shape != own[key].shape
    ]
    parts = [
        f"{len(missing)} of its {len(own)} tensors are missing ({_some(missing)})" if missing else "",
        f"{len(extra)} are not its own ({_some(extra)})" if extra else "",
        _some(shapes),
    ]
    return "; ".join(part for part in parts if part)


def fill(module: nn.Module, state: Mapping[str, Tensor], origin: str, arch: str) -> None:
    """Loads `state` into `module`, strictly.

    Raises:
        BadCheckpoint: it does not fit, with what is missing, superfluous or of another shape.
    """
    if reason := mismatch(module, state):
        raise BadCheckpoint(
            f"the weights in {origin} are not those of {arch}: {reason}",
            "Name the architecture that they belong to with --arch (for example --arch timm/resnet50).",
        )
    module.load_state_dict(state)


def fill_but_classifier(module: nn.Module, state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Loads what fits of `state` and leaves tensors of another shape as initialised; returns their keys."""
    own = module.state_dict()
    other = tuple(key for key in own if key in state and state[key].shape != own[key].shape)
    module.load_state_dict({**own, **{key: value for key, value in state.items() if key not in other}}, strict=False)
    return other


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "()"


def _some(items: list[str]) -> str:
    return ", ".join(items[:3]) + (", ..." if len(items) > 3 else "")
