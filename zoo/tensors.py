"""One tensor of a file as the network stores it: of its kind of number, with a note where it had to be changed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from stitchc.passes.data.errors import BadCheckpoint


def as_stored(given: Tensor, own: Tensor, name: str, origin: str) -> tuple[Tensor, str]:
    """`given` in the type of `own`, whose shape it has, and what was done to it ("" for nothing).

    Raises:
        BadCheckpoint: it holds no numbers, or numbers of a kind that cannot be the network's.
    """

    def refused(reason: str, hint: str) -> BadCheckpoint:
        return BadCheckpoint(f"{origin}: the tensor {name} {reason}", hint)

    if not isinstance(own, Tensor):
        return own, ""
    if given.is_meta:
        raise refused("is on the device 'meta': it has a shape, but no numbers", "Save the network with its weights.")
    if given.layout != torch.strided:
        raise refused(f"is sparse ({given.layout})", "Save it dense: tensor.to_dense().")
    given = given.detach()
    if given.is_quantized:
        return given.dequantize().to(own.dtype), f"quantised ({_short(given)}), and are what dequantising gives"
    if given.dtype == own.dtype:
        return given, ""
    if given.is_floating_point() and own.is_floating_point():
        return given.to(own.dtype), f"{_short(given)}, and were made {_short(own)}"
    if own.numel() == 1 and name.endswith("num_batches_tracked"):
        return given.to(own.dtype), ""
    if own.is_floating_point() and not given.is_complex():
        raise refused(
            f"holds integers ({_short(given)}) where the network has {_short(own)}: codes of a quantised network, "
            "whose scale is not said",
            "Save the weights dequantised.",
        )
    if not own.is_floating_point() and not given.is_floating_point() and bool((given.to(own.dtype) == given).all()):
        return given.to(own.dtype), ""
    raise refused(f"holds {_short(given)} where the network has {_short(own)}", "Save it as the network has it.")


def shape_of(tensor: Tensor) -> str:
    """A shape in words, `64x3x7x7`."""
    return "x".join(map(str, tensor.shape)) or "()"


def some(items: Sequence[str]) -> str:
    """The first three, and dots if there are more."""
    return ", ".join(items[:3]) + (", ..." if len(items) > 3 else "")


def _short(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
