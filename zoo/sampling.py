"""Which images, and in which order: seeded, class-balanced, and the same on every machine and under every version."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from itertools import zip_longest


def order(count: int, labels: Sequence[int] | None, limit: int | None, seed: int) -> list[int]:
    """Indices of the sample, at most `limit` of 0..count-1, shuffled.

    With labels the images go round the classes, one of each in turn, so that every prefix is as balanced as it can be.
    Each turn has an order of its own: by one and the same, every fifth image would be of the same classes.
    """
    if labels is None:
        return _shuffled(range(count), seed)[:limit]
    classes: dict[int, list[int]] = {}
    for index, label in enumerate(labels):
        classes.setdefault(label, []).append(index)
    queues = [_shuffled(members, seed) for members in classes.values()]
    chosen: list[int] = []
    for number, turn in enumerate(zip_longest(*queues)):
        chosen += _shuffled([index for index in turn if index is not None], draw(seed, number))
        if limit is not None and len(chosen) >= limit:
            break
    return chosen[:limit]


def draw(seed: int, index: int) -> int:
    """A number of 64 bits that depends on both and on nothing else, whatever random generators become."""
    return int.from_bytes(hashlib.blake2b(f"{seed}/{index}".encode(), digest_size=8).digest(), "big")


def _shuffled(indices: Sequence[int], seed: int) -> list[int]:
    return sorted(indices, key=lambda index: draw(seed, index))
