"""Where to compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .passes.data.errors import InputError

if TYPE_CHECKING:
    import torch


def resolve(device: str = "auto") -> torch.device:
    """`auto` is a CUDA device where there is one, else the processor (Apple's has no float64, which the fit needs).

    Raises:
        InputError: a device that this torch does not have.
    """
    import torch

    here = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if device == "auto":
        return torch.device("cuda" if here["cuda"] else "cpu")
    if not here.get(device.split(":")[0], False):
        known = ", ".join(name for name, available in here.items() if available)
        raise InputError(f"this machine's torch has no device '{device}'", f"Here: auto, {known}.")
    return torch.device(device)
