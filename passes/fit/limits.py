"""Which adapters are tried: not those whose normal equations would take more memory or time than there is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from .. import adapters
from ..data.chain import Seam
from ..data.errors import InputError
from ..data.memory import Memory
from ..data.plan import Plan
from ..data.values import Value
from ..stitch.join import ends
from .normal_equations import equations_bytes

# Beside others, adapters with more features than this are not tried: their equations take minutes to solve.
FEATURES = 4608


def tried(plan: Plan, seams: Sequence[Seam], max_memory: int | None) -> tuple[list[Seam], tuple[str, ...]]:
    """Those of several ways to join two cuts that are to be tried, and the adapters that are not.

    Left out is what does not fit into the memory, and, unless there is nothing smaller, what has more features than
    `FEATURES`.
    """
    limit = Memory.of(max_memory).equations
    sizes = [_size(seam.adapter, *ends(plan, seam)) for seam in seams]
    most = max(FEATURES, min(features for features, _ in sizes))
    fine = [needed <= limit and features <= most for features, needed in sizes]
    kept = [seam for seam, is_fine in zip(seams, fine, strict=True) if is_fine]
    return kept, tuple(seam.adapter for seam, is_fine in zip(seams, fine, strict=True) if not is_fine)


def refuse_too_large(plan: Plan, seams: Sequence[Seam], memory: Memory) -> None:
    """Refuses seams whose adapters are too large to be fitted.

    Raises:
        InputError: an adapter's normal equations do not fit into the memory.
    """
    for seam in seams:
        features, needed = _size(seam.adapter, *ends(plan, seam))
        if needed > memory.equations:
            least = -(-needed * memory.limit // memory.equations >> 20)
            raise InputError(
                f"the normal equations of the adapter '{seam.adapter}' have {features:,} features here, and take "
                f"{-(-needed >> 20):,} MiB to solve, more than their share of the memory",
                f"Choose an adapter of fewer features, such as linear, or a max_memory of {least:,} MiB.",
            )


@lru_cache(maxsize=1 << 12)
def _size(words: str, front: Value, back: Value) -> tuple[int, int]:
    """The features of an adapter, and the bytes that its normal equations take."""
    adapter = adapters.without_weights(words, front, back)
    if not adapter.features:
        return 0, 0
    return adapter.features, sum(equations_bytes(adapter, back.channels))
