"""Where to compute."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from .passes.data.errors import InputError

if TYPE_CHECKING:
    import torch

    from .families.options import FamilyOptions
    from .options import CompareOptions, CompileOptions
    from .passes.pipeline import Pass
    from .searches.options import SearchOptions, SpaceOptions

    T = TypeVar("T", CompareOptions, CompileOptions, SearchOptions, SpaceOptions, FamilyOptions)

#: Of the memory of a graphics card that nobody uses yet, what a pass may take where no limit is given.
SHARE = 0.5


def resolve(device: str = "auto") -> torch.device:
    """`auto` is a CUDA device where there is one, else the processor (Apple's has no float64, which sums are kept in).

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
    found = torch.device(device)
    if found.type == "cuda" and (found.index or 0) >= torch.cuda.device_count():
        raise InputError(f"there is no device '{device}' here", f"The last is cuda:{torch.cuda.device_count() - 1}.")
    return found


def moving(device: str) -> list[Pass]:
    """The pass that puts graphs and images on a device; none for the processor, where they are.

    Raises:
        InputError: as `resolve`; or the device has no float64, which sums over images are kept in.
    """
    from .passes import Move

    place = resolve(device)
    if place.type == "mps":
        raise InputError(
            "stitching computes sums in float64, which the device 'mps' does not have", "Take `device='cpu'`."
        )
    return [] if place.type == "cpu" else [Move(device=str(place))]


def timed_on(device: str, backend: str) -> str:
    """The device that latency is of: ONNX Runtime is measured on the processor."""
    return "cpu" if backend == "onnxruntime" else str(resolve(device))


def with_memory(options: T) -> T:
    """The options, with the limit of memory that suits the device where none is given."""
    import torch

    place = resolve(options.device)
    if place.type != "cuda" or options.max_memory is not None:
        return options
    free, _ = torch.cuda.mem_get_info(place)
    return replace(options, max_memory=int(SHARE * free))
