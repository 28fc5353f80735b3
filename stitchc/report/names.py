"""Names of models, short enough for a column."""

from __future__ import annotations

from collections.abc import Sequence


def short(names: Sequence[str]) -> list[str]:
    """`resnet` for `digits/resnet`: what stands behind the last slash, where that still tells the names apart."""
    tails = [name.rsplit("/", 1)[-1] for name in names]
    return tails if len(set(tails)) == len(set(names)) else list(names)
