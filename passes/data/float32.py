"""How exactly torch computes with float32: whether products may round to ten bits (TF32) or eight (bfloat16).

torch keeps that twice, as words of 2025 (`fp32_precision` of each library's operations) and as flags before them
(`allow_tf32`, `set_float32_matmul_precision`), and raises an error where one of the old flags is asked for and the two
differ. Whoever uses either way is left with what was set.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Rounding:
    """matmul: as of `torch.set_float32_matmul_precision`. convolutions: whether those of a graphics card may round.
    words: `fp32_precision` of each of `_operations`."""

    matmul: str
    convolutions: bool
    words: tuple[str, ...]


def rounding() -> Rounding:
    """What torch is told at the moment. An old flag that the words contradict was never set: it is at its default."""
    import torch

    words = tuple(one.fp32_precision for one in _operations())
    try:
        matmul = torch.get_float32_matmul_precision()
    except RuntimeError:
        matmul = "highest"
    try:
        convolutions = torch.backends.cudnn.allow_tf32
    except RuntimeError:
        convolutions = True
    return Rounding(matmul, convolutions, words)


def set_rounding(to: Rounding) -> None:
    """Tells torch what `rounding` returned before."""
    import torch

    torch.set_float32_matmul_precision(to.matmul)
    torch.backends.cudnn.allow_tf32 = to.convolutions
    for one, word in zip(_operations(), to.words, strict=True):  # after the flags, which set them too
        one.fp32_precision = word


@contextmanager
def in_full_precision() -> Iterator[None]:
    """float32 is float32 within, whatever the process is set to. On a graphics card torch lets convolutions round to
    ten bits by default, by which weights that are fitted would differ from those of the processor in the third digit;
    and programs that train are advised to let matrix products do so too."""
    before = rounding()
    set_rounding(Rounding("highest", False, ("ieee",) * len(before.words)))
    try:
        yield
    finally:
        set_rounding(before)


def _operations() -> tuple[Any, ...]:
    import torch

    backends: Any = torch.backends
    return (
        backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn,
        backends.mkldnn.matmul, backends.mkldnn.conv, backends.mkldnn.rnn,
    )  # fmt: skip
