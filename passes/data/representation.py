"""How the cuts of one model represent the images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, eq=False)
class Representation:
    """A vector of length one for each cut of a model, and what the vectors were made of.

    vectors: float32 [cuts, length]: the dot product of two is the similarity of their cuts, but for Procrustes'. Zero
    where it is undefined. metric: the measure that they are made for. sizes: of the blocks that the images were taken
    in. images: the words that name the images. Vectors of other metrics, blocks or images must not be compared.
    """

    vectors: Tensor
    metric: str
    sizes: tuple[int, ...]
    images: str
