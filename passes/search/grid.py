"""One choice for each layer, as in a library of blocks: the whole front, by adding layer after layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..data.errors import InputError
from .dominance import nondominated


class Choices(NamedTuple):
    """The front of a grid, rising in the first amount.

    amounts: [choices, amounts], the sums over layers. variants: [choices, layers], the variant of each layer.
    """

    amounts: np.ndarray
    variants: np.ndarray


def grid_front(amounts: Sequence[np.ndarray]) -> Choices:
    """All choices of one variant for each layer that no other is at least as good as in every amount; of those that are
    equal in all, one. With the loss and one cost that is the best choice under every budget at once.

    amounts: for each layer [variants, amounts], less being better: the loss and costs of each of its variants. Whole
    numbers are compared exactly, others as float64 adds them up.

    After each layer only the front of the layers so far is kept, so the time is that of sorting its size times the
    variants. With a cost in whole units the front has one choice for each cost at most.

    Raises:
        InputError: no layers, one without variants, different amounts in two layers, or numbers that are not finite.
    """
    layers = [np.asarray(layer, dtype=np.float64) for layer in amounts]
    if not layers or any(
        layer.ndim != 2 or layer.shape[1:] != layers[0].shape[1:] or not layer.size for layer in layers
    ):
        raise InputError(
            "a grid has one layer or more, each with one variant or more and the same amounts for each variant",
            "Give an array [variants, amounts] for each layer.",
        )
    if not all(np.isfinite(layer).all() for layer in layers):
        raise InputError("a grid holds numbers that are not finite")
    sums, steps = np.zeros((1, layers[0].shape[1])), []
    for layer in layers:
        # Variant after variant, each a shifted copy of a front: runs that are sorted already.
        all_sums = (layer[:, None] + sums[None]).reshape(-1, sums.shape[1])
        rows = nondominated(all_sums)
        steps.append((rows // len(sums), rows % len(sums)))
        sums = all_sums[rows]
    rows = np.lexsort(sums.T[::-1])
    return Choices(sums[rows], _variants(steps, rows))


def _variants(steps: Sequence[tuple[np.ndarray, np.ndarray]], rows: np.ndarray) -> np.ndarray:
    chosen = np.empty((len(rows), len(steps)), dtype=np.int64)
    for layer in range(len(steps) - 1, -1, -1):
        variant, before = steps[layer]
        chosen[:, layer], rows = variant[rows], before[rows]
    return chosen
